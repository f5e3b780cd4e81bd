"""Versions of a table as things to go to and to compare: by time, restored, and what changed between them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError

from ..core import ConfigError, Conflict, NotFound, Ref, Workspace
from ..registry import TableVersion
from .commits import Committed, find_committed, find_marked
from .delta_log import METADATA_KEY, LogEntry, arrow_schema, count_rows, entries, require
from .features import check_writable
from .keyed import frame_of
from .live_files import LiveFile, file_dataset
from .storage_errors import storage_errors
from .write import to_version

CHANGE, VERSION, TIME = "_change_type", "_commit_version", "_commit_timestamp"
_ROUNDS = 20


def version_at(ws: Workspace, name: str, moment: datetime) -> Ref:
    """The version of a table that was the newest at a moment.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``.
        moment: The instant; without a zone it counts as UTC.

    Returns:
        A pinned reference, for `table`, `read`, `restore`, ...

    Raises:
        NotFound: The table does not exist, or did not then; the message tells since when it does.

    Example:
        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "numbers", pa.table({"n": [1]}))
        >>> str(version_at(ws, "numbers", datetime.now(UTC)))
        'numbers@1'
    """
    ref = Ref.parse(name)
    opened = require(ws, Ref(ref.name, namespace=ref.namespace))
    wanted = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
    first: LogEntry | None = None
    for entry in entries(opened, ws.table_url(ref)):
        if entry.version == 0 and entry.operation == "CREATE TABLE":
            break
        if entry.timestamp <= wanted:
            return ref.at(entry.version)
        first = entry
    since = "" if first is None else f"; its first version is of {_moment(first).isoformat()}"
    raise NotFound(f"table {str(ref)!r} had no version at {moment.isoformat()}{since}")


def restore(ws: Workspace, ref: Ref | str, *, app: tuple[str, int] | None = None, record: bool = True) -> TableVersion:
    """Make an old version the newest again, as a new version; what was written in between stays in the history.

    Sources do not read again what they have read already, also when its rows are no longer there.

    Args:
        ws: The workspace.
        ref: The version to go back to, ``flights@3``.
        app: Application transaction (id, version), as for `write`.
        record: Whether to record the version in the registry.

    Raises:
        ConfigError: `ref` pins no version.
        NotFound: There is no such version, or a clean-up has removed its files.
        Conflict: Others write the table all the time; nothing was changed.

    Example:
        >>> import tempfile
        >>> from raylake.data import table, write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> for n in (1, 2):
        ...     _ = write(ws, "numbers", pa.table({"n": [n]}))
        >>> str(restore(ws, "numbers@1")), table(ws, "numbers")["n"].to_pylist()
        ('numbers@3', [1])
    """
    wanted = Ref.parse(ref) if isinstance(ref, str) else ref
    if wanted.version is None:
        raise ConfigError(f"{str(wanted)!r} pins no version to restore: name it, such as {wanted.name}@3")
    unpinned = Ref(wanted.name, namespace=wanted.namespace)
    url = ws.table_url(unpinned)
    if app is not None and (done := find_committed(url, app)) is not None:
        return to_version(ws, unpinned, done, record=record)
    require(ws, wanted)
    for _ in range(_ROUNDS):
        table = require(ws, unpinned)
        check_writable(table, url, removes=True)
        if table.version() == wanted.version:
            told = {"operation": "restore"}
            same = Committed(table.version(), count_rows(table), arrow_schema(table), told, repeated=True)
            return to_version(ws, unpinned, same, record=record)
        mark = uuid.uuid4().hex
        try:
            with storage_errors(url):
                _restore_once(table, wanted.version, mark, app)
        except Conflict:
            continue
        return to_version(ws, unpinned, find_marked(url, mark), record=record)
    raise Conflict(f"table {unpinned} is written by others all the time: nothing was changed; restore it later")


def _restore_once(table: DeltaTable, version: int, mark: str, app: tuple[str, int] | None) -> None:
    facts = {"operation": "restore", "commit": mark, "restored": version, "app": list(app) if app else None}
    try:
        table.restore(
            version,
            commit_properties=CommitProperties(
                custom_metadata={METADATA_KEY: json.dumps(facts)},
                max_commit_retries=0,
                app_transactions=[Transaction(*app)] if app else None,
            ),
        )
    except DeltaError as error:
        # deltalake has no class of its own for a missing file.
        if "not found" in str(error).lower() or "missing" in str(error).lower():
            raise NotFound(
                f"version {version} cannot be restored, a clean-up has removed its files: {error}"
            ) from error
        raise


def changes(ws: Workspace, name: str, *, since: int, until: int | None = None, key: Sequence[str] = ()) -> pa.Table:
    """The rows that changed between two versions: a change data feed of any table, without having asked for it before.

    Rows that were only copied from file to file do not appear. The work is done when it is read: it takes reading the
    files that came and went, and holding their rows.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``.
        since: Changes after this version; 0 for all.
        until: Changes up to and with this version; the newest by default.
        key: Columns that identify a row; with them a row that went and came with other values is an update. For
            versions that `merge` or `scd2` made, their key counts.

    Returns:
        The rows with ``_change_type`` (insert, delete, update_preimage, update_postimage), ``_commit_version`` and
        ``_commit_timestamp``, by version.

    Raises:
        NotFound: There is no such table or version, or a clean-up has removed a file that is needed.

    Example:
        >>> import tempfile
        >>> from raylake.data import merge
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = merge(ws, "stock", pa.table({"id": [1, 2], "n": [5, 5]}), key=["id"])
        >>> version = merge(ws, "stock", pa.table({"id": [2], "n": [6]}), key=["id"])
        >>> [(row["id"], row["n"], row["_change_type"]) for row in changes(ws, "stock", since=1).to_pylist()]
        [(2, 5, 'update_preimage'), (2, 6, 'update_postimage')]
    """
    ref = Ref.parse(name)
    opened = require(ws, Ref(ref.name, version=until, namespace=ref.namespace))
    url = ws.table_url(ref)
    schema = arrow_schema(opened)
    full = schema
    for extra in (
        pa.field(CHANGE, pa.string()),
        pa.field(VERSION, pa.int64()),
        pa.field(TIME, pa.timestamp("us", "UTC")),
    ):
        full = full.append(extra)
    found = []
    for entry in entries(opened, url):
        if entry.version <= since:
            break
        part = _changes_of(url, entry, schema, list(key) or list(entry.facts.get("key", ())))
        if part.height:
            found.append(part.to_arrow().select(full.names).cast(full))
    return pa.concat_tables(reversed(found)) if found else full.empty_table()


def _changes_of(url: str, entry: LogEntry, schema: pa.Schema, key: list[str]) -> pl.DataFrame:
    came = _rows(url, entry, [action for action in entry.added if action.get("dataChange", True)], schema)
    went = _rows(url, entry, [action for action in entry.removed if action.get("dataChange", True)], schema)
    if came.height and went.height:
        signed = pl.concat([came.with_columns(__sign=pl.lit(1)), went.with_columns(__sign=pl.lit(-1))])
        net = signed.group_by(schema.names, maintain_order=True).agg(pl.col("__sign").sum())
        net = net.with_columns(__times=pl.int_ranges(pl.col("__sign").abs())).filter(pl.col("__sign") != 0)
        net = net.explode("__times")
        came, went = (net.filter(pl.col("__sign") * sign > 0).select(schema.names) for sign in (1, -1))
    parts = [went.with_columns(pl.lit("delete").alias(CHANGE)), came.with_columns(pl.lit("insert").alias(CHANGE))]
    if key and came.height and went.height:
        named = {"delete": (went, came, "update_preimage"), "insert": (came, went, "update_postimage")}
        parts = [
            part.with_columns(pl.lit(word).alias(CHANGE))
            for kind, (mine, theirs, update) in named.items()
            for part, word in (
                (mine.join(theirs, on=key, how="anti"), kind),
                (mine.join(theirs, on=key, how="semi"), update),
            )
        ]
    moment = pl.lit(_moment(entry)).dt.cast_time_unit("us")
    return pl.concat(parts).with_columns(pl.lit(entry.version, pl.Int64).alias(VERSION), moment.alias(TIME))


def _rows(url: str, entry: LogEntry, actions: Sequence[dict[str, Any]], schema: pa.Schema) -> pl.DataFrame:
    parts = []
    for action in actions:
        file = LiveFile(action["path"], action.get("size") or 0, None, action.get("partitionValues") or {})
        try:
            parts.append(file_dataset(url, file, schema).to_table())
        except FileNotFoundError as error:
            raise NotFound(
                f"the changes of version {entry.version} of {url} can no longer be told: a clean-up removed "
                f"{file.path}. Ask for later versions"
            ) from error
    return frame_of(pa.concat_tables(parts) if parts else schema.empty_table(), schema.names)


def _moment(entry: LogEntry) -> datetime:
    return datetime.fromtimestamp(entry.timestamp / 1000, UTC)
