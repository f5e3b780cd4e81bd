"""Training sets: labels joined point-in-time to a feature set, written once and pinned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from .. import data, registry
from ..core import ConfigError, Node, Ref, SchemaMismatch, Workspace, check_name
from ..registry import TableVersion
from .as_of import join_as_of
from .build import build_view, conform_values
from .catalogue import find_set, remember
from .dtypes import TIMESTAMP, cast_column, micros, require_columns
from .feature_set import FeatureSet
from .lineage import training_columns
from .view import FeatureView, content_hash

SAMPLE = 3


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A pinned table of labels and features.

    Attributes:
        name: Name; the rows are table ``training.<name>``.
        version: The version of that table.
        feature_set: The features, bound to the types of the labels' columns.
        label: Column to learn.
        event_time: Column with the moment of each row.
        columns: Feature columns, in the order of the model's input.
        inputs: Lineage: label table, feature tables and feature set, each pinned.
    """

    name: str
    version: TableVersion
    feature_set: FeatureSet
    label: str
    event_time: str
    columns: tuple[str, ...]
    inputs: tuple[Node, ...]

    @property
    def node(self) -> Node:
        """Vertex of the lineage graph: the pinned table."""
        return self.version.node


def training_set(
    ws: Workspace,
    name: str,
    *,
    labels: str | TableVersion | pa.Table,
    label: str,
    event_time: str,
    feature_set: FeatureSet | str,
    where: tuple[datetime | None, datetime | None] | None = None,
    keep: Sequence[str] = (),
    views: Mapping[str, TableVersion] | None = None,
) -> TrainingSet:
    """Join labels to the features known at each label's moment, and write table ``training.<name>``.

    Every label row gives one row, in the same order; what was not known is null. The same question about the same
    pinned tables is answered once: later calls return the version that is there.

    Args:
        ws: Workspace.
        name: Name of the training set.
        labels: Table reference (pinned to its newest version when it names none) or rows, with the set's
            `request_columns`, `label` and `keep`.
        label: Column to learn.
        event_time: Column (timestamp with time zone): as of when features are asked.
        feature_set: The features, or a reference to a registered set, ``late-arrival@1``.
        where: Only labels with ``start <= event_time < end``; either may be None.
        keep: Further columns of the labels to carry along; not features.
        views: For a view's name the version of ``features.<view>`` to use; others are built from their newest
            source version (see `build_view`).

    Returns:
        The training set; its table has event time, keys, `keep`, features and label, each column once.

    Raises:
        NotFound: A table does not exist.
        SchemaMismatch: A column is missing, naive or of another type, or an on-demand function depends on other rows.
        ConfigError: `label` is a feature, or `views` names an unknown view.

    Example:
        >>> import tempfile
        >>> from datetime import timezone
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=timezone.utc)
        >>> source = data.write(ws, "weather", pa.table({"origin": ["EWR"], "seen": [at(6)], "temp": [39]}))
        >>> view = FeatureView("weather", "origin", event_time="seen", table="weather", columns=["temp"], ttl="3h")
        >>> flights = pa.table({"origin": ["EWR", "EWR"], "at": [at(8), at(5)], "late": [True, False]})
        >>> made = training_set(
        ...     ws, "late", labels=flights, label="late", event_time="at", feature_set=FeatureSet("delay", [view])
        ... )
        >>> data.table(ws, str(made.version), columns=[*made.columns, "late"]).to_pydict()
        {'temp': [39.0, None], 'late': [True, False]}
    """
    check_name(name, "training set")
    feature_set = find_set(ws, feature_set) if isinstance(feature_set, str) else feature_set
    remember(ws, feature_set)
    unknown = set(views or {}) - {view.name for view in feature_set.views}
    if unknown:
        raise ConfigError(f"views names {min(unknown)!r}, which is no view of feature set {feature_set.name!r}")
    rows, inputs = _labels(ws, labels)
    frame, bound = prepare_labels(rows, feature_set, label=label, event_time=event_time, where=where, keep=keep)
    labelled = inputs[0] if inputs else None
    tables: dict[str, pa.Table] = {}
    nodes: dict[str, Node] = {}
    for view in bound.views:
        built = (views or {}).get(view.name) or build_view(ws, view)
        inputs = (*inputs, built.node)
        nodes[view.name] = built.node
        tables[view.name] = conform_values(view, data.table(ws, str(built), columns=view.schema.names))
    joined = join_features(frame, bound, tables)
    inputs = (*inputs, *(view.node for view in bound.views), bound.node)
    app = None
    if not isinstance(labels, pa.Table):
        asked = [*map(str, inputs), label, event_time, *(str(limit) for limit in where or ()), "keep", *keep]
        app = (f"raylake.training/{content_hash({'asked': asked})}", 1)
    order = dict.fromkeys([event_time, *bound.request_columns, *keep, *bound.columns, label])
    version = data.write(
        ws,
        str(Ref(name, namespace="training")),
        joined.select(list(order)),
        mode="overwrite",
        app=app,
        inputs=inputs,
        operation="training_set",
        schema_mode="evolve",
        metadata={"raylake.training_set": json.dumps(_description(bound, label, event_time, inputs))},
    )
    registry.add_column_edges(ws, training_columns(bound, label, labelled, nodes, version.node))
    return TrainingSet(name, version, bound, label, event_time, bound.columns, inputs)


def prepare_labels(
    rows: pa.Table,
    feature_set: FeatureSet,
    *,
    label: str,
    event_time: str,
    where: tuple[datetime | None, datetime | None] | None = None,
    keep: Sequence[str] = (),
) -> tuple[pa.Table, FeatureSet]:
    """The columns of `rows` that a training set needs, typed and filtered, and the feature set bound to them.

    Raises:
        SchemaMismatch: See `training_set`.
        ConfigError: `label` or a kept column has the name of a feature.
    """
    bound = feature_set.bind(rows.schema, event_time)
    made = set(bound.columns) - set(bound.passthrough)
    for name in (label, *keep):
        if name in made or (name == label and name in bound.passthrough):
            raise ConfigError(
                f"column {name!r} of the labels is a feature of {feature_set.name!r} too: rename one of them"
            )
    require_columns(rows, dict.fromkeys([label, *keep]), "labels")
    frame = bound.cast_request(rows, "labels")
    for name in dict.fromkeys([label, *keep]):
        if name not in frame.column_names:
            frame = frame.append_column(name, rows[name])
    if frame[event_time].null_count:
        raise SchemaMismatch(f"labels: {event_time!r} is null in {frame[event_time].null_count} rows: leave them out")
    return _between(frame, event_time, where), bound


def join_features(frame: pa.Table, feature_set: FeatureSet, tables: Mapping[str, pa.Table]) -> pa.Table:
    """Append all features to labels: views as of each row's event time, then on-demand functions in order.

    Args:
        frame: n rows with the set's request columns.
        feature_set: The features.
        tables: The values of each view, by the view's name.

    Returns:
        `frame` with the feature columns appended; n rows, same order.

    Raises:
        SchemaMismatch: Columns do not fit, or an on-demand function's answer for a row depends on other rows.

    Example:
        >>> from datetime import timezone
        >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=timezone.utc)
        >>> view = FeatureView("weather", "origin", event_time="seen", table="weather", columns=["temp"], ttl="3h")
        >>> weather = pa.table({"origin": ["EWR"], "seen": [at(6)], "temp": [39.0]})
        >>> asked = pa.table({"origin": ["EWR", "EWR"], "at": [at(8), at(5)]})
        >>> join_features(asked, FeatureSet("delay", [view], event_time="at"), {"weather": weather})["temp"].to_pylist()
        [39.0, None]
    """
    joined = frame
    for view in feature_set.views:
        joined = _join_view(joined, view, tables[view.name], feature_set.event_time)
    done = feature_set.compute_on_demand(joined)
    # A function that looks at its neighbours would answer otherwise at serving, where it sees one row.
    for index in range(min(SAMPLE, done.num_rows)):
        alone = feature_set.compute_on_demand(joined.slice(index, 1))
        for feature in feature_set.on_demand:
            for name in feature.outputs:
                if alone.schema.field(name).type != done.schema.field(name).type or not _same(
                    alone[name][0], done[name][index]
                ):
                    raise SchemaMismatch(
                        f"on-demand feature {feature.name!r}: {name!r} is {alone[name][0]} for row {index} alone and "
                        f"{done[name][index]} among all rows: its answer must depend on the row itself only"
                    )
    return done


def _join_view(frame: pa.Table, view: FeatureView, values: pa.Table, event_time: str) -> pa.Table:
    return join_as_of(
        frame,
        values,
        keys=view.entity.keys,
        label_time=event_time,
        event_time=view.event_time,
        columns=view.feature_columns,
        ttl=view.ttl,
        created_time=view.created_time,
    )


def _labels(ws: Workspace, labels: str | TableVersion | pa.Table) -> tuple[pa.Table, tuple[Node, ...]]:
    if isinstance(labels, pa.Table):
        return labels, ()
    version = registry.table_version(ws, str(labels))
    return data.table(ws, str(version)), (version.node,)


def _between(frame: pa.Table, event_time: str, where: tuple[datetime | None, datetime | None] | None) -> pa.Table:
    for limit, keep in zip(where or (), (pc.greater_equal, pc.less), strict=False):
        if limit is not None:
            moment = pa.scalar(micros(limit, "where"), pa.int64()).cast(TIMESTAMP)
            frame = frame.filter(keep(cast_column(frame[event_time], TIMESTAMP, event_time, "labels"), moment))
    return frame


def _same(left: pa.Scalar, right: pa.Scalar) -> bool:
    a, b = left.as_py(), right.as_py()
    return bool(a == b or (a != a and b != b))


def _description(feature_set: FeatureSet, label: str, event_time: str, inputs: Sequence[Node]) -> dict[str, object]:
    return {
        "feature_set": feature_set.to_dict(),
        "label": label,
        "event_time": event_time,
        "inputs": [str(node) for node in inputs],
    }
