"""From a source table to the timestamped values of a view, and their table ``features.<view>``."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from .. import data, registry
from ..core import Ref, SchemaMismatch, Workspace, table_node
from ..registry import TableVersion
from .dtypes import TIMESTAMP, arrow_type, cast_column, require_columns
from .lineage import view_columns
from .view import FeatureView
from .windows import roll


def compute_values(view: FeatureView, source: pa.Table) -> pa.Table:
    """The values of `view` computed from rows of its source table; pure, in this process.

    Args:
        view: The view.
        source: Rows of the source table.

    Returns:
        Columns `view.schema` (keys, times, features), in the order of event time, rows of equal times in the order
        of `source`. Rows without a key or an event time are left out: nobody could ever ask for them.

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
    table = source if view.transform is None else view.transform(source)
    if not isinstance(table, pa.Table):
        raise SchemaMismatch(f"{where}: transform must return a pyarrow.Table, not {type(table).__name__}")
    inputs = [window.column for window in view.window]
    require_columns(table, dict.fromkeys([*view.entity.keys, *view.time_columns, *view.columns, *inputs]), where)
    for name, kind in zip(view.entity.keys, view.entity.key_types, strict=True):
        table = _set(table, name, cast_column(table[name], arrow_type(kind), name, where))
    for name in view.time_columns:
        table = _set(table, name, cast_column(table[name], TIMESTAMP, name, where))
    table = _drop_null(table, [*view.entity.keys, view.event_time])
    # The aggregate may be called like the column that it aggregates, so what is no longer needed goes first.
    rolled = roll(table, view.window, keys=view.entity.keys, event_time=view.event_time, created_time=view.created_time)
    return conform_values(view, rolled).sort_by(view.event_time)


def conform_values(view: FeatureView, values: pa.Table) -> pa.Table:
    """`values` with exactly the columns and types of `view.schema`.

    Raises:
        SchemaMismatch: A column is missing or of another type.
    """
    where = f"values of view {view.name!r}"
    require_columns(values, view.schema.names, where)
    columns = [cast_column(values[field.name], field.type, field.name, where) for field in view.schema]
    return pa.Table.from_arrays(columns, schema=view.schema)


def build_view(ws: Workspace, view: FeatureView, *, table_ref: TableVersion | Ref | str | None = None) -> TableVersion:
    """Compute a view from one pinned version of its source table and write table ``features.<view>``.

    The same view (by version) over the same source version is built once; later calls return what is there.

    Args:
        ws: Workspace.
        view: The view.
        table_ref: Source to use, ``flights@3``; by default the newest version of `view.table`.

    Returns:
        The version of ``features.<view>``; lineage: source version and view lead to it.

    Raises:
        NotFound: The source table or version does not exist.
        SchemaMismatch: See `compute_values`.

    Example:
        >>> import tempfile
        >>> from datetime import datetime, timezone
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> seen = datetime(2013, 1, 1, tzinfo=timezone.utc)
        >>> source = data.write(ws, "weather", pa.table({"origin": ["EWR"], "at": [seen], "temp": [39]}))
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> built = build_view(ws, view)
        >>> built.name, built.rows, build_view(ws, view) == built
        ('features.weather', 1, True)
    """
    source = registry.table_version(ws, str(table_ref or view.table))
    values = compute_values(view, data.table(ws, str(source)))
    app = (f"raylake.view/{view.version}/{source}", 1)
    version = data.write(
        ws,
        str(view.ref),
        values,
        mode="overwrite",
        app=app,
        inputs=[table_node(source.ref, source.version), view.node],
        operation="build_view",
        schema_mode="evolve",
        metadata={"raylake.view": view.version, "raylake.source": str(source)},
    )
    registry.add_column_edges(ws, view_columns(view, source.node, version.node))
    return version


def _set(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _drop_null(table: pa.Table, names: Sequence[str]) -> pa.Table:
    keep = None
    for name in names:
        if table[name].null_count:
            valid = pc.is_valid(table[name])
            keep = valid if keep is None else pc.and_(keep, valid)
    return table if keep is None else table.filter(keep)
