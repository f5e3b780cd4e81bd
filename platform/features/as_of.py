"""Point-in-time join: for each label the feature values that were known at its moment, and nothing later.

Rules, the same in process, on Ray and (row by row) in the online store:

- A value row is *known* from the later of its event and created time on (a null created time is the event time).
- A label at time t takes, among the rows of its keys known at t, the one with the latest event time; of equal
  event times the one created later; of equal created times the later row. (Views put rows of equal times in the order
  of what they say, see `raylake.features.ties`, because the order of a table's rows is not kept.)
- If that row's event is more than `ttl` before t, the label gets nulls (an age of exactly `ttl` still counts).
- Every label row comes out once, in its place. A null key or time matches nothing, on either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ..core import SchemaMismatch, duration
from .dtypes import TIMESTAMP, cast_column, require_columns, span_micros, type_name

KNOWN = "__known__"
EVENT = "__event__"
CREATED = "__created__"
ROW = "__row__"
LABEL = "__label__"
ASKED = "__asked__"


def join_as_of(
    labels: pa.Table,
    values: pa.Table,
    *,
    keys: str | Sequence[str],
    label_time: str,
    event_time: str,
    columns: Sequence[str],
    ttl: str | timedelta | None = None,
    created_time: str | None = None,
) -> pa.Table:
    """Append to each row of `labels` the `columns` of `values` as of its time, in this process.

    Args:
        labels: n rows with `keys` and `label_time`.
        values: m rows with `keys`, `event_time`, `columns` and, if named, `created_time`; in any order.
        keys: Key columns, called alike on both sides; integers or strings.
        label_time: Timestamp with time zone: as of when each label is asked.
        event_time: Timestamp with time zone: from when on a value is true.
        columns: Columns of `values` to append.
        ttl: Largest age of a value, ``"3h"`` or a timedelta; None: any age.
        created_time: Timestamp with time zone: when a value became known.

    Returns:
        `labels` with `columns` appended: n rows in the same order, nulls where nothing was known.

    Raises:
        SchemaMismatch: A column is missing or there already, times are naive, or keys differ in type.

    Example:
        >>> from datetime import datetime, timezone
        >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=timezone.utc)
        >>> labels = pa.table({"origin": ["EWR", "EWR", "JFK"], "t": [at(9), at(5), at(9)]})
        >>> weather = pa.table({"origin": ["EWR", "EWR"], "seen": [at(6), at(8)], "temp": [39.0, 41.0]})
        >>> found = join_as_of(labels, weather, keys="origin", label_time="t", event_time="seen", columns=["temp"])
        >>> found["temp"].to_pylist()
        [41.0, None, None]
    """
    keys = (keys,) if isinstance(keys, str) else tuple(keys)
    return join_all(labels, label_time, [Join(values, keys, event_time, tuple(columns), ttl, created_time)])


@dataclass(frozen=True, slots=True)
class Join:
    """The values of one view to append; fields as the arguments of `join_as_of`."""

    values: pa.Table
    keys: tuple[str, ...]
    event_time: str
    columns: tuple[str, ...]
    ttl: str | timedelta | None = None
    created_time: str | None = None


def join_all(labels: pa.Table, label_time: str, joins: Sequence[Join]) -> pa.Table:
    """`join_as_of` of several views in one pass: labels are put in order once for all views of the same keys.

    Raises:
        SchemaMismatch: See `join_as_of`.
    """
    asked: dict[tuple[str, ...], pl.DataFrame] = {}
    appended: list[tuple[str, pa.ChunkedArray]] = []
    for one in joins:
        there = pa.schema([*labels.schema, *(pa.field(name, column.type) for name, column in appended)])
        check_join(there, one.values.schema, one.keys, label_time, one.event_time, one.columns, one.created_time)
        if one.keys not in asked:
            asked[one.keys] = _asked(labels, one.keys, label_time)
        indices = _rows_as_of(asked[one.keys], labels.num_rows, one)
        appended += [(name, one.values[name].take(indices)) for name in one.columns]
    for name, column in appended:
        labels = labels.append_column(name, column)
    return labels


def _rows_as_of(asked: pl.DataFrame, rows: int, one: Join) -> pa.Array:
    """For each label the row of the values that answers it, or null."""
    keys = list(one.keys)
    known = known_rows(one.values, keys, one.event_time, one.created_time)
    joined = asked.join_asof(
        known.select([*keys, KNOWN, ROW]), left_on=ASKED, right_on=KNOWN, by=keys, check_sortedness=False
    )
    found = joined.select(LABEL, ASKED, ROW).drop_nulls(ROW)
    places, picked = found[LABEL].to_numpy(), found[ROW].to_numpy()
    if one.ttl is not None:
        events = _micros(one.values[one.event_time], one.event_time, "values").to_numpy()
        fresh = found[ASKED].to_numpy() - events[picked] <= span_micros(duration(one.ttl, "ttl"))
        places, picked = places[fresh], picked[fresh]
    answers = np.full(rows, -1, dtype=np.int64)
    answers[places] = picked
    return pa.array(answers, mask=answers < 0)


def known_rows(values: pa.Table, keys: Sequence[str], event_time: str, created_time: str | None) -> pl.DataFrame:
    """For each row of `values` with keys and event time, in the order in which rows became known: which row holds then.

    Args:
        values: As in `join_as_of`.
        keys: Key columns.
        event_time: Event time column.
        created_time: Created time column, or None.

    Returns:
        Frame sorted by KNOWN (int64 µs) with the keys, EVENT and CREATED (int64 µs) and ROW (index into `values`) of
        the row that is the answer for these keys from KNOWN on, until the next row of the same keys.
    """
    event = _micros(values[event_time], event_time, "values")
    columns = {key: _key(values[key]) for key in keys} | {EVENT: event, CREATED: event}
    if created_time is not None:
        columns[CREATED] = pc.coalesce(_micros(values[created_time], created_time, "values"), event)
    frame = _frame(columns).with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.Int64))
    frame = frame.drop_nulls([*keys, EVENT])
    if created_time is None:
        # Without created times, rows become known in the order of their events: a stable sort is all.
        return frame.sort(EVENT, maintain_order=True).with_columns(pl.col(EVENT).alias(KNOWN))
    # A row that becomes known late does not replace one of a later event: the running maximum of the rows' ranks
    # in (event, created, row) is the answer at each moment.
    ranked = frame.sort([EVENT, CREATED, ROW]).with_row_index("__rank__")
    known = ranked.with_columns(pl.max_horizontal(EVENT, CREATED).alias(KNOWN)).sort([KNOWN, "__rank__"])
    best = known.select("__rank__", pl.col("__rank__").cum_max().over(list(keys)).alias("__best__"))["__best__"]
    winners = ranked[best.to_numpy()] if len(ranked) else ranked
    return known.select([*keys, KNOWN]).hstack(winners.select([EVENT, CREATED, ROW]))


def check_join(
    labels: pa.Schema,
    values: pa.Schema,
    keys: Sequence[str],
    label_time: str,
    event_time: str,
    columns: Sequence[str],
    created_time: str | None,
) -> None:
    """Refuse a join that cannot be right.

    Raises:
        SchemaMismatch: See `join_as_of`.
    """
    require_columns(labels.empty_table(), [*keys, label_time], "labels")
    times = [event_time] if created_time is None else [event_time, created_time]
    require_columns(values.empty_table(), [*keys, *times, *columns], "values")
    for name in columns:
        if name in labels.names:
            raise SchemaMismatch(f"labels already have a column {name!r}: rename it, or leave it out of the features")
    for key in keys:
        left, right = (_key_type(schema.field(key).type, key) for schema in (labels, values))
        if left != right:
            raise SchemaMismatch(f"key {key!r} is {left} in the labels and {right} in the values: cast one of them")
    for schema, names, where in ((labels, [label_time], "labels"), (values, times, "values")):
        for name in names:
            cast_column(pa.chunked_array([], schema.field(name).type), TIMESTAMP, name, where)


def normalised_keys(table: pa.Table, keys: Sequence[str]) -> pl.DataFrame:
    """The key columns as plain int64 and string, so that equal keys compare and hash alike whatever their encoding."""
    return _frame({key: _key(table[key]) for key in keys})


def _asked(labels: pa.Table, keys: Sequence[str], label_time: str) -> pl.DataFrame:
    columns = {key: _key(labels[key]) for key in keys} | {ASKED: _micros(labels[label_time], label_time, "labels")}
    frame = _frame(columns).with_row_index(LABEL).drop_nulls([*keys, ASKED])
    return frame.sort(ASKED)


def _key_type(dtype: pa.DataType, key: str) -> str:
    name = type_name(dtype)
    if name not in ("int64", "string"):
        raise SchemaMismatch(f"key {key!r} is {dtype}: keys are integers or strings; cast it first")
    return name


def _key(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string() if type_name(column.type) == "string" else pa.int64())


def _micros(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    return cast_column(column, TIMESTAMP, name, where).cast(pa.int64())


def _frame(columns: dict[str, pa.ChunkedArray]) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(pa.table(columns)))
