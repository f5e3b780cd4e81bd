"""What the online store does not keep: values past their time, and what is to be forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from .. import data, registry
from ..core import Ref, Workspace, duration
from ..data import Forgotten
from ..data.read import Filter
from .codec import ViewCodec, rank
from .dtypes import micros
from .materialise import Refreshed, online_view, refresh
from .online import open_online
from .view_sources import source_tables


def set_online_retention(ws: Workspace, view: str, keep: str | timedelta | None) -> None:
    """How long the online values of a view are kept after their event time; None keeps them for ever.

    Redis forgets values written from now on by itself; `clean_up_online` removes the others.

    Args:
        ws: Workspace.
        view: Name of a view that is online.
        keep: Such as ``"90d"``.

    Raises:
        NotFound: No view of that name is online.
        ConfigError: `keep` is not a span.

    Example:
        >>> import tempfile
        >>> set_online_retention(Workspace.open(tempfile.mkdtemp()), "weather", "90d")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: view 'weather' is not online; online are: none. Run features.materialise first
    """
    registry.set_online_keep(ws, view, None if keep is None else duration(keep, "keep"))


def clean_up_online(ws: Workspace, *, now: datetime | None = None) -> dict[str, int]:
    """Remove online values that are older than their view keeps; to run regularly, like `raylake.data.clean_up`.

    Args:
        ws: Workspace.
        now: The instant that counts as now.

    Returns:
        For each view that has a retention, ``name@version``, how many values were removed.

    Example:
        >>> import tempfile
        >>> clean_up_online(Workspace.open(tempfile.mkdtemp()))
        {}
    """
    moment = now or datetime.now(UTC)
    removed = {}
    with open_online(ws) as store:
        for stored in registry.online_definitions(ws, "view"):
            if stored.keep is not None:
                limit = rank(micros(moment - stored.keep, "now"), 0)
                prefix = ViewCodec(online_view(stored)).prefix
                removed[f"{stored.name}@{stored.version}"] = store.drop(prefix, below=limit[:8] + bytes(8))
    return removed


def forget(ws: Workspace, name: str, where: Filter, *, key: Sequence[str]) -> tuple[Forgotten, list[Refreshed]]:
    """`raylake.data.forget`, and then the online store: rows deleted from a table and everything derived from it.

    Afterwards no online value is left that was made from the rows: entities without other rows are gone, the others
    hold the newest value that remains.

    Args:
        ws: Workspace.
        name: Table in which the rows came in.
        where: Which rows: ``[("tailnum", "==", "N14228")]``, or a pyarrow expression.
        key: Columns that tell whose row it is.

    Returns:
        What was done to the tables, and what to the views that are online.

    Raises:
        NotFound, SchemaMismatch, Conflict, StorageError: As `raylake.data.forget`; run it again.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa
        >>> from raylake.features import FeatureView, materialise
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> at = [datetime(2013, 1, 1, tzinfo=UTC)] * 2
        >>> _ = data.write(ws, "planes", pa.table({"tailnum": ["N1", "N2"], "at": at, "seats": [55.0, 149.0]}))
        >>> _ = materialise(ws, FeatureView("aircraft", "tailnum", event_time="at", table="planes", columns=["seats"]))
        >>> tables, views = forget(ws, "planes", [("tailnum", "==", "N1")], key=["tailnum"])
        >>> [(done.view, done.removed) for done in views]
        [('aircraft', 1)]
    """
    done = data.forget(ws, name, where, key=key)
    touched = {table.name for table in done.tables}
    stored = registry.online_definitions(ws, "view")
    views = [
        view
        for view in map(online_view, stored)
        if touched & {Ref.parse(table).qualified for table in source_tables(view)}
    ]
    return done, refresh(ws, views) if views else []
