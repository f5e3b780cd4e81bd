"""What a backup consists of: contents named by their hash, and lists of which content stood under which name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
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

    def __init__(self, root: str, target: str, known: dict[str, Stored]) -> None:
        self.root = root
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
        target, folder = urls.filesystem(self.target)
        partial = f"{folder}/objects/partial-{uuid4().hex}"
        urls.writable_folder(f"{self.target}/objects")
        found, size = hashlib.sha256(), 0
        with store.open_input_stream(source) as reader, target.open_output_stream(partial) as writer:
            for chunk in _chunks(reader):
                found.update(chunk)
                writer.write(chunk)
                size += len(chunk)
        digest = found.hexdigest()
        urls.writable_folder(f"{self.target}/objects/{digest[:2]}")
        final = f"{folder}/objects/{digest[:2]}/{digest}"
        if target.get_file_info(final).is_file:
            target.delete_file(partial)
        else:
            target.move(partial, final)
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
    store, path = urls.filesystem(to)
    partial = f"{path}.{uuid4().hex}.partial"
    with storage_errors(to):
        urls.writable_folder(to.rpartition("/")[0])
        try:
            with store.open_output_stream(partial) as writer:
                for chunk in _content(root, one):
                    writer.write(chunk)
            store.move(partial, path)
        except BaseException:
            if store.get_file_info(partial).is_file:
                store.delete_file(partial)
            raise


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


def put_text(url: str, text: bytes) -> None:
    """Write a small file, which appears whole or not at all."""
    store, path = urls.filesystem(url)
    with storage_errors(url):
        urls.writable_folder(url.rpartition("/")[0])
        partial = f"{path}.{uuid4().hex}"
        with store.open_output_stream(partial) as out:
            out.write(text)
        store.move(partial, path)


def backups(source: str | Path) -> list[Backup]:
    """The backups below a root, oldest first.

    Example:
        >>> import tempfile
        >>> backups(tempfile.mkdtemp())
        []
    """
    root = urls.normalise(source)
    store, folder = urls.filesystem(f"{root}/backups")
    with storage_errors(root):
        found = store.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    names = sorted(info.base_name.removesuffix(".json") for info in found if info.base_name.endswith(".json"))
    return [read_backup(root, name) for name in names]


def find_backup(root: str, wanted: str | None) -> Backup:
    """The backup with this id, or the newest."""
    found = backups(root)
    chosen = found[-1:] if wanted is None else [one for one in found if one.id == wanted]
    if not chosen:
        listed = ", ".join(one.id for one in found) or "none"
        what = "no backup" if wanted is None else f"no backup {wanted!r}"
        raise NotFound(f"there is {what} at {root}; backups: {listed}")
    return chosen[0]


def latest_backup(root: str) -> Backup | None:
    """The newest backup, if there is one."""
    found = backups(root)
    return found[-1] if found else None


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
