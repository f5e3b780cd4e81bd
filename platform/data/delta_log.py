"""Opening Delta tables and reading what raylake wrote into their log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from pyarrow import fs

from ..core import NotFound, Ref, SchemaMismatch, StorageError, Workspace, urls
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
    """

    version: int
    timestamp: int
    operation: str
    facts: Mapping[str, Any]


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
        _check_features(table, url)
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
    store, folder = urls.filesystem(urls.join(url, "_delta_log"))
    for version in range(table.version(), -1, -1):
        try:
            with store.open_input_stream(f"{folder}/{version:020d}.json") as stream:
                lines = stream.read().splitlines()
        except FileNotFoundError:
            return
        yield _entry(version, lines)


def _entry(version: int, lines: list[bytes]) -> LogEntry:
    info: dict[str, Any] = next((json.loads(line)["commitInfo"] for line in lines if b'"commitInfo"' in line), {})
    facts = info.get(METADATA_KEY)
    return LogEntry(
        version=version,
        timestamp=int(info.get("timestamp", 0)),
        operation=str(info.get("operation", "")),
        facts=json.loads(facts) if facts else {},
    )


def arrow_schema(table: DeltaTable) -> pa.Schema:
    """The table's columns as Arrow types."""
    return pa.schema(table.schema().to_arrow())


def count_rows(table: DeltaTable) -> int | None:
    """Rows of this version from the log alone, or ``None`` when a file has no statistics."""
    counts = pa.table(table.get_add_actions()).column("num_records")
    return None if counts.null_count else sum(counts.to_pylist())


def _check_features(table: DeltaTable, url: str) -> None:
    protocol = table.protocol()
    features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
    mapped = table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none"
    used = features & {"deletionVectors", "v2Checkpoint"} | ({"columnMapping"} if mapped else set())
    if used:
        raise SchemaMismatch(
            f"table {url} uses Delta features that raylake cannot read: {', '.join(sorted(used))}. "
            "Rewrite the table without them"
        )
