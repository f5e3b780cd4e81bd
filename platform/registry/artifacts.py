"""Artifacts: files named by the SHA-256 of their content, below ``<root>/artifacts``, on any storage URL.

A file is written under a temporary name, then moved: under its digest it is whole or absent. Equal content is
stored once. What is read is hashed again. Storing what is stored already makes it young again, and happens under a
lock that the garbage collector takes too, so that it never removes what somebody has just been told to be stored.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from ..core import ArtifactCorrupt, InvalidName, NotFound, StorageError, Workspace, urls

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

CHUNK = 1 << 20
RENEW_SECONDS = 6 * 3600.0  # on an object store, an older file is written again instead of shared
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
    with failures(str(file)), file.open("rb") as source:
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
    with failures(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as sink:
                _fetch(ws, digest, sink)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


class Incoming:
    """A file that arrives in pieces: `write` each, then `finish`; `discard` after a failure. Not thread-safe.

    Memory stays constant, and nothing is visible before `finish`.

    Args:
        ws: The workspace.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> incoming = Incoming(ws)
        >>> incoming.write(b"hel")
        >>> incoming.write(b"lo")
        >>> get_bytes(ws, incoming.finish()), incoming.size
        (b'hello', 5)
    """

    def __init__(self, ws: Workspace) -> None:
        self.size = 0
        self._ws = ws
        self._hash = hashlib.sha256()
        url = partial_url(ws, uuid4().hex)
        with failures(url):
            self._files, self._partial = urls.filesystem(url)
            _make_parent(ws, self._files, self._partial)
            self._sink = self._files.open_output_stream(self._partial)

    def write(self, chunk: bytes) -> None:
        """Append `chunk`.

        Raises:
            StorageError: The storage is full, read-only or unreachable.
        """
        with failures(self._partial):
            self._sink.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def finish(self) -> str:
        """Store what arrived and return its digest.

        Raises:
            StorageError: The storage is full, read-only or unreachable; nothing half-written stays.
        """
        digest = self._hash.hexdigest()
        try:
            with failures(self._partial):
                self._sink.close()
                _settle(self._ws, self._files, self._partial, digest, self.size)
        except BaseException:
            discard(self._files, self._partial)
            raise
        return digest

    def keep(self, name: str) -> str:
        """Leave what arrived among the unfinished files as `name`, for `partial_url`, and return its digest.

        Raises:
            StorageError: The storage is full, read-only or unreachable; nothing half-written stays.
        """
        try:
            with failures(self._partial):
                self._sink.close()
                self._files.move(self._partial, urls.filesystem(partial_url(self._ws, name))[1])
        except BaseException:
            discard(self._files, self._partial)
            raise
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Forget what arrived."""
        with failures(self._partial):
            self._sink.close()
        discard(self._files, self._partial)


def partial_url(ws: Workspace, name: str) -> str:
    """Where a file lies while it is written."""
    return urls.join(ws.artifacts_url, "partial", name)


@contextmanager
def sweep_lock(ws: Workspace, *, exclusive: bool = False) -> Iterator[None]:
    """Shared by those who store, exclusive to the collector; on the local disk only."""
    if not urls.is_local(ws.root):
        yield
        return
    try:
        descriptor = os.open(urls.join(ws.root, "artifacts.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        # Nobody can remove anything from a disk that cannot be written.
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _store(ws: Workspace, digest: str, size: int, source: BinaryIO) -> None:
    url = locate(ws, digest)
    with failures(url):
        files, path = urls.filesystem(url)
        with sweep_lock(ws):
            if _renewed(ws, files, path, size):
                return
        partial = urls.filesystem(partial_url(ws, uuid4().hex))[1]
        _make_parent(ws, files, partial)
        try:
            _write(files, partial, source, digest)
            _settle(ws, files, partial, digest, size)
        except BaseException:
            discard(files, partial)
            raise


def _settle(ws: Workspace, files: FileSystem, partial: str, digest: str, size: int) -> None:
    """Move a complete file under its digest, or drop it when it is there already."""
    path = urls.filesystem(locate(ws, digest))[1]
    if urls.is_local(ws.root):
        _sync(partial)
    _make_parent(ws, files, path)
    with sweep_lock(ws):
        if _renewed(ws, files, path, size):
            discard(files, partial)
        else:
            files.move(partial, path)


def _renewed(ws: Workspace, files: FileSystem, path: str, size: int) -> bool:
    """Whether the file is there; if so, it is young again."""
    info = files.get_file_info(path)
    if not info.is_file or int(info.size) != size:
        return False
    if urls.is_local(ws.root):
        try:
            os.utime(path)
        except OSError as error:
            # A disk that cannot be written is not collected either.
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
        return True
    # Object stores cannot renew the time of a file: one that is old is written again.
    return time.time() - float(info.mtime_ns or 0) / 1e9 < RENEW_SECONDS


def _make_parent(ws: Workspace, files: FileSystem, path: str) -> None:
    if urls.is_local(ws.root):  # object stores have no folders
        files.create_dir(path.rpartition("/")[0], recursive=True)


def _write(files: FileSystem, path: str, source: BinaryIO, digest: str) -> None:
    found = hashlib.sha256()
    with files.open_output_stream(path) as sink:
        for chunk in chunks(source):
            found.update(chunk)
            sink.write(chunk)
    if found.hexdigest() != digest:
        raise StorageError(f"the file for artifact {digest} changed while it was stored: store it when it is complete")


def read_artifact(ws: Workspace, digest: str) -> Iterator[bytes]:
    """The content of a stored file in pieces of at most 1 MiB, hashed on the way.

    The last piece comes after the hash was checked: a changed file is never handed out whole.

    Raises:
        ArtifactCorrupt: It is missing, or its content changed.
        StorageError: The storage is unreachable.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> list(read_artifact(ws, put_bytes(ws, b"hello")))
        [b'hello']
    """
    url = locate(ws, digest)
    found, held = hashlib.sha256(), b""
    with failures(url):
        files, path = urls.filesystem(url)
        try:
            source: Any = files.open_input_stream(path)
        except FileNotFoundError as error:
            raise ArtifactCorrupt(f"artifact {digest} is missing at {url}: restore it, or make it again") from error
        with source:
            for chunk in chunks(source):
                found.update(chunk)
                if held:
                    yield held
                held = chunk
    if found.hexdigest() != digest:
        raise ArtifactCorrupt(
            f"artifact {digest} at {url} has content with hash {found.hexdigest()}: restore it, or make it again"
        )
    if held:
        yield held


def _fetch(ws: Workspace, digest: str, sink: BinaryIO) -> None:
    for chunk in read_artifact(ws, digest):
        sink.write(chunk)


def chunks(source: Any) -> Iterator[bytes]:
    """What a stream holds, in pieces."""
    while chunk := source.read(CHUNK):
        yield chunk


def _sync(path: str) -> None:
    """Content before name: after a power cut the moved file is whole."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(files: FileSystem, path: str) -> None:
    """Remove a file if that is possible."""
    # The write has failed already; that its rest cannot be removed either must not hide why.
    try:
        files.delete_file(path)
    except OSError:
        return


@contextmanager
def failures(url: str) -> Iterator[None]:
    """The boundary at which errors of file systems become raylake's."""
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
