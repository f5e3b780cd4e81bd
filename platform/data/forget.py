"""The right to be forgotten: rows deleted from a table and all that was derived from it, off the disk, with proof."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from .. import registry
from ..core import Node, Ref, Workspace, table_node
from .batches import meant
from .delete import delete_keys
from .delta_log import arrow_schema, is_empty_creation, open_delta, require
from .keyed import check_key, frame_of, match
from .leftovers import old_files
from .live_files import live_files, read_file
from .quarantine import QUARANTINE_SCHEMA
from .read import Filter, table
from .retention import purge
from .rewrite import Change, Plan, Rewriting, rewrite
from .write import to_version

_EVENT, _MARK = "forgotten", "trained-on-forgotten"


@dataclass(frozen=True, slots=True)
class ForgottenTable:
    """What was done to one table.

    Attributes:
        name: ``namespace.name``.
        version: The version without the rows.
        rows: Rows that were deleted.
        files: Files that were removed from disk.
        left: Rows with one of the keys that are still there; 0 is the proof.
    """

    name: str
    version: int
    rows: int
    files: int
    left: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What `forget` did.

    Attributes:
        keys: Number of keys that were forgotten.
        tables: The tables that were searched, derived ones first.
        unreachable: Derived tables that do not have the key columns: look at them yourself.
        models: ``name@version`` of the models trained on what was deleted.
        proof: Digest of the proof, a JSON artifact in the registry.
    """

    keys: int
    tables: tuple[ForgottenTable, ...]
    unreachable: tuple[str, ...]
    models: tuple[str, ...]
    proof: str


def forget(ws: Workspace, name: str, where: Filter, *, key: Sequence[str]) -> Forgotten:
    """Delete rows from a table and from every table derived from it by lineage, off the disk, and record the proof.

    The keys of the rows that `where` means, in any version that can still be read, are deleted from the derived
    tables first and from the table itself last: killed in between and run again, it goes on. Then the files, and the
    statistics in the logs, that held the rows are removed; older versions of these tables cannot be read
    afterwards. Rejected rows in quarantine go too, when their JSON holds the key.

    Models trained on any of it are not changed: each gets an event ``trained-on-forgotten`` and an alert.
    Backups are not touched: make a new one, then `prune_backups`.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``: where the rows came in.
        where: Which rows: ``[("patient", "==", "p7")]``, or a pyarrow expression.
        key: Columns that tell whose row it is; derived tables have them under the same names.

    Raises:
        NotFound: There is no such table.
        SchemaMismatch: A column does not exist.
        Conflict: Others write one of the tables all the time; run it again.
        StorageError: A file cannot be removed; run it again.

    Example:
        >>> import tempfile
        >>> from raylake.data import derive, write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "visits", pa.table({"patient": ["a", "b"], "n": [1, 2]}))
        >>> _ = derive(ws, "sums", "select patient, sum(n) as n from visits group by 1")
        >>> done = forget(ws, "visits", [("patient", "==", "a")], key=["patient"])
        >>> done.keys, [(one.name, one.rows, one.left) for one in done.tables]
        (1, [('main.sums', 1, 0), ('main.visits', 1, 0)])
    """
    ref = Ref.parse(name)
    ref = Ref(ref.name, namespace=ref.namespace)
    opened = require(ws, ref)
    check_key(key, arrow_schema(opened), ws.table_url(ref))
    keys = _keys(ws, ref, opened, where, list(key))
    below = registry.downstream(ws, table_node(ref))
    derived = list(dict.fromkeys(_table(edge.target) for edge in below if edge.target.kind == "table"))
    reachable, unreachable = _split(ws, [one for one in derived if one != ref], key)
    done = [_forget_in(ws, one, keys) for one in [*reversed(reachable), ref]]
    touched = {one.name for one in done if one.rows}
    models = sorted({str(edge.target) for edge in below if edge.target.kind == "model"}) if touched else []
    names = tuple(one.removeprefix("model:") for one in models)
    proof = _prove(ws, ref, keys.num_rows, done, unreachable, names)
    for node in map(Node.parse, models):
        registry.record_event(ws, _MARK, node, {"table": ref.qualified, "proof": proof})
        registry.record_alert(
            ws,
            severity="warning",
            subject=node,
            message=f"trained on rows of {ref} that have been forgotten since: retrain it",
            evidence={"proof": proof},
        )
    return Forgotten(keys.num_rows, tuple(done), tuple(unreachable), names, proof)


def _table(node: Node) -> Ref:
    return Ref.parse(node.name)


def _keys(ws: Workspace, ref: Ref, opened: DeltaTable, where: Filter, key: list[str]) -> pa.Table:
    """The keys that are meant, of the newest version and of older ones whose files are still there."""
    url = ws.table_url(ref)
    schema = arrow_schema(opened)
    sure = meant(where, schema)
    found = table(ws, ref, columns=key, filter=sure)
    wanted = {**{one: pc.field(one) for one in key}, "__hit": sure}
    older = [read_file(url, file, schema, wanted) for file in old_files(opened, url)]
    parts = [found, *(rows.filter(pc.field("__hit")).select(key) for rows in older)]
    frame = pl.concat([frame_of(part, key) for part in parts]).drop_nulls().unique(maintain_order=True)
    return frame.to_arrow().cast(pa.schema([schema.field(one) for one in key]))


def _split(ws: Workspace, refs: Iterable[Ref], key: Sequence[str]) -> tuple[list[Ref], list[str]]:
    """Tables that can be searched by key (or are quarantines), and names of the others."""
    reachable, unreachable = [], []
    for ref in refs:
        opened = open_delta(ws.table_url(ref))
        if opened is None or is_empty_creation(opened):
            continue
        names = arrow_schema(opened).names
        if set(key) <= set(names) or names == QUARANTINE_SCHEMA.names:
            reachable.append(ref)
        else:
            unreachable.append(ref.qualified)
    return reachable, unreachable


def _forget_in(ws: Workspace, ref: Ref, keys: pa.Table) -> ForgottenTable:
    opened = require(ws, ref)
    rejects = arrow_schema(opened).names == QUARANTINE_SCHEMA.names
    done = _forget_rejects(ws, ref, keys) if rejects else delete_keys(ws, ref, keys, operation="forget")
    version = to_version(ws, ref, done, metrics=done.facts["metrics"])
    files = purge(ws, ref.qualified)
    after = require(ws, ref)
    if rejects:
        left = sum(len(change.drop) for change in _rejected(after, ws.table_url(ref), keys))
    else:
        typed = keys.cast(pa.schema([arrow_schema(after).field(one) for one in keys.column_names]))
        left = match(after, ws.table_url(ref), typed, keys.column_names).rows.height
    rows = int(done.facts["metrics"].get("rows_deleted", 0))
    return ForgottenTable(ref.qualified, version.version, rows, files, left)


def _forget_rejects(ws: Workspace, ref: Ref, keys: pa.Table) -> Any:
    url = ws.table_url(ref)

    def make_plan(opened: DeltaTable) -> Plan:
        changes = _rejected(opened, url, keys)
        metrics = {"rows_deleted": sum(len(change.drop) for change in changes)}
        return Plan(arrow_schema(opened), changes, metrics=metrics)

    return rewrite(ws, Rewriting(ref, "forget"), make_plan)


def _rejected(opened: DeltaTable, url: str, keys: pa.Table) -> list[Change]:
    """Rejected rows whose JSON, as text, has one of the keys."""
    wanted = {tuple(map(str, row.values())) for row in keys.to_pylist()}
    changes = []
    for file in live_files(opened):
        texts = read_file(url, file, QUARANTINE_SCHEMA, ["row"]).column("row").to_pylist()
        told: list[Mapping[str, Any]] = [orjson.loads(text or "{}") for text in texts]
        hit = [tuple(str(row.get(name)) for name in keys.column_names) in wanted for row in told]
        if any(hit):
            changes.append(Change(file, np.flatnonzero(hit)))
    return changes


def _prove(
    ws: Workspace,
    ref: Ref,
    keys: int,
    done: Sequence[ForgottenTable],
    unreachable: Sequence[str],
    models: Sequence[str],
) -> str:
    """Keep what was done as an artifact and an event; neither holds the keys, which are to be forgotten."""
    told = {
        "table": ref.qualified,
        "at": datetime.now(UTC).isoformat(),
        "keys": keys,
        "tables": [asdict(one) for one in done],
        "unreachable": list(unreachable),
        "models": list(models),
    }
    digest = registry.put_bytes(ws, json.dumps(told, indent=1).encode())
    registry.record_event(ws, _EVENT, table_node(ref), {**told, "proof": digest})
    if unreachable:
        registry.record_alert(
            ws,
            severity="warning",
            subject=table_node(ref),
            message=f"rows of {ref} were forgotten; derived tables without its key must be looked at by a person",
            evidence={"tables": list(unreachable), "proof": digest},
        )
    return digest
