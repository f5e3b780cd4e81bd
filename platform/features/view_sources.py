"""What bringing a view online has to know of its sources; the one place that asks."""

from __future__ import annotations

from datetime import timedelta

from .. import data, registry
from ..core import NotFound, Ref, Workspace
from ..data.delta_log import require
from .view import FeatureView


def source_tables(view: FeatureView) -> tuple[str, ...]:
    """Names of the tables that the values come from; of a view that is made from views, theirs.

    Example:
        >>> source_tables(FeatureView("weather", "origin", event_time="at", table="raw.weather", columns=["temp"]))
        ('raw.weather',)
    """
    parents = {str(one.ref): one for one in view.parents}
    found: list[str] = []
    for name in view.tables:
        found += source_tables(parents[name]) if name in parents else [name]
    return tuple(dict.fromkeys(found))


def is_changed_by_rows(view: FeatureView) -> bool:
    """Whether a row of the one source changes the values of its own entity only, so that changes can be followed."""
    return len(view.tables) == 1 and not view.parents and not view.sql


def newest_versions(ws: Workspace, view: FeatureView) -> dict[str, int]:
    """The newest version of each source, by qualified name.

    Raises:
        NotFound: One does not exist.
    """
    refs = [Ref.parse(name) for name in source_tables(view)]
    return {ref.qualified: require(ws, ref).version() for ref in refs}


def record_sources(ws: Workspace, view: FeatureView) -> None:
    """Note the newest versions of the sources in the registry: those who write tables do not always (workers never)."""
    for name in source_tables(view):
        ref = Ref.parse(name)
        if not data.exists(ws, name):
            registry.table_version(ws, name)
        try:
            registry.table_version(ws, str(ref.at(require(ws, ref).version())))
        except NotFound:
            data.sync_table(ws, ref)


def reach(view: FeatureView) -> timedelta | None:
    """How far back the longest window looks, or None without windows."""
    return max((window.span for window in view.window), default=None)


def source_columns(view: FeatureView) -> list[str] | None:
    """Columns of the source that the values are made from; None: all."""
    if view.transform is not None:
        return None
    inputs = [name for window in view.window for name in window.inputs]
    return list(dict.fromkeys([*view.entity.keys, *view.time_columns, *view.columns, *inputs]))
