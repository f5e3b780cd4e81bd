"""After rows were deleted from a table: what was made from them is made anew, and the old is gone from disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .. import data, registry
from ..core import NotFound, Ref, Workspace, table_node
from ..data.delta_log import entries, require
from .build import build_view
from .catalogue import find_view
from .feature_set import FeatureSet
from .training import training_set

VIEWS, TRAINING = "features", "training"


@dataclass(frozen=True, slots=True)
class Remade:
    """One derived table that was made anew.

    Attributes:
        name: ``features.<view>`` or ``training.<name>``.
        before: Its version and rows before.
        after: Its version and rows now.
        files: Files of older versions that were removed from disk.
    """

    name: str
    before: tuple[int, int]
    after: tuple[int, int]
    files: int


@dataclass(frozen=True, slots=True)
class RemadeAll:
    """What `remake_derived` did.

    Attributes:
        tables: Views first, then training sets.
        unreachable: Tables that cannot be made anew, each with the reason: look at them yourself.
    """

    tables: tuple[Remade, ...]
    unreachable: Mapping[str, str]


def remake_derived(ws: Workspace, name: str) -> RemadeAll:
    """Compute every view and training set that lineage leads to from table `name` anew, and purge what they were.

    To be called after rows of `name` were deleted (`raylake.data.forget`, `raylake.data.delete` and `purge`, or
    `clean_up`). Windows are computed over the rows that remain, so nothing of a deleted row is left in a value of
    another. Older versions of the derived tables cannot be read afterwards. Safe to kill: run it again.

    Args:
        ws: Workspace.
        name: ``name`` or ``namespace.name``.

    Returns:
        The tables, and those that could not be made anew: a training set from rows in memory, a view whose
        definition is not registered.

    Raises:
        NotFound: There is no such table.
        ConfigError: A transform changed since the view was registered.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa
        >>> from datetime import datetime, timezone
        >>> from raylake.features import FeatureView
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> seen = datetime(2013, 1, 1, tzinfo=timezone.utc)
        >>> _ = data.write(ws, "weather", pa.table({"origin": ["A", "B"], "at": [seen, seen], "temp": [39, 41]}))
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> _ = build_view(ws, view)
        >>> _ = data.delete(ws, "weather", [("origin", "==", "A")])
        >>> [(done.name, done.before, done.after, done.files) for done in remake_derived(ws, "weather").tables]
        [('features.weather', (1, 2), (2, 1), 1)]
    """
    source = Ref.parse(name)
    require(ws, source)
    below = registry.downstream(ws, table_node(Ref(source.name, namespace=source.namespace)))
    tables = dict.fromkeys(Ref.parse(edge.target.name) for edge in below if edge.target.kind == "table")
    done: list[Remade] = []
    unreachable: dict[str, str] = {}
    for namespace, remake in ((VIEWS, _remake_view), (TRAINING, _remake_training)):
        for table in (one for one in tables if one.namespace == namespace and data.exists(ws, one)):
            try:
                done.append(_remade(ws, table, remake))
            except NotFound as error:
                unreachable[table.qualified] = str(error)
    _tell(ws, source, unreachable)
    return RemadeAll(tuple(done), unreachable)


def _remade(ws: Workspace, table: Ref, remake: Any) -> Remade:
    before = data.facts(ws, table)
    remake(ws, table)
    files = data.purge(ws, table.qualified)
    after = data.facts(ws, table)
    return Remade(table.qualified, (before.version, before.rows or 0), (after.version, after.rows or 0), files)


def _remake_view(ws: Workspace, table: Ref) -> None:
    told = _told(ws, table)
    if "raylake.view" not in told:
        raise NotFound(f"nothing tells which view {table.qualified} was built from")
    build_view(ws, find_view(ws, f"{table.name}@{told['raylake.view']}"))


def _remake_training(ws: Workspace, table: Ref) -> None:
    told = json.loads(_told(ws, table).get("raylake.training_set", "{}"))
    if not told.get("labels"):
        raise NotFound(f"{table.qualified} was made from labels in memory: make it again from labels without the rows")
    where = [None if limit is None else datetime.fromisoformat(limit) for limit in told["where"]]
    training_set(
        ws,
        table.name,
        labels=told["labels"],
        label=told["label"],
        event_time=told["event_time"],
        feature_set=FeatureSet.from_dict(told["feature_set"]),
        where=(where[0], where[1]) if where else None,
        keep=told["keep"],
    )


def _told(ws: Workspace, table: Ref) -> Mapping[str, str]:
    """What lies beside the newest commit that made the table (not one that deleted rows of it)."""
    for entry in entries(require(ws, table), ws.table_url(table)):
        if entry.facts.get("operation") in ("build_view", "training_set"):
            return dict(entry.facts.get("metadata", {}))
    return {}


def _tell(ws: Workspace, source: Ref, unreachable: Mapping[str, str]) -> None:
    names: Iterable[str] = sorted(unreachable)
    if unreachable:
        registry.record_alert(
            ws,
            severity="warning",
            subject=table_node(source),
            message=f"rows of {source} were deleted; these tables could not be made anew: {', '.join(names)}",
            evidence=dict(unreachable),
        )
