"""Splitting a table into parts: at random, in strata, by time, by group; the same each time, with lineage."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..core import ConfigError, DataError, Ref, SchemaMismatch, Workspace, table_node
from ..registry import TableVersion
from .delta_log import arrow_schema, require
from .read import fragments, newest_version
from .scan import batches
from .storage_errors import storage_errors
from .summary.hashing import hash_values, mixed
from .write import write

Places: TypeAlias = npt.NDArray[np.uint16]
Scan: TypeAlias = Callable[[Sequence[str]], Iterator[pa.Table]]
_NULL = np.uint64(0x6A09E667F3BCC909)


@dataclass(frozen=True, slots=True)
class SplitBy:
    """How rows are given to parts; see `split`."""

    key: tuple[str, ...]
    stratify: str | None
    time: str | None
    group: str | None
    seed: int


def split(
    ws: Workspace,
    ref: Ref | str,
    parts: Mapping[str, float],
    *,
    key: str | Sequence[str] = (),
    stratify: str | None = None,
    time: str | None = None,
    group: str | None = None,
    seed: int = 0,
    mask: str | None = None,
) -> dict[str, TableVersion]:
    """Split a table into parts, each a table ``NAME_PART`` with lineage to the version that was split.

    A row's part comes from a hash of its key and the seed, so a repeated call gives the same parts, in any process
    and any order of rows. The table is streamed: memory holds two bytes a row, with `stratify` or `time` that column
    and some numbers a row.

    Args:
        ws: The workspace.
        ref: ``flights`` (newest) or ``flights@3``.
        parts: Part to its share, such as ``{"train": 0.8, "test": 0.2}``; shares add up to 1.
        key: Columns that identify a row; a row keeps its part when the table grows. By default all columns, so
            equal rows go together.
        stratify: Column whose values have the same shares in each part, to the row.
        time: Column by which the first part gets the earliest rows, and the last part the newest. Rows of one moment
            stay together.
        group: Column whose values are never in two parts, such as a patient. Parts are of about their share, counted
            in groups.
        seed: Another number gives another split; without effect for `time`.
        mask: Name of one table to write instead, of the key's columns and ``part``.

    Returns:
        Part to the version of its table (with `mask`, all to the same). A part without rows is an empty table.

    Raises:
        ConfigError: Shares do not add up to 1, or more than one of `stratify`, `time` and `group` is given.
        NotFound: There is no such table or version.
        SchemaMismatch: A column does not exist.
        DataError: `time` or `group` is null in some rows.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "visits", pa.table({"id": range(100), "missed": [0, 0, 0, 1] * 25}))
        >>> found = split(ws, "visits", {"train": 0.8, "test": 0.2}, key="id", stratify="missed")
        >>> [(str(version), version.rows) for version in found.values()]
        [('visits_train@1', 80), ('visits_test@1', 20)]
    """
    parsed = Ref.parse(ref) if isinstance(ref, str) else ref
    version = parsed.version if parsed.version is not None else newest_version(ws, parsed)
    source = parsed if version is None else parsed.at(version)
    by = SplitBy((key,) if isinstance(key, str) else tuple(key), stratify, time, group, seed)
    _check(parts, by, mask)
    opened = require(ws, source)
    schema, files = arrow_schema(opened), fragments(opened, ws.table_url(source), None)

    def scan(columns: Sequence[str]) -> Iterator[pa.Table]:
        return batches(files, schema, columns)

    with storage_errors(ws.table_url(source)):
        places = _places(scan, schema.names, list(parts.values()), by)
    settings = {"split": json.dumps({"parts": dict(parts), **{k: getattr(by, k) for k in by.__slots__}})}
    inputs = [table_node(source, int(source.version or 0))]

    def store(name: str, columns: pa.Schema, rows: Iterator[pa.Table]) -> TableVersion:
        where = Ref(name, namespace=source.namespace)
        reader = pa.RecordBatchReader.from_batches(columns, (each for part in rows for each in part.to_batches()))
        return write(
            ws,
            where.qualified,
            reader,
            mode="overwrite",
            inputs=inputs,
            operation="split",
            schema_mode="evolve",
            metadata=settings,
        )

    if mask is not None:
        shown = pa.schema([*(schema.field(name) for name in by.key), pa.field("part", pa.string())])
        made = store(mask, shown, _named(scan(by.key), places, list(parts)))
        return dict.fromkeys(parts, made)
    return {
        part: store(f"{source.name}_{part}", schema, _only(scan(schema.names), places, number))
        for number, part in enumerate(parts)
    }


def _only(rows: Iterator[pa.Table], places: Places, wanted: int) -> Iterator[pa.Table]:
    at = 0
    for part in rows:
        yield part.filter(pa.array(places[at : at + part.num_rows] == wanted))
        at += part.num_rows


def _named(rows: Iterator[pa.Table], places: Places, names: list[str]) -> Iterator[pa.Table]:
    at = 0
    for part in rows:
        here = pa.array(names, pa.string()).take(pa.array(places[at : at + part.num_rows]))
        yield part.append_column("part", here)
        at += part.num_rows


def part_of_rows(rows: pa.Table, shares: Sequence[float], by: SplitBy) -> Places:
    """The place of each row's part among the shares, uint16 ``(rows,)``.

    Raises:
        SchemaMismatch: A column does not exist.
        DataError: The time or group is null in some rows.
    """
    return _places(lambda columns: iter([rows.select(list(columns))]), rows.column_names, shares, by)


def _places(scan: Scan, names: Sequence[str], shares: Sequence[float], by: SplitBy) -> Places:
    """As `part_of_rows`, of rows that `scan` gives in the same order whenever it is asked for columns."""
    chosen = [name for name in (*by.key, by.stratify, by.time, by.group) if name is not None]
    missing = [name for name in chosen if name not in names]
    if missing:
        raise SchemaMismatch(f"columns {missing} are not in the table; there are {list(names)}")
    for name in (by.time, by.group):
        nulls = 0 if name is None else sum(part.column(0).null_count for part in scan([name]))
        if nulls:
            raise DataError(f"column {name!r} is null in {nulls} rows: leave them out first")
    edges = np.cumsum(shares)[:-1]
    if by.time is not None:
        return _places_of(edges, _shares_before(_column(scan, by.time)))
    hashed = [by.group] if by.group is not None else list(by.key) or list(names)
    drawn = (row_hashes(part, by.seed) for part in scan(hashed))
    if by.stratify is not None:
        # The middle of a row's step, so that half a row is rounded to the nearer part.
        every = np.concatenate([np.empty(0, dtype=np.uint64), *drawn])
        return _places_of(edges, _ranks(every, _column(scan, by.stratify)))
    found = [_places_of(edges, part.astype(np.float64) / 2.0**64) for part in drawn]
    return np.concatenate([np.empty(0, dtype=np.uint16), *found])


def _places_of(edges: Any, shares: Any) -> Places:
    places: Places = np.searchsorted(edges, shares, side="right").astype(np.uint16)
    return places


def _column(scan: Scan, name: str) -> pa.ChunkedArray:
    parts = [part.column(0) for part in scan([name])]
    if not parts:
        return pa.chunked_array([pa.array([], pa.int64())])
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)


def _check(parts: Mapping[str, float], by: SplitBy, mask: str | None) -> None:
    wrong = [share for share in parts.values() if not 0 < share <= 1]
    if wrong or not math.isclose(sum(parts.values()), 1.0, abs_tol=1e-9):
        raise ConfigError(f"the shares {dict(parts)} are not above 0 with a sum of 1")
    ways = [name for name in ("stratify", "time", "group") if getattr(by, name) is not None]
    if len(ways) > 1:
        raise ConfigError(f"{' and '.join(ways)} cannot go together: choose one")
    if mask is not None and (not by.key or "part" in by.key):
        raise ConfigError("mask= needs key=, the columns that identify a row, none of them named 'part'")
    for part in parts:
        Ref.parse(f"x_{part}")


def row_hashes(rows: pa.Table, seed: int) -> Any:
    """A stable hash of each row, uint64 ``(rows,)``; null has one too, and each seed gives others."""
    found = np.full(rows.num_rows, mixed(np.array([seed % 2**64], dtype=np.uint64))[0])
    for column in rows.columns:
        values = column.combine_chunks()
        values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
        hashes = np.full(len(values), _NULL)
        hashes[pc.is_valid(values).to_numpy(zero_copy_only=False)] = hash_values(values)
        found = mixed(found * np.uint64(0x9E3779B97F4A7C15) + hashes)
    return found


def _shares_before(times: pa.ChunkedArray) -> Any:
    """The share of rows with an earlier moment, for each row."""
    ranks = pc.rank(times.combine_chunks(), sort_keys="ascending", tiebreaker="min")
    return (ranks.to_numpy(zero_copy_only=False) - 1) / max(1, len(times))


def _ranks(drawn: Any, strata: pa.ChunkedArray) -> Any:
    """The place of each row among those of its stratum, in the order of its hash, as a share."""
    encoded = strata.combine_chunks().dictionary_encode(null_encoding="encode")
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.lexsort((drawn, codes))
    sizes = np.bincount(codes) if len(codes) else np.zeros(0, dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    found = np.empty(len(codes))
    found[order] = (np.arange(len(codes)) - starts[codes[order]] + 0.5) / sizes[codes[order]]
    return found
