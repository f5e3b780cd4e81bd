"""From a source table to the timestamped values of a view, and their table ``features.<view>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from .. import data, registry
from ..core import ConfigError, Ref, SchemaMismatch, Workspace, table_node
from ..data.delta_log import list_tables
from ..data.query import mentioned
from ..registry import TableVersion
from .catalogue import find_view, remember
from .dtypes import TIMESTAMP, arrow_type, cast_column, require_columns
from .lineage import view_columns
from .ties import settle_ties
from .view import FeatureView
from .windows import roll
from .written import transaction


def compute_values(view: FeatureView, source: pa.Table | Sequence[pa.Table]) -> pa.Table:
    """The values of `view` computed from rows of its source; pure, in this process.

    Args:
        view: The view.
        source: Rows of the source table; of a view with `sql` the query's result; several tables for a `transform`
            that takes several.

    Returns:
        Columns `view.schema` (keys, times, features), in the order of event time; of rows with equal key and times
        the last one holds, see `raylake.features.ties`. Rows without a key or an event time are left out: nobody
        could ever ask for them.

    Raises:
        SchemaMismatch: The transform returned something else than a table, or a column is missing or of another type.

    Example:
        >>> from datetime import datetime, timezone
        >>> from raylake.features import Rolling
        >>> late = Rolling("dep_delay", over="3h", agg="mean", name="late")
        >>> view = FeatureView("congestion", "origin", event_time="at", table="flights", window=late)
        >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=timezone.utc)
        >>> flights = pa.table({"origin": ["EWR"] * 3, "at": [at(5), at(6), at(9)], "dep_delay": [10, 20, 60]})
        >>> compute_values(view, flights)["late"].to_pylist()
        [10.0, 15.0, 60.0]
    """
    where = f"view {view.name!r}"
    table = source if isinstance(source, pa.Table) else source[0]
    if view.transform is not None:
        table = view.transform(table) if isinstance(source, pa.Table) else view.transform(*source)
    if not isinstance(table, pa.Table):
        raise SchemaMismatch(f"{where}: transform must return a pyarrow.Table, not {type(table).__name__}")
    inputs = [name for window in view.window for name in window.inputs]
    require_columns(table, dict.fromkeys([*view.entity.keys, *view.time_columns, *view.columns, *inputs]), where)
    for name, kind in zip(view.entity.keys, view.entity.key_types, strict=True):
        table = _set(table, name, cast_column(table[name], arrow_type(kind), name, where))
    for name in view.time_columns:
        table = _set(table, name, cast_column(table[name], TIMESTAMP, name, where))
    table = settle_ties(view, _drop_null(table, [*view.entity.keys, view.event_time]))
    # The aggregate may be called like the column that it aggregates, so what is no longer needed goes first.
    rolled = roll(table, view.window, keys=view.entity.keys, event_time=view.event_time, created_time=view.created_time)
    return conform_values(view, rolled).sort_by(view.event_time)


def conform_values(view: FeatureView, values: pa.Table) -> pa.Table:
    """`values` with exactly the columns and types of `view.schema`.

    Raises:
        SchemaMismatch: A column is missing or of another type.
    """
    return conform(values, view.schema, f"values of view {view.name!r}")


def conform(values: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """`values` with exactly the columns and types of `schema`.

    Raises:
        SchemaMismatch: A column is missing or of another type.
    """
    require_columns(values, schema.names, where)
    columns = [cast_column(values[field.name], field.type, field.name, where) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def build_view(
    ws: Workspace,
    view: FeatureView | str,
    *,
    table_ref: TableVersion | Ref | str | Mapping[str, TableVersion | Ref | str] | None = None,
) -> TableVersion:
    """Compute a view from pinned versions of its sources and write table ``features.<view>``.

    The same view (by version) over the same source versions is built once; later calls return what is there. The view
    is registered, and the views that it is made from are built first.

    Args:
        ws: Workspace.
        view: The view, or a reference to a registered one, ``weather@2``.
        table_ref: Source to use, ``flights@3``; by default the newest version of the view's table. Of a view with
            several sources a mapping from the source's name.

    Returns:
        The version of ``features.<view>``; lineage: source versions and view lead to it.

    Raises:
        NotFound: A source table or version does not exist, or the view is not registered.
        SchemaMismatch: See `compute_values`.
        ConfigError: `table_ref` does not name a source, or `sql` reads a table that is not one.

    Example:
        >>> import tempfile
        >>> from datetime import datetime, timezone
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> seen = datetime(2013, 1, 1, tzinfo=timezone.utc)
        >>> source = data.write(ws, "weather", pa.table({"origin": ["EWR"], "at": [seen], "temp": [39]}))
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> built = build_view(ws, view)
        >>> built.name, built.rows, build_view(ws, "weather@1") == built
        ('features.weather', 1, True)
    """
    view = find_view(ws, view) if isinstance(view, str) else view
    pins = pin_sources(ws, view, table_ref)
    remember(ws, view)
    source = "+".join(str(pin) for pin in pins.values())
    app, known = transaction(ws, view.ref, f"raylake.view/{view.version}/{source}")
    version = data.write(
        ws,
        str(view.ref),
        view.schema.empty_table() if known else _kept(view, compute_values(view, source_rows(ws, view, pins))),
        mode="overwrite",
        app=app,
        inputs=[*(table_node(pin.ref, pin.version) for pin in pins.values()), view.node],
        operation="build_view",
        schema_mode="evolve",
        metadata={"raylake.view": view.version, "raylake.source": source},
    )
    if not known:
        registry.add_column_edges(ws, view_columns(view, next(iter(pins.values())).node, version.node))
        _keep_retention(ws, view)
    return version


def pin_sources(
    ws: Workspace,
    view: FeatureView,
    given: TableVersion | Ref | str | Mapping[str, TableVersion | Ref | str] | None = None,
) -> dict[str, TableVersion]:
    """The version to take of each source, by its name in the view; views among them are built.

    Raises:
        NotFound: See `build_view`.
        ConfigError: See `build_view`.
    """
    if given is not None and not isinstance(given, Mapping):
        given = {view.tables[0]: given}
    unknown = set(given or {}) - set(view.tables)
    if unknown:
        raise ConfigError(f"table_ref names {min(unknown)!r}; view {view.name!r} reads {', '.join(view.tables)}")
    if view.sql:
        read = {str(ref) for ref in mentioned(view.sql, list_tables(ws))} - set(view.tables)
        if read:
            raise ConfigError(
                f"view {view.name!r}: its sql reads {min(read)!r}, which is no source: add it to table=[...]"
            )
    built = {str(parent.ref): parent for parent in view.parents}
    pins = {}
    for name in view.tables:
        if name in (given or {}):
            pins[name] = registry.table_version(ws, str((given or {})[name]))
        else:
            pins[name] = build_view(ws, built[name]) if name in built else registry.table_version(ws, name)
    return pins


def source_rows(ws: Workspace, view: FeatureView, pins: Mapping[str, TableVersion]) -> pa.Table | list[pa.Table]:
    """What `compute_values` takes: the result of the view's query, its table, or its tables."""
    if view.sql:
        return data.sql(ws, view.sql, at={name: pin.version for name, pin in pins.items()})
    rows = [data.table(ws, str(pin)) for pin in pins.values()]
    return rows[0] if len(rows) == 1 else rows


def _kept(view: FeatureView, values: pa.Table) -> pa.Table:
    """Values within the view's retention."""
    if view.retention is None:
        return values
    oldest = pa.scalar(datetime.now(UTC) - view.retention, TIMESTAMP)
    return values.filter(pc.greater_equal(values[view.event_time], oldest))


def _keep_retention(ws: Workspace, view: FeatureView) -> None:
    """Let `raylake.data.clean_up` expire values between builds too."""
    rule = data.retention_of(ws, str(view.ref))
    keep = "" if view.retention is None else f"{max(1, int(view.retention.total_seconds()))}s"
    wanted = replace(rule, keep=keep, by=view.event_time if keep else "")
    if rule != wanted:
        data.set_retention(ws, str(view.ref), wanted)


def _set(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _drop_null(table: pa.Table, names: Sequence[str]) -> pa.Table:
    keep = None
    for name in names:
        if table[name].null_count:
            valid = pc.is_valid(table[name])
            keep = valid if keep is None else pc.and_(keep, valid)
    return table if keep is None else table.filter(keep)
