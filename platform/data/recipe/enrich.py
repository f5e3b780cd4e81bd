"""Enriching rows by a join with a small table that the recipe keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from ...core import ConfigError, SchemaMismatch
from .dates import time_column
from .layout import Layout, Learned, kind_of
from .program import number_column
from .step import Step

# A recipe travels with its model, so what it joins must be small.
_MOST_ROWS = 100_000
_MOST_KEYS = 3


@dataclass(frozen=True, slots=True)
class Enrich(Step):
    """Add columns of another table, found by key (a left join); a key that is null or not there gives null.

    The rows of the table are kept in the fitted recipe, so serving joins with what training saw. Above 100,000
    rows join before the recipe: with `raylake.data.derive`, or in a feature view.

    Attributes:
        columns: Up to three columns of the rows, numeric or text, that hold the key. They stay.
        table: What is joined: one row per key.
        key: The key's columns in `table`, in the order of `columns`; by default those of the same names.
        take: Columns of `table` to add, numeric, text or time; by default all but the key.
        source: What the table is, such as ``airports@3``; kept in the recipe.

    Example:
        >>> from raylake.data import Drop, Recipe
        >>> airports = pa.table({"faa": ["EWR", "JFK"], "feet": [18, 13]})
        >>> recipe = Recipe([Enrich(["origin"], airports, key=["faa"]), Drop(["origin"])])
        >>> recipe.fit(pa.table({"origin": ["EWR"]})).apply_columns({"origin": ["JFK", "EWR", "?"]}).tolist()
        [[13.0], [18.0], [nan]]
    """

    learns: ClassVar[bool] = False
    table: pa.Table = field(default=None, repr=False)
    key: Sequence[str] = ()
    take: Sequence[str] = ()
    source: str = ""

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        if not isinstance(self.table, pa.Table):
            raise ConfigError(
                f"table of Enrich is a {type(self.table).__name__}: give an Arrow table, such as "
                "data.table(ws, 'airports@3')"
            )
        for name in ("key", "take"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(f"{name}={getattr(self, name)!r} of Enrich is not a list of columns: use ['name']")
        key = tuple(self.key) or tuple(self.columns)
        object.__setattr__(self, "key", key)
        rest = tuple(name for name in self.table.column_names if name not in key)
        object.__setattr__(self, "take", tuple(self.take) or rest)
        self._check()

    def _check(self) -> None:
        missing = [name for name in (*self.key, *self.take) if name not in self.table.column_names]
        if missing:
            raise SchemaMismatch(f"columns {missing} are not in the table of Enrich: it has {self.table.column_names}")
        if len(self.key) != len(self.columns) or len(self.key) > _MOST_KEYS:
            raise ConfigError(f"Enrich needs as many key= as columns=, at most {_MOST_KEYS}: not {list(self.key)}")
        if self.table.num_rows > _MOST_ROWS:
            raise ConfigError(
                f"the table of Enrich has {self.table.num_rows} rows, and a recipe carries at most {_MOST_ROWS}: "
                "join before the recipe, with data.derive or in a feature view"
            )
        distinct = self.table.group_by(list(self.key)).aggregate([]).num_rows
        if distinct < self.table.num_rows:
            raise ConfigError(
                f"the table of Enrich has {self.table.num_rows} rows but {distinct} different {list(self.key)}: "
                "leave one row for each key"
            )

    def learned(self, summaries: Mapping[str, Any] | None) -> dict[str, Any]:
        """The key and the columns taken, as JSON values in the order of the table's rows."""
        return {
            "step": "Enrich",
            "columns": list(self.columns),
            "source": self.source,
            "keys": [_stored(self.table, name) for name in self.key],
            "taken": {name: _stored(self.table, name) for name in self.take},
        }


def _stored(table: pa.Table, name: str) -> dict[str, Any]:
    kind, values = kind_of(table.schema.field(name)), table.column(name).combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if kind == "text":
        return {"kind": kind, "values": values.to_pylist()}
    found = time_column(name, values) if kind == "time" else number_column(name, values)
    numbers = np.asarray(found, dtype=np.float64).tolist()
    return {"kind": kind, "values": [value if abs(value) < np.inf else None for value in numbers]}


def compile_enrich(layout: Layout, learned: Learned) -> None:
    """Codes of the key, the row that they mean, and its values."""
    keys = learned["keys"]
    categories = [sorted({value for value in key["values"] if value is not None}) for key in keys]
    codes = []
    for name, key, known in zip(learned["columns"], keys, categories, strict=True):
        place = layout.place("Enrich", name, "number", "text")
        if place.kind != key["kind"]:
            raise SchemaMismatch(
                f"Enrich: column {name!r} is {place.kind}, but the table's key is {key['kind']}: cast it"
            )
        codes.append(layout.code("Enrich", name, known, np.nan).slot)
    sizes = np.array([max(1, len(known)) for known in categories], dtype=np.int64)
    packed, rows = _packed(keys, categories, sizes)
    found = layout.new("number")
    layout.operations.append(FindRow(np.array(codes), sizes, packed, rows, found.slot))
    last = learned["columns"][-1]
    made = {last: layout.columns[last]}
    for name, column in learned["taken"].items():
        made[name] = layout.new(column["kind"])
        take = TakeText if column["kind"] == "text" else TakeNumber
        layout.operations.append(take(found.slot, made[name].slot, column["values"]))
    layout.replace(last, made)


def _packed(keys: Sequence[Any], categories: Sequence[Any], sizes: Any) -> tuple[Any, Any]:
    """The sorted keys as one number each, and their rows; keys with null match nothing."""
    places = [{value: at for at, value in enumerate(known)} for known in categories]
    table = zip(*(key["values"] for key in keys), strict=True)
    pairs = [
        (int(np.ravel_multi_index([places[at][value] for at, value in enumerate(key)], sizes)), row)
        for row, key in enumerate(table)
        if None not in key
    ]
    found = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


@dataclass(frozen=True, slots=True)
class FindRow:
    """The row of the kept table that codes mean; NaN for none."""

    codes: np.ndarray
    sizes: np.ndarray
    keys: np.ndarray
    rows: np.ndarray
    slot: int

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        codes = numbers[:, self.codes]
        known = ~np.isnan(codes).any(axis=1)
        found = np.full(len(numbers), np.nan)
        if known.any() and len(self.keys):
            packed = np.ravel_multi_index(codes[known].astype(np.int64).T, self.sizes)
            at = np.minimum(np.searchsorted(self.keys, packed), len(self.keys) - 1)
            found[known] = np.where(self.keys[at] == packed, self.rows[at], np.nan)
        numbers[:, self.slot] = found


class TakeNumber:
    """The number in a row of the kept table."""

    def __init__(self, row: int, slot: int, values: Sequence[float | None]) -> None:
        self._row, self._slot = row, slot
        # One more at the end, for no row.
        self._values = np.array([*(np.nan if value is None else value for value in values), np.nan])

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        rows = numbers[:, self._row]
        numbers[:, self._slot] = self._values[np.where(np.isnan(rows), -1, rows).astype(np.int64)]


class TakeText:
    """The text in a row of the kept table."""

    def __init__(self, row: int, text: int, values: Sequence[str | None]) -> None:
        self._row, self._text = row, text
        self._values = [*values, None]

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        rows = numbers[:, self._row]
        places = np.where(np.isnan(rows), -1, rows).astype(np.int64).tolist()
        texts[self._text] = [self._values[place] for place in places]
