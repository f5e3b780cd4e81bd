"""Which files there are, and which of them were read: the cursor of every connector that reads files."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from ..core import SourceError, urls
from .connector import Cursor

_SAMPLED_BLOCKS = 16
_BLOCK = 4 * 1024 * 1024
_READ = 1024 * 1024
_CRC = "crc32:"
# Hashing lets other threads run; a store answers slowly, but many questions at once.
_HASHERS = 8
_GLOB = ("*", "?", "[")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a source.

    Attributes:
        path: Absolute local path or URL.
        size: Bytes.
        modified: Time of the last change, nanoseconds since 1970.
    """

    path: str
    size: int
    modified: int

    def open(self) -> Any:
        """A seekable handle."""
        store, path = urls.filesystem(self.path)
        return store.open_input_file(path)


def find_files(paths: Sequence[str]) -> list[FoundFile]:
    """Every file that the paths and globs name, each once, sorted by path.

    Raises:
        SourceError: A path does not exist, is a folder or an empty file, or a glob matches nothing.
    """
    found: dict[str, FoundFile] = {}
    for path in paths:
        url = urls.normalise(path)
        matches = _glob(url) if any(mark in url for mark in _GLOB) else [_one(url)]
        if not matches:
            raise SourceError(f"no file matches {path!r}: correct the pattern, or put files there first")
        found.update({file.path: file for file in matches})
    for file in found.values():
        if file.size == 0:
            raise SourceError(f"file {file.path} is empty (0 bytes): replace or remove it")
    return [found[path] for path in sorted(found)]


def _one(url: str) -> FoundFile:
    store, path = urls.filesystem(url)
    try:
        info = store.get_file_info(path)
    except OSError as error:
        raise SourceError(f"{url} cannot be read: {error}. Check address and credentials") from error
    if info.type == fs.FileType.NotFound:
        raise SourceError(f"file {url} does not exist: correct the path")
    if info.type == fs.FileType.Directory:
        raise SourceError(f"{url} is a folder: name its files, such as {url}/*.csv")
    return FoundFile(url, info.size, info.mtime_ns or 0)


def _glob(url: str) -> list[FoundFile]:
    if urls.is_local(url):
        anchor = Path(Path(url).anchor)
        matches = anchor.glob(str(Path(url).relative_to(anchor)))
        return [_one(str(path)) for path in matches if path.is_file()]
    fixed = url[: min(url.index(mark) for mark in _GLOB if mark in url)].rpartition("/")[0]
    store, folder = urls.filesystem(fixed)
    try:
        listing = store.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    except OSError as error:
        raise SourceError(f"{fixed} cannot be listed: {error}. Check address and credentials") from error
    named = [(fixed + info.path[len(folder) :], info) for info in listing if info.type == fs.FileType.File]
    return [FoundFile(name, info.size, info.mtime_ns or 0) for name, info in named if fnmatch(name, url)]


def unread(files: Sequence[FoundFile], cursor: Cursor | None) -> tuple[list[FoundFile], dict[str, Any]]:
    """The files that `cursor` does not know, and the cursor after them.

    A file is known by path and content: one that was only touched or copied back is not read again.

    Raises:
        SourceError: A file that was read has other content now. Reading it again would double rows.
    """
    known: Mapping[str, Any] = (cursor or {}).get("files", {})
    after: dict[str, Any] = dict(known)
    new = []
    changed = [file for file in files if list(known.get(file.path, ()))[:2] != [file.size, file.modified]]
    with ThreadPoolExecutor(_HASHERS, thread_name_prefix="digest") as pool:
        before_each = [known[file.path][2] if file.path in known else None for file in changed]
        digests = list(pool.map(content_digest, changed, before_each))
    for file, digest in zip(changed, digests, strict=True):
        before = known.get(file.path)
        if before is None:
            new.append(file)
        elif before[2] != digest:
            raise SourceError(
                f"file {file.path} changed after it was ingested: give new rows a new file name, "
                "or declare the source with mode='overwrite' to read everything again"
            )
        after[file.path] = [file.size, file.modified, digest]
    return new, {"files": after}


def content_digest(file: FoundFile, like: str | None = None) -> str:
    """CRC-32 over the content; of files above 64 MiB, over the size and sixteen evenly spaced blocks.

    It tells a file that was only touched from one that was edited, which needs no more; SHA-256 takes three times as
    long.

    Args:
        file: The file.
        like: A digest to compare with: older cursors hold SHA-256.
    """
    old = like is not None and not like.startswith(_CRC)
    digest: Any = hashlib.sha256() if old else _Crc()
    digest.update(str(file.size).encode())
    try:
        with file.open() as handle:
            if file.size <= _SAMPLED_BLOCKS * _BLOCK:
                while block := handle.read_buffer(_READ):
                    digest.update(block)
            else:
                for index in range(_SAMPLED_BLOCKS):
                    handle.seek((file.size - _BLOCK) * index // (_SAMPLED_BLOCKS - 1))
                    digest.update(handle.read_buffer(_BLOCK))
    except OSError as error:
        raise SourceError(f"file {file.path} cannot be read: {error}. Check its permissions") from error
    return str(digest.hexdigest())


class _Crc:
    def __init__(self) -> None:
        self._value = 0

    def update(self, block: bytes | pa.Buffer) -> None:
        self._value = zlib.crc32(block, self._value)

    def hexdigest(self) -> str:
        return f"{_CRC}{self._value:08x}"
