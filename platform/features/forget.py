"""Rows deleted from a table and from everything that was made from it: tables, views, training sets, online values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import data, registry
from ..core import Ref, Workspace, table_node
from ..data import Forgotten
from ..data.read import Filter
from .derived import RemadeAll, remake_derived
from .materialise import Refreshed, online_view, refresh
from .view_sources import source_tables


@dataclass(frozen=True, slots=True)
class ForgottenEverywhere:
    """What `forget` did.

    Attributes:
        rows: Tables from which the rows were deleted, and the proof.
        derived: Views and training sets that were made anew, and what could not be.
        online: Views whose online values were brought up to date.
    """

    rows: Forgotten
    derived: RemadeAll
    online: tuple[Refreshed, ...]


def forget(ws: Workspace, name: str, where: Filter, *, key: Sequence[str]) -> ForgottenEverywhere:
    """Delete rows from a table and from all that was made from it, offline and online, off the disk.

    First `raylake.data.forget`, then `remake_derived`, then a refresh of the views that are online: entities without
    other rows are gone, windows hold what remains. Safe to kill: run it again.

    Args:
        ws: Workspace.
        name: Table in which the rows came in.
        where: Which rows: ``[("tailnum", "==", "N14228")]``, or a pyarrow expression.
        key: Columns that tell whose row it is.

    Raises:
        NotFound, SchemaMismatch, Conflict, StorageError: As `raylake.data.forget`; run it again.
        ConfigError: As `remake_derived`.

    Example:
        >>> import tempfile
        >>> from datetime import UTC, datetime
        >>> import pyarrow as pa
        >>> from raylake.features import FeatureView, materialise
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> at = [datetime(2013, 1, 1, tzinfo=UTC)] * 2
        >>> _ = data.write(ws, "planes", pa.table({"tailnum": ["N1", "N2"], "at": at, "seats": [55.0, 149.0]}))
        >>> _ = materialise(ws, FeatureView("aircraft", "tailnum", event_time="at", table="planes", columns=["seats"]))
        >>> done = forget(ws, "planes", [("tailnum", "==", "N1")], key=["tailnum"])
        >>> [table.name for table in done.derived.tables], [(view.view, view.removed) for view in done.online]
        (['features.aircraft'], [('aircraft', 1)])
    """
    rows = data.forget(ws, name, where, key=key)
    derived = remake_derived(ws, name)
    ref = Ref.parse(name)
    below = registry.downstream(ws, table_node(Ref(ref.name, namespace=ref.namespace)))
    touched = {Ref.parse(edge.target.name).qualified for edge in below if edge.target.kind == "table"}
    touched |= {Ref(ref.name, namespace=ref.namespace).qualified}
    views = [
        view
        for view in map(online_view, registry.online_definitions(ws, "view"))
        if touched & {Ref.parse(table).qualified for table in source_tables(view)}
    ]
    return ForgottenEverywhere(rows, derived, tuple(refresh(ws, views)) if views else ())
