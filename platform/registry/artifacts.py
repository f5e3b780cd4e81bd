"""Artifacts: files named by the SHA-256 of their content, below ``<root>/artifacts``, on any storage URL.

A file is written under a temporary name, then moved: under its digest it is whole or absent. Equal content is
stored once. What is read is hashed again.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from ..core import ArtifactCorrupt, InvalidName, NotFound, StorageError, Workspace, urls

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_digest(digest: str) -> str:
    """Return `digest` if it is a SHA-256 in 64 hexadecimal digits, else raise `InvalidName`."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InvalidName(
            f"artifact {digest!r:.100} is not valid: use the 64 hexadecimal digits that put_file returned"
        )
    return digest


def locate(ws: Workspace, digest: str) -> str:
    """URL of a stored file, for showing it to people; it is not checked that it exists.

    Raises:
        InvalidName: `digest` is not a SHA-256.

    Example:
        >>> import tempfile
        >>> locate(Workspace.open(tempfile.mkdtemp()), "ab" * 32).rpartition("/artifacts/")[2]
        'sha256/ab/abababababababababababababababababababababababababababababababab'
    """
    return urls.join(ws.artifacts_url, "sha256", check_digest(digest)[:2], digest)


def put_bytes(ws: Workspace, data: bytes) -> str:
    """Store `data` and return its digest.

    Raises:
        StorageError: The storage is full, read-only or unreachable; nothing half-written stays.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> get_bytes(ws, put_bytes(ws, b"hello"))
        b'hello'
    """
    digest = hashlib.sha256(data).hexdigest()
    _store(ws, digest, len(data), io.BytesIO(data))
    return digest


def put_file(ws: Workspace, path: str | Path) -> str:
    """Store a local file, streamed, and return its digest.

    Raises:
        NotFound: `path` is not a file.
        StorageError: The storage is full, read-only or unreachable; nothing half-written stays.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> put_file(ws, __file__) == put_file(ws, __file__)
        True
    """
    file = Path(path)
    if not file.is_file():
        raise NotFound(f"file {str(file)!r} does not exist: name a regular file")
    with _failures(str(file)), file.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        size = source.tell()
        source.seek(0)
        _store(ws, digest, size, source)
    return digest


def get_bytes(ws: Workspace, digest: str) -> bytes:
    """The content of a stored file, after its hash was checked.

    Raises:
        ArtifactCorrupt: It is missing, or its content changed.
        StorageError: The storage is unreachable.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> get_bytes(ws, put_bytes(ws, b"model"))
        b'model'
    """
    sink = io.BytesIO()
    _fetch(ws, digest, sink)
    return sink.getvalue()


def fetch_file(ws: Workspace, digest: str, dest: str | Path) -> Path:
    """Copy a stored file to `dest`, whose folder is created. It appears whole and checked, or not at all.

    Raises:
        ArtifactCorrupt: The stored file is missing, or its content changed.
        StorageError: The storage is unreachable, or `dest` cannot be written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fetch_file(ws, put_bytes(ws, b"hello"), Path(ws.root) / "copy").read_bytes()
        b'hello'
    """
    target = Path(dest)
    partial = target.with_name(f".{target.name}.{uuid4().hex}")
    with _failures(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as sink:
                _fetch(ws, digest, sink)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def _store(ws: Workspace, digest: str, size: int, source: BinaryIO) -> None:
    url = locate(ws, digest)
    with _failures(url):
        files, path = urls.filesystem(url)
        if _size(files, path) == size:
            return
        partial = f"{path.rpartition('/sha256/')[0]}/partial/{uuid4().hex}"
        if urls.is_local(url):  # object stores have no folders
            for file in (path, partial):
                files.create_dir(file.rpartition("/")[0], recursive=True)
        try:
            _write(files, partial, source, digest)
            if urls.is_local(url):
                _sync(partial)
            files.move(partial, path)
        except BaseException:
            _discard(files, partial)
            raise


def _write(files: FileSystem, path: str, source: BinaryIO, digest: str) -> None:
    found = hashlib.sha256()
    with files.open_output_stream(path) as sink:
        for chunk in _chunks(source):
            found.update(chunk)
            sink.write(chunk)
    if found.hexdigest() != digest:
        raise StorageError(f"the file for artifact {digest} changed while it was stored: store it when it is complete")


def _fetch(ws: Workspace, digest: str, sink: BinaryIO) -> None:
    url = locate(ws, digest)
    found = hashlib.sha256()
    with _failures(url):
        files, path = urls.filesystem(url)
        try:
            source: Any = files.open_input_stream(path)
        except FileNotFoundError as error:
            raise ArtifactCorrupt(f"artifact {digest} is missing at {url}: restore it, or make it again") from error
        with source:
            for chunk in _chunks(source):
                found.update(chunk)
                sink.write(chunk)
    if found.hexdigest() != digest:
        raise ArtifactCorrupt(
            f"artifact {digest} at {url} has content with hash {found.hexdigest()}: restore it, or make it again"
        )


def _chunks(source: Any) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _size(files: FileSystem, path: str) -> int:
    info = files.get_file_info(path)
    return int(info.size) if info.is_file else -1


def _sync(path: str) -> None:
    """Content before name: after a power cut the moved file is whole."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(files: FileSystem, path: str) -> None:
    # The write has failed already; that its rest cannot be removed either must not hide why.
    try:
        files.delete_file(path)
    except OSError:
        return


@contextmanager
def _failures(url: str) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{url} cannot be read or written: {reason}. "
            "Check that the storage is reachable, writable and has free space"
        ) from error
