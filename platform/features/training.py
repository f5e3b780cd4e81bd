"""Training sets: labels joined point-in-time to a feature set, written once and pinned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from .. import data, registry
from ..core import ConfigError, Node, Ref, SchemaMismatch, Workspace, check_name
from ..data.delta_log import arrow_schema, require
from ..registry import TableVersion
from .as_of import Join, join_all
from .build import build_view, conform_values
from .catalogue import find_set, remember
from .feature_set import FeatureSet
from .labels import Asked
from .lineage import training_columns
from .training_ray import Engine, engine_for, join_on_ray
from .view import FeatureView
from .written import transaction

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
    engine: Engine = "auto",
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
        engine: ``process`` joins in this process without Ray, ``ray`` by key in Ray tasks, in memory that does not
            grow with the tables; the answer is the same. ``auto`` goes by the size of labels and values together:
            Ray above 2 GiB in memory.

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
    pinned = None if isinstance(labels, pa.Table) else registry.table_version(ws, str(labels))
    asked = Asked(label, event_time, where, tuple(keep))
    schema = labels.schema if isinstance(labels, pa.Table) else arrow_schema(require(ws, Ref.parse(str(pinned))))
    bound = asked.prepare(schema.empty_table(), feature_set)[1]
    built = {view.name: (views or {}).get(view.name) or build_view(ws, view) for view in bound.views}
    nodes = {one: version.node for one, version in built.items()}
    given = () if pinned is None else (pinned.node,)
    inputs = (*given, *nodes.values(), *(view.node for view in bound.views), bound.node)
    table = Ref(name, namespace="training")
    question = f"raylake.training/{asked.digest(inputs)}"
    app, known = (None, False) if pinned is None else transaction(ws, table, question)
    if known:
        joined: pa.Table | pa.RecordBatchReader = schema.empty_table()  # not written: it is there
    elif engine_for(ws, labels if pinned is None else pinned, built.values(), engine) == "ray":
        joined = join_on_ray(ws, labels if pinned is None else pinned, bound, asked, built)
    else:
        rows = labels if isinstance(labels, pa.Table) else data.table(ws, str(pinned))
        frame = asked.prepare(rows, feature_set)[0]
        joined = join_features(frame, bound, {view.name: _values(ws, view, built[view.name]) for view in bound.views})
        joined = joined.select(asked.order(bound))
    version = data.write(
        ws,
        str(table),
        joined,
        mode="overwrite",
        app=app,
        inputs=inputs,
        operation="training_set",
        schema_mode="evolve",
        metadata={
            "raylake.training_set": json.dumps(asked.describe(bound, None if pinned is None else pinned.name, inputs))
        },
    )
    registry.add_column_edges(ws, training_columns(bound, label, given[0] if given else None, nodes, version.node))
    return TrainingSet(name, version, bound, label, event_time, bound.columns, inputs)


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
    joined = join_all(frame, feature_set.event_time, [_join(view, tables[view.name]) for view in feature_set.views])
    done = feature_set.compute_on_demand(joined)
    check_rows_alone(joined, done, feature_set)
    return done


def check_rows_alone(joined: pa.Table, done: pa.Table, feature_set: FeatureSet) -> None:
    """Make sure on some rows that on-demand functions look at one row at a time.

    Raises:
        SchemaMismatch: An answer for a row alone is another than among all rows.
    """
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


def _join(view: FeatureView, values: pa.Table) -> Join:
    return Join(values, tuple(view.entity.keys), view.event_time, view.feature_columns, view.ttl, view.created_time)


def _values(ws: Workspace, view: FeatureView, built: TableVersion) -> pa.Table:
    return conform_values(view, data.table(ws, str(built), columns=view.schema.names))


def _same(left: pa.Scalar, right: pa.Scalar) -> bool:
    a, b = left.as_py(), right.as_py()
    return bool(a == b or (a != a and b != b))
