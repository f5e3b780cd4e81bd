"""What a look at a source finds: types, keys, event time, and what contradicts them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..core import SourceError
from .arrow_types import arrow_type, describe, type_name
from .casting import cast_column, nullify
from .connector import Connector, RawBatch, is_typed
from .discovery import discover_schema, joined
from .notations import NUMBERS, guess_notations, notation_type
from .source import Source

_SPLITS = 8
_ROWS = 50_000
_NULLS = ("", "NA")
# This share of a column may contradict its type and still be called a conflict rather than another type.
_FEW = 0.05
# So many rows must differ in a column that is not named like a key.
_ENOUGH = 100


@dataclass(frozen=True, slots=True)
class ColumnFound:
    """One column of a sample.

    Attributes:
        name: The column.
        type: Proposed type.
        nulls: Missing values in the sample.
        distinct: Different values in the sample.
        examples: Up to three values, as text.
        conflicts: What contradicts a narrower type, such as ``2 values are not int64: 'x', '-'``.
    """

    name: str
    type: str
    nulls: int
    distinct: int
    examples: tuple[str, ...]
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Discovered:
    """The result of `discover`; shows itself as a table in a notebook.

    Attributes:
        connector: What was looked at.
        rows: Rows in the sample.
        columns: The columns, in order.
        key: Columns whose values are all there and all different, or nothing.
        event_time: The column that most looks like the time of an event, or ``None``.
        broken: Lines that are no rows, as (reason, text).
        formats: Column to how its numbers or times are written, as `written` was told.
    """

    connector: Connector
    rows: int
    columns: tuple[ColumnFound, ...]
    key: tuple[str, ...]
    event_time: str | None
    broken: tuple[tuple[str, str], ...] = ()
    formats: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> dict[str, str]:
        """Column name to proposed type: what `raylake.data.Source` takes."""
        return {column.name: column.type for column in self.columns}

    def cast(self, **types: str) -> Discovered:
        """The same with other types for some columns.

        Raises:
            SourceError: There is no such column.
            ConfigError: There is no such type.
        """
        self._check_columns(types)
        for name, dtype in types.items():
            arrow_type(dtype, name)
        return replace(self, columns=tuple(replace(one, type=types.get(one.name, one.type)) for one in self.columns))

    def written(self, formats: Mapping[str, str] | None = None, **more: str) -> Discovered:
        """The same with numbers or times of some columns read as they are written: ``written(day="%d.%m.%Y")``.

        Args:
            formats: Column to notation, as in `raylake.data.Source`; for names that are no Python identifiers.
            more: The same.

        Raises:
            SourceError: There is no such column.
            ConfigError: There is no such notation.

        Example:
            >>> import tempfile, pathlib
            >>> from raylake.data import Csv
            >>> file = pathlib.Path(tempfile.mkdtemp(), "a.csv")
            >>> _ = file.write_text("day;price\\n31.01.2026;1.234,50\\n01.02.2026;7,00\\n")
            >>> found = discover(Csv(str(file), delimiter=";"))
            >>> print(found.columns[1].conflicts[0])
            looks like numbers written 1.234,5: say so by written(price='1.234,5')
            >>> found.written(price="1.234,5", day="%d.%m.%Y").schema
            {'day': 'date', 'price': 'float64'}
        """
        given = {**(formats or {}), **more}
        self._check_columns(given)
        types = {name: type_name(notation_type(notation, None, name)) for name, notation in given.items()}
        columns = tuple(
            replace(one, type=types[one.name], conflicts=()) if one.name in types else one for one in self.columns
        )
        event_time = self.event_time or _event_time(columns, {one.name: one.type for one in columns})
        key = tuple(name for name in self.key if name not in given)
        return replace(self, columns=columns, formats={**self.formats, **given}, event_time=event_time, key=key)

    def _check_columns(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.schema:
                raise SourceError(f"there is no column {name!r}; columns: {', '.join(self.schema)}")

    def source(self, name: str, **options: Any) -> Source:
        """A source with what was found; options win, and are those of `raylake.data.Source`."""
        found: dict[str, Any] = {"schema": self.schema, "key": self.key, "event_time": self.event_time}
        found |= {"formats": self.formats, **options}
        return Source(name, self.connector, **found)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; without the connector."""
        return {
            "rows": self.rows,
            "key": list(self.key),
            "event_time": self.event_time,
            "columns": [asdict(column) for column in self.columns],
            "formats": dict(self.formats),
            "broken": [list(one) for one in self.broken],
        }

    def __str__(self) -> str:
        lines = [f"{self.rows} rows sampled; key: {', '.join(self.key) or '-'}; event time: {self.event_time or '-'}"]
        width = max((len(column.name) for column in self.columns), default=0)
        for one in self.columns:
            shown = ", ".join(one.examples)
            lines.append(f"  {one.name:<{width}}  {one.type:<9}  {one.nulls} null, {one.distinct} distinct: {shown}")
            lines += [f"  {'':<{width}}  ! {conflict}" for conflict in one.conflicts]
        return "\n".join([*lines, *(f"  ! {reason}: {text[:80]}" for reason, text in self.broken[:3])])

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        cells = [
            f"<tr><td><b>{html.escape(one.name)}</b>{_marks(one, self)}</td><td>{html.escape(one.type)}</td>"
            f"<td style='text-align:right'>{one.nulls / max(1, self.rows):.1%}</td>"
            f"<td style='text-align:right'>{one.distinct:,}</td>"
            f"<td><code>{html.escape(', '.join(one.examples))}</code></td>"
            f"<td style='color:#b45309'>{html.escape('; '.join(one.conflicts))}</td></tr>"
            for one in self.columns
        ]
        heads = "".join(f"<th style='text-align:left'>{head}</th>" for head in _HEADS)
        broken = "".join(
            f"<li><code>{html.escape(text[:120])}</code>: {html.escape(reason)}</li>"
            for reason, text in self.broken[:5]
        )
        notes = f"<p>Lines that are no rows ({len(self.broken)}):</p><ul>{broken}</ul>" if broken else ""
        caption = f"<p>{self.rows:,} rows sampled, {len(self.columns)} columns</p>"
        return f"{caption}<table><thead><tr>{heads}</tr></thead><tbody>{''.join(cells)}</tbody></table>{notes}"


_HEADS = ("column", "type", "missing", "distinct", "examples", "look at")


def discover(connector: Connector, *, rows: int = _ROWS, null_values: Sequence[str] = _NULLS) -> Discovered:
    """Sample a source and propose how to declare it; writes nothing.

    Args:
        connector: Where the rows come from.
        rows: Most rows to look at, from up to eight evenly spaced parts of the source.
        null_values: Texts that mean null.

    Raises:
        SourceError: It cannot be read, or holds no row.

    Example:
        >>> import tempfile, pathlib
        >>> from raylake.data import Csv
        >>> file = pathlib.Path(tempfile.mkdtemp(), "a.csv")
        >>> lines = [f"{n},{n},2026-01-01T00:00:00Z" for n in range(40)]
        >>> _ = file.write_text("\\n".join(["id,miles,at", *lines, "40,x,"]))
        >>> print(discover(Csv(str(file))))
        41 rows sampled; key: id; event time: at
          id     int64      0 null, 41 distinct: 0, 1, 2
          miles  string     0 null, 41 distinct: 0, 1, 2
                 ! 1 of 41 values is not int64: 'x'
          at     timestamp  1 null, 1 distinct: 2026-01-01T00:00:00Z
    """
    batches = _sample(connector, rows)
    tables = [batch.rows for batch in batches if batch.rows.num_columns]
    broken = tuple(pair for batch in batches for pair in batch.broken)
    if not tables:
        raise SourceError(f"{_place(connector)} holds no row to discover a schema from ({len(broken)} broken lines)")
    names = list(dict.fromkeys(name for table in tables for name in table.column_names))
    columns = {name: _padded(tables, name) for name in names}
    proposed = discover_schema(pa.table(columns), tuple(null_values), typed=is_typed(connector))
    whole = {name: nullify(column, tuple(null_values)) for name, column in columns.items()}
    count = sum(table.num_rows for table in tables)
    found = tuple(_column(name, whole[name], proposed.field(name).type) for name in names)
    found = tuple(replace(one, conflicts=(*one.conflicts, *_kind_conflicts(tables, one.name))) for one in found)
    return Discovered(connector, count, found, _key(found, count), _event_time(found, describe(proposed)), broken)


def _place(connector: Connector) -> str:
    splits, _ = connector.plan(None)
    rest = f" (and {len(splits) - 1} more)" if len(splits) > 1 else ""
    return f"{splits[0].name}{rest}" if splits else type(connector).__name__


def _sample(connector: Connector, rows: int) -> list[RawBatch]:
    splits, _ = connector.plan(None)
    step = max(1, len(splits) // _SPLITS)
    chosen = splits[::step][:_SPLITS]
    found = []
    for split in chosen:
        most = max(1, rows // len(chosen))
        for batch in islice(connector.read(split), 4):
            found.append(RawBatch(batch.rows.slice(0, most), batch.broken))
            most -= batch.rows.num_rows
            if most <= 0:
                break
    return found


def _padded(tables: Sequence[pa.Table], name: str) -> pa.ChunkedArray:
    column = joined(tables, name)
    missing = sum(table.num_rows for table in tables if name not in table.column_names)
    return pa.chunked_array([*column.chunks, pa.nulls(missing, column.type)], column.type)


def _column(name: str, column: pa.ChunkedArray, dtype: pa.DataType) -> ColumnFound:
    values = column.drop_null()
    plain = pa.types.is_nested(column.type) or pa.types.is_binary(column.type)
    unique = values if plain else pc.unique(values)
    examples = tuple(str(value)[:40] for value in unique.slice(0, 3).to_pylist())
    text = pa.types.is_string(dtype) and not plain
    conflicts = (*(_near_misses(values) or _notations(name, values)), *_delimiters(name)) if text else ()
    return ColumnFound(name, type_name(dtype), column.null_count, len(unique), examples, conflicts)


def _near_misses(values: pa.ChunkedArray) -> tuple[str, ...]:
    """Types that all but a few values have."""
    for name in ("int64", "float64", "date", "timestamp"):
        if len(values) == 0:
            return ()
        _, bad = cast_column(values, arrow_type(name, name))
        count = 0 if bad is None else pc.sum(bad).as_py() or 0
        if 0 < count <= len(values) * _FEW:
            shown = ", ".join(repr(text[:30]) for text in pc.unique(values.filter(bad)).slice(0, 3).to_pylist())
            verb = "value is" if len(values) == 1 else "values is" if count == 1 else "values are"
            return (f"{count} of {len(values)} {verb} not {name}: {shown}",)
    return ()


def _notations(name: str, values: pa.ChunkedArray) -> tuple[str, ...]:
    """How numbers or times that are not written as ISO and computers write them may be read."""
    if not pa.types.is_string(values.type):
        return ()
    guesses = guess_notations(values, 1 - _FEW)
    kinds = [guess for guess in guesses if (guess[0] in NUMBERS) == (guesses[0][0] in NUMBERS)][:2]
    if not kinds:
        return ()
    (best, misses), *others = kinds
    what = "numbers" if best in NUMBERS else "times"
    exact = [notation for notation, count in others if count == misses and what == "times"]
    doubt = f", or {exact[0]}" if exact else ""
    rest = f" ({misses} values are not)" if misses else ""
    say = f"{name}={best!r}" if name.isidentifier() else f"{{{name!r}: {best!r}}}"
    return (f"looks like {what} written {best}{doubt}{rest}: say so by written({say})",)


def _delimiters(name: str) -> tuple[str, ...]:
    """A header that holds several names is one that was cut by the wrong sign."""
    counts = {sign: name.count(sign) for sign in (";", "\t", "|", ",")}
    sign = max(counts, key=lambda each: counts[each])
    if not counts[sign]:
        return ()
    return (f"the name holds {sign!r} {counts[sign]} times: is it Csv(..., delimiter={sign!r})?",)


def _kind_conflicts(tables: Sequence[pa.Table], name: str) -> tuple[str, ...]:
    """Batches whose own types differ, as those of JSON records may."""
    kinds = sorted({type_name(table.schema.field(name).type) for table in tables if name in table.column_names})
    return (f"has types {' and '.join(kinds)}",) if len(kinds) > 1 else ()


def _key(columns: Sequence[ColumnFound], rows: int) -> tuple[str, ...]:
    usable = [one for one in columns if one.nulls == 0 and one.distinct == rows and rows > 1]
    whole = [one for one in usable if one.type in ("int64", "int32", "string")]
    named = [
        one for one in whole if one.name.lower() in ("id", "key", "uuid") or one.name.lower().endswith(("_id", "id"))
    ]
    # In a few rows many columns differ that are no key, and a wrong key would quarantine what comes later.
    return tuple(one.name for one in (named or (whole if rows >= _ENOUGH else []))[:1])


def _event_time(columns: Sequence[ColumnFound], types: Mapping[str, str]) -> str | None:
    times = [one.name for one in columns if types[one.name] == "timestamp"] or [
        one.name for one in columns if types[one.name] == "date"
    ]
    marked = [
        name for name in times if name.lower().endswith(("_at", "time", "timestamp")) or name.lower() in ("at", "ts")
    ]
    return next(iter(marked or times), None)


def _marks(one: ColumnFound, found: Discovered) -> str:
    marks = [
        label for label, holds in (("key", one.name in found.key), ("time", one.name == found.event_time)) if holds
    ]
    return "".join(f" <small style='color:#2563eb'>{mark}</small>" for mark in marks)
