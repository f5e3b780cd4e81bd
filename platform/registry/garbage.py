"""Removing stored files that nothing refers to.

What refers to a file is found without knowing who might: any 64 hexadecimal digits in any text of the registry count
as a reference, and so does what a referenced folder lists. Whoever adds a table with digests in it has nothing to
register. The collector looks at one consistent state of the registry, and touches no file that was stored (or stored
again) less than `older_than` ago: that time covers the way from storing a file to recording it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Table, Text, func, inspect, select
from sqlalchemy.types import TypeDecorator
from sqlmodel import Session

from ..core import ArtifactCorrupt, DataError, Workspace, urls
from .artifacts import check_digest, failures, locate, read_artifact, sweep_lock
from .engine import now, reading
from .folders import read_manifest
from .schema import MAPPERS

_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_LARGEST_MANIFEST = 256 << 20  # bytes; a larger file lists no folder
_ROWS = 1000  # read at a time


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did.

    Attributes:
        removed: Number of files.
        freed: Their bytes.
        kept: Number of files that stay, because something refers to them or they are young.
    """

    removed: int
    freed: int
    kept: int


def collect_garbage(ws: Workspace, *, older_than: timedelta = timedelta(days=1), dry_run: bool = False) -> Collected:
    """Remove stored files that nothing in the registry refers to. Writers may go on meanwhile.

    Args:
        ws: The workspace.
        older_than: Files stored more recently stay. It must exceed the time between storing a file and recording
            it, as of a long training run; on an object store, whose files cannot be renewed in place, use at least
            the default of a day.
        dry_run: Only say what would be removed.

    Returns:
        The files removed and the bytes freed, unfinished uploads included.

    Raises:
        DataError: `older_than` is negative.
        ArtifactCorrupt: A referenced folder cannot be read: nothing is removed, as its files would be unknown.
        StorageError: The storage or the registry is unreachable.

    Example:
        >>> import tempfile
        >>> from raylake.registry import put_bytes
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> digest = put_bytes(ws, b"forgotten")
        >>> collect_garbage(ws).removed, collect_garbage(ws, older_than=timedelta(0)).freed
        (0, 9)
    """
    if older_than < timedelta(0):
        raise DataError(f"older_than {older_than} is negative: use timedelta(days=1) or another time back")
    newest = (now() - older_than).timestamp()
    stored = {info.base_name: info for info in _files(ws, "sha256")}
    used = _referenced(ws, stored)
    forgotten = [info for name, info in stored.items() if name not in used and _DIGEST.fullmatch(name)]
    unfinished = _files(ws, "partial")
    removed = freed = 0
    for info in [*forgotten, *unfinished]:
        if _age_of(info) <= newest and (dry_run or _remove(ws, info.path, newest)):
            removed, freed = removed + 1, freed + int(info.size)
    return Collected(removed, freed, len(stored) + len(unfinished) - removed)


def _files(ws: Workspace, folder: str) -> list[Any]:
    from pyarrow.fs import FileSelector

    url = urls.join(ws.artifacts_url, folder)
    with failures(url):
        files, path = urls.filesystem(url)
        found = files.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
    return [info for info in found if info.is_file]


def _age_of(info: Any) -> float:
    return float(info.mtime_ns) / 1e9


def _remove(ws: Workspace, path: str, newest: float) -> bool:
    """Remove a file, unless somebody has stored it again in the meantime."""
    with failures(path), sweep_lock(ws, exclusive=True):
        files, _ = urls.filesystem(ws.artifacts_url)
        info = files.get_file_info(path)
        if not info.is_file or _age_of(info) > newest:
            return False
        files.delete_file(path)
        return True


def _referenced(ws: Workspace, stored: dict[str, Any]) -> set[str]:
    """The stored files that the registry names, and those that the folders among them list."""
    with reading(ws) as session:
        if session.get_bind().dialect.name == "postgresql":
            # Its reads see the newest commit each: a reference that moves from one table to another could be missed.
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        named = {digest for text in _texts(session) for digest in _DIGEST.findall(text)}
    used = named & stored.keys()
    for digest in [*used]:
        used.update(_listed(ws, digest, int(stored[digest].size)))
    return used


def _texts(session: Session) -> Iterator[str]:
    present = set(inspect(session.connection()).get_table_names())
    for table in MAPPERS.metadata.sorted_tables:
        for column in table.columns if table.name in present else ():
            if _is_text(column.type):
                yield from _long_values(session, table, column)


def _long_values(session: Session, table: Table, column: Any) -> Iterator[str]:
    text = column.cast(Text)  # as it is stored, also where it is JSON
    query = select(text).select_from(table).where(func.length(text) >= 64)
    for row in session.execute(query.execution_options(yield_per=_ROWS)):
        yield row[0]


def _is_text(kind: Any) -> bool:
    return isinstance(kind.impl if isinstance(kind, TypeDecorator) else kind, Text)


def _listed(ws: Workspace, digest: str, size: int) -> set[str]:
    if size > _LARGEST_MANIFEST or not _opens_a_list(ws, digest):
        return set()
    try:
        return {entry["sha256"] for entry in read_manifest(ws, digest).values()}
    except ArtifactCorrupt:
        if _is_whole(ws, digest):
            return set()  # JSON of another kind
        raise


def _opens_a_list(ws: Workspace, digest: str) -> bool:
    with failures(digest):
        files, path = urls.filesystem(locate(ws, check_digest(digest)))
        with files.open_input_stream(path) as source:
            return bool(source.read(1) == b"{")


def _is_whole(ws: Workspace, digest: str) -> bool:
    try:
        for _ in read_artifact(ws, digest):
            pass
    except ArtifactCorrupt:
        return False
    return True
