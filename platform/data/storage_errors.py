"""The boundary where errors of disks, object stores and deltalake become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError

from ..core import Conflict, RaylakeError, SchemaMismatch, StorageError

_FULL = ("no space left", "disk quota", "file too large", "os error 28", "os error 27")
_DENIED = ("read-only", "permission denied", "os error 30", "os error 13")


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn failures of storage below `url` into `StorageError`, with what to do about them.

    Example:
        >>> with storage_errors("/lake/tables/main/x"):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        ...
        raylake.core.errors.StorageError: the disk of /lake/tables/main/x is full: ...
    """
    try:
        yield
    except RaylakeError:
        raise
    except DeltaProtocolError as error:
        raise SchemaMismatch(
            f"table {url} uses a Delta feature that is not supported: {error}. Rewrite it without that feature"
        ) from error
    except CommitFailedError as error:
        raise Conflict(f"table {url} changed meanwhile: nothing was committed; run it again ({error})") from error
    except FileNotFoundError as error:
        raise StorageError(
            f"a file of {url} is gone: {error}. A clean-up removed it, or the folder was touched by others; "
            "read a newer version, or restore a backup"
        ) from error
    except (OSError, DeltaError) as error:
        raise StorageError(_explain(url, str(error))) from error


def _explain(url: str, message: str) -> str:
    text = message.lower()
    if any(mark in text for mark in _FULL):
        return f"the disk of {url} is full: nothing was committed; free space and write again ({message})"
    if any(mark in text for mark in _DENIED):
        return f"{url} is read-only: nothing was committed; give write permission and write again ({message})"
    return f"storage of {url} failed: {message}. Nothing was committed; check that it is reachable, then try again"
