"""Opening Delta tables and reading what raylake wrote into their log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from pyarrow import fs

from ..core import NotFound, Ref, StorageError, Workspace, urls
from .features import check_readable
from .storage_errors import storage_errors

METADATA_KEY = "raylake"
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One commit, as the log tells it.

    Attributes:
        version: The version that it made.
        timestamp: Milliseconds since 1970.
        operation: Delta's own name of the operation, such as ``WRITE``.
        facts: What raylake wrote beside it (empty for commits of other programs).
        added: Delta's ``add`` actions: the files that it brought.
        removed: Delta's ``remove`` actions: the files that it took out.
    """

    version: int
    timestamp: int
    operation: str
    facts: Mapping[str, Any]
    added: tuple[dict[str, Any], ...] = ()
    removed: tuple[dict[str, Any], ...] = ()


def open_delta(url: str, version: int | None = None) -> DeltaTable | None:
    """The table at `url`, or ``None`` when nothing was ever committed there.

    Raises:
        StorageError: It cannot be reached.
        SchemaMismatch: The table uses column mapping or deletion vectors, which would be read wrongly.
    """
    if _ESCAPE.search(url):
        raise StorageError(
            f"{url} holds a percent sign that reads as an escape, which deltalake decodes in some places only: "
            "choose a root without it"
        )
    with storage_errors(url):
        try:
            table = DeltaTable(url, version=version)
        except TableNotFoundError:
            return None
        check_readable(table, url)
    return table


def is_empty_creation(table: DeltaTable) -> bool:
    """Whether this is the empty version 0 that a first write makes: for readers no table yet."""
    return table.version() == 0 and not table.file_uris()


def require(ws: Workspace, ref: Ref) -> DeltaTable:
    """The table that `ref` names, at its version if pinned.

    Raises:
        NotFound: There is no such table or version; the message lists what there is.
    """
    url = ws.table_url(ref)
    newest = open_delta(url)
    if newest is None or is_empty_creation(newest):
        known = ", ".join(sorted(str(found) for found in list_tables(ws))) or "none"
        raise NotFound(f"table {str(Ref(ref.name, namespace=ref.namespace))!r} does not exist; tables: {known}")
    if ref.version is None or ref.version == newest.version():
        return newest
    if ref.version > newest.version():
        raise NotFound(f"table {ref.qualified!r} has no version {ref.version}; its newest is {newest.version()}")
    try:
        pinned = open_delta(url, ref.version)
    except StorageError as error:
        raise NotFound(f"version {ref.version} of table {ref.qualified!r} is gone: {error}") from error
    assert pinned is not None
    return pinned


def list_tables(ws: Workspace) -> list[Ref]:
    """Every table below the root, by its folder."""
    store, folder = urls.filesystem(urls.join(ws.root, "tables"))
    with storage_errors(ws.root):
        spaces = store.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        found = []
        for space in spaces:
            if space.type == fs.FileType.Directory:
                inside = store.get_file_info(fs.FileSelector(space.path))
                found += [Ref(info.base_name, namespace=space.base_name) for info in inside]
    return found


def entries(table: DeltaTable, url: str) -> Iterator[LogEntry]:
    """The commits up to the table's version, newest first; reads only as far back as is asked for.

    The log's files are read here because `DeltaTable.history` counts versions down from its snapshot while it lists the
    newest commits: when another writer commits in between, every version it tells is wrong.
    """
    for version in range(table.version(), -1, -1):
        lines = _log_lines(url, version)
        if lines is None:
            return
        yield _entry(version, lines)


def all_entries(table: DeltaTable, url: str) -> list[LogEntry]:
    """Every commit up to the table's version that is still in the log, oldest first."""
    if urls.is_local(url):
        return list(entries(table, url))[::-1]
    # A store answers slowly, but many questions at once.
    with ThreadPoolExecutor(32, thread_name_prefix="log") as pool:
        found = list(pool.map(lambda version: (version, _log_lines(url, version)), range(table.version() + 1)))
    return [_entry(version, lines) for version, lines in found if lines is not None]


def _log_lines(url: str, version: int) -> list[bytes] | None:
    name = f"{version:020d}.json"
    try:
        if urls.is_local(url):
            # pyarrow's file systems cost ten times this much for a small file, and paths twice.
            with open(f"{url}/_delta_log/{name}", "rb", buffering=0) as file:  # noqa: PTH123
                return file.read().splitlines()
        store, folder = urls.filesystem(urls.join(url, "_delta_log"))
        with store.open_input_stream(f"{folder}/{name}") as stream:
            return bytes(stream.read()).splitlines()
    except FileNotFoundError:
        return None


def _entry(version: int, lines: list[bytes]) -> LogEntry:
    actions = [orjson.loads(line) for line in lines if line]
    info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    facts = info.get(METADATA_KEY)
    return LogEntry(
        version=version,
        timestamp=int(info.get("timestamp", 0)),
        operation=str(info.get("operation", "")),
        facts=orjson.loads(facts) if facts else {},
        added=tuple(action["add"] for action in actions if "add" in action),
        removed=tuple(action["remove"] for action in actions if "remove" in action),
    )


@dataclass(slots=True)
class RowCounts:
    """Rows of a table while its commits are applied one after the other, from the log alone.

    Attributes:
        files: File to its rows (``None`` without statistics).
        complete: Whether the commits began with the table's first.
        known: Rows of the files with statistics.
        unknown: Number of files without.
    """

    files: dict[str, int | None] = field(default_factory=dict)
    complete: bool = False
    known: int = 0
    unknown: int = 0

    def apply(self, entry: LogEntry) -> None:
        """Take a commit into account."""
        self.complete |= entry.version == 0
        for action in entry.removed:
            self._count(self.files.pop(action["path"], 0), -1)
        for action in entry.added:
            self._count(self.files.pop(action["path"], 0), -1)
            stats = action.get("stats")
            rows = self.files[action["path"]] = orjson.loads(stats).get("numRecords") if stats else None
            self._count(rows, 1)

    def _count(self, rows: int | None, sign: int) -> None:
        self.known += sign * (rows or 0)
        self.unknown += sign * (rows is None)

    @property
    def total(self) -> int | None:
        """Rows of the version, or ``None`` when the log does not tell."""
        return self.known if self.complete and not self.unknown else None


def stored_schema(url: str) -> pa.Schema | None:
    """The columns of the table at `url`, or ``None`` when there is no table."""
    table = open_delta(url)
    return None if table is None else arrow_schema(table)


def arrow_schema(table: DeltaTable) -> pa.Schema:
    """The table's columns as Arrow types."""
    return pa.schema(table.schema().to_arrow())


def count_rows(table: DeltaTable) -> int | None:
    """Rows of this version from the log alone, or ``None`` when a file has no statistics."""
    counts = pa.table(table.get_add_actions()).column("num_records")
    return None if counts.null_count else int(pc.sum(counts).as_py() or 0)
