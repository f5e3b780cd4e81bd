"""What a backup consists of: contents named by their hash, and lists of which content stood under which name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pyarrow import fs

from ..core import ArtifactCorrupt, Conflict, NotFound, urls
from .storage_errors import storage_errors

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of a workspace inside a backup.

    Attributes:
        path: Name relative to the workspace's root.
        size: Bytes.
        modified: Nanoseconds since 1970 when it was copied.
        digest: SHA-256 of its content.
    """

    path: str
    size: int
    modified: int
    digest: str


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup.

    Attributes:
        id: Its name; later ones sort after earlier ones.
        made_at: When it was begun, UTC.
        tables: Table to the version that it holds.
        files: Number of files.
        bytes: Their size.
        copied: Bytes that had to be copied for it.
    """

    id: str
    made_at: datetime
    tables: dict[str, int]
    files: int
    bytes: int
    copied: int


class Copier:
    """Copies files to a backup's objects; knows what is there already."""

    def __init__(self, target: str, known: dict[str, Stored]) -> None:
        self.target = target
        self.known = known
        self.copied: list[int] = []

    def file(self, root: str, path: str) -> Stored:
        """Make sure that a file's content is in the backup."""
        store, source = urls.filesystem(f"{root}/{path}")
        with storage_errors(f"{root}/{path}"):
            info = store.get_file_info(source)
            if info.type != fs.FileType.File:
                raise Conflict(f"{path} was removed while it was backed up: run the backup again")
            before = self.known.get(path)
            modified = int(info.mtime_ns or 0)
            if before and (before.size, before.modified) == (info.size, modified):
                return before
            digest = self._put(store, source)
        return Stored(path, int(info.size), modified, digest)

    def _put(self, store: fs.FileSystem, source: str) -> str:
        # Read twice, since the name is the hash: what is there already is then not sent.
        with store.open_input_stream(source) as reader:
            digest, size = _hash(reader)
        url = f"{self.target}/objects/{digest[:2]}/{digest}"
        target, path = urls.filesystem(url)
        if target.get_file_info(path).size != size:
            with store.open_input_stream(source) as reader:
                _write_whole(url, _checked(_chunks(reader), digest, source))
            self.copied.append(size)
        return digest


def listing(url: str) -> dict[str, int]:
    """Files below a folder: name to size."""
    store, folder = urls.filesystem(url)
    with storage_errors(url):
        found = store.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    return {info.path[len(folder) + 1 :]: int(info.size) for info in found if info.type == fs.FileType.File}


def bring(root: str, one: Stored, to: str) -> None:
    """Copy a content out of a backup; it appears whole and checked, or not at all."""
    with storage_errors(to):
        _write_whole(to, _content(root, one))


def check(root: str, one: Stored) -> None:
    """Raise `ArtifactCorrupt` unless the content is there and unchanged."""
    for _ in _content(root, one):
        continue


def _content(root: str, one: Stored) -> Iterator[bytes]:
    store, folder = urls.filesystem(root)
    found = hashlib.sha256()
    try:
        with store.open_input_stream(f"{folder}/objects/{one.digest[:2]}/{one.digest}") as reader:
            for chunk in _chunks(reader):
                found.update(chunk)
                yield chunk
    except FileNotFoundError as error:
        raise ArtifactCorrupt(
            f"the content of {one.path} is missing in the backup {root}: make a new backup"
        ) from error
    if found.hexdigest() != one.digest:
        raise ArtifactCorrupt(
            f"the content of {one.path} in the backup {root} has changed (hash {found.hexdigest()}, expected "
            f"{one.digest}): use another backup, and make a new one"
        )


def _chunks(reader: Any) -> Iterator[bytes]:
    while chunk := reader.read(_CHUNK):
        yield chunk


def _checked(chunks: Iterable[bytes], digest: str, name: str) -> Iterator[bytes]:
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
        yield chunk
    if found.hexdigest() != digest:
        raise Conflict(f"{name} changed while it was backed up: run the backup again")


def _hash(reader: Any) -> tuple[str, int]:
    found, size = hashlib.sha256(), 0
    for chunk in _chunks(reader):
        found.update(chunk)
        size += len(chunk)
    return found.hexdigest(), size


def put_text(url: str, text: bytes) -> None:
    """Write a small file, which appears whole or not at all."""
    with storage_errors(url):
        _write_whole(url, [text])


def _write_whole(url: str, chunks: Iterable[bytes]) -> None:
    """Write a file that appears at its end; after an error nothing stays under its name.

    On a local disk under another name first. A store shows an object when its upload ends; one that an error ended
    early is removed, and a killed upload never ends.
    """
    store, path = urls.filesystem(url)
    local = urls.is_local(url)
    urls.writable_folder(url.rpartition("/")[0])
    written = f"{path}.{uuid4().hex}.partial" if local else path
    try:
        with store.open_output_stream(written) as writer:
            for chunk in chunks:
                writer.write(chunk)
        if local:
            store.move(written, path)
    except BaseException:
        if store.get_file_info(written).is_file:
            store.delete_file(written)
        raise


def backups(source: str | Path) -> list[Backup]:
    """The backups below a root, oldest first.

    Example:
        >>> import tempfile
        >>> backups(tempfile.mkdtemp())
        []
    """
    root = urls.normalise(source)
    return [read_backup(root, name) for name in _names(root)]


def find_backup(root: str, wanted: str | None) -> Backup:
    """The backup with this id, or the newest."""
    names = _names(root)
    chosen = names[-1:] if wanted is None else [name for name in names if name == wanted]
    if not chosen:
        listed = ", ".join(names) or "none"
        what = "no backup" if wanted is None else f"no backup {wanted!r}"
        raise NotFound(f"there is {what} at {root}; backups: {listed}")
    return read_backup(root, chosen[0])


def newest_files(root: str) -> dict[str, Stored]:
    """The files of the newest backup by their names; empty when there is none."""
    return {one.path: one for name in _names(root)[-1:] for one in files_of(root, name)}


def _names(root: str) -> list[str]:
    store, folder = urls.filesystem(f"{root}/backups")
    with storage_errors(root):
        found = store.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    return sorted(info.base_name.removesuffix(".json") for info in found if info.base_name.endswith(".json"))


def _manifest(root: str, name: str) -> dict[str, Any]:
    store, path = urls.filesystem(f"{root}/backups/{name}.json")
    with storage_errors(root), store.open_input_stream(path) as stream:
        return dict(json.loads(stream.read()))


def read_backup(root: str, name: str) -> Backup:
    """What a backup says about itself."""
    told = _manifest(root, name)
    told.pop("stored")
    return Backup(**{**told, "made_at": datetime.fromisoformat(told["made_at"])})


def files_of(root: str, name: str) -> list[Stored]:
    """The files of a backup."""
    return [Stored(**one) for one in _manifest(root, name)["stored"]]
