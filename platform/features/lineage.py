"""Which column of a view or training set was made from which: recorded where the definition says so."""

from __future__ import annotations

from collections.abc import Mapping

from ..core import Node
from ..registry import ColumnEdge
from .feature_set import FeatureSet
from .view import FeatureView


def view_columns(view: FeatureView, source: Node, made: Node) -> list[ColumnEdge]:
    """Column edges from a view's source table to ``features.<view>``.

    A transform is a function that may read anything, and so may a query: then only the windows over its result would
    be known, which is not a column of the source, so nothing is said.

    Example:
        >>> from raylake.features import Rolling
        >>> late = Rolling("dep_delay", over="3h", agg="mean", name="late")
        >>> view = FeatureView("congestion", "origin", event_time="at", table="flights", window=late)
        >>> edges = view_columns(view, Node("table", "main.flights", "3"), Node("table", "features.congestion", "1"))
        >>> [(edge.source_column, edge.target_column, edge.how) for edge in edges][-1]
        ('dep_delay', 'late', 'mean over 3:00:00')
    """
    if view.transform is not None or view.sql or len(view.tables) > 1:
        return []
    copies = [*view.entity.keys, *view.time_columns, *view.columns]
    windows = [
        ColumnEdge(source, window.column, made, window.name, f"{window.agg} over {window.span}")
        for window in view.window
    ]
    return [*(ColumnEdge(source, name, made, name) for name in copies), *windows]


def training_columns(
    feature_set: FeatureSet, label: str, labels: Node | None, views: Mapping[str, Node], made: Node
) -> list[ColumnEdge]:
    """Column edges from the labels and the views' tables to ``training.<name>``, on-demand features included.

    Args:
        feature_set: The bound feature set.
        label: The column to learn.
        labels: The table of the labels; ``None`` when they were rows in memory.
        views: For each view's name its table.
        made: The training set's table.
    """
    asked = dict.fromkeys([*feature_set.request_columns, label])
    edges = [] if labels is None else [ColumnEdge(labels, name, made, name) for name in asked]
    for view in feature_set.views:
        how = "as of event time" if view.ttl is None else f"as of event time, at most {view.ttl} old"
        edges += [ColumnEdge(views[view.name], name, made, name, how) for name in view.feature_columns]
    for feature in feature_set.on_demand:
        edges += [
            ColumnEdge(made, before, made, after, f"on demand: {feature.name}")
            for after in feature.outputs
            for before in feature.inputs
        ]
    return edges
