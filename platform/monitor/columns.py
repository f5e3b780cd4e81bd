"""One column on both sides: binned, counted, and described."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .distances import (
    Counts,
    Floats,
    jensen_shannon,
    population_stability,
    quantile_edges,
    shares,
    wasserstein,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One column of reference and window, as distances and shares of nulls; fields as in `ColumnDrift`."""

    name: str
    kind: str
    bins: int
    reference_rows: int
    current_rows: int
    psi: float
    jensen_shannon: float
    wasserstein: float
    reference_nulls: float
    current_nulls: float
    change: str


def is_numeric(kind: pa.DataType) -> bool:
    """Whether a type is compared as a number (booleans are categories)."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_comparable(kind: pa.DataType) -> bool:
    """Whether a type is compared at all: numbers, booleans, strings; an all-null column too."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(is_numeric(kind) or text or pa.types.is_boolean(kind) or pa.types.is_null(kind))


def pair_of(name: str, reference: pa.ChunkedArray, current: pa.ChunkedArray, *, bins: int, categories: int) -> Pair:
    """Compare one column of both tables, as numbers if either side is numeric."""
    if is_numeric(reference.type) or is_numeric(current.type):
        return _numeric(name, _floats(reference), _floats(current), bins)
    return _categorical(name, _texts(reference), _texts(current), categories)


def _floats(column: pa.ChunkedArray) -> Floats:
    """Float64 with NaN for null; shape ``(rows,)``."""
    if not pa.types.is_float64(column.type):
        column = column.cast(pa.float64(), safe=False)
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())


def _numeric(name: str, reference: Floats, current: Floats, bins: int) -> Pair:
    reference, current = np.sort(reference), np.sort(current)  # sorted once, then everything is a look-up
    left, right = _finite(reference), _finite(current)
    edges = quantile_edges(left, bins, presorted=True) if len(left) else np.array([])
    old, new = _counts(reference, edges), _counts(current, edges)
    return _compared(
        name,
        "numeric",
        old,
        new,
        distance=wasserstein(left, right, presorted=True),
        change=_numeric_change(left, right, old, new),
    )


def _finite(ordered: Floats) -> Floats:
    """The finite part of an ascending array, in which NaN stands last."""
    first, last = np.searchsorted(ordered, (-np.inf, np.inf), side="right")
    return ordered[first : np.searchsorted(ordered[:last], np.inf)]


def _counts(ordered: Floats, edges: Floats) -> Counts:
    """Rows per bin of an ascending array; the last bin holds the nulls."""
    present = int(np.searchsorted(ordered, np.nan))
    ends = np.searchsorted(ordered[:present], edges, side="right")
    return np.diff(np.concatenate(([0], ends, [present, len(ordered)]))).astype(np.int64)


def _numeric_change(left: Floats, right: Floats, old: Counts, new: Counts) -> str:
    nulls = _nulls_change(old, new)
    if not len(left) or not len(right) or nulls:
        return nulls or "no values to compare"
    return f"mean {_short(float(left.mean()))} -> {_short(float(right.mean()))}"


def _categorical(name: str, reference: pa.ChunkedArray, current: pa.ChunkedArray, categories: int) -> Pair:
    known = _most_frequent(reference, categories)
    old, new = (_category_counts(column, known) for column in (reference, current))
    return _compared(name, "categorical", old, new, distance=math.nan, change=_category_change(known, old, new))


def _most_frequent(column: pa.ChunkedArray, categories: int) -> pa.Array:
    counted = pc.value_counts(pc.drop_null(column))
    order = pc.array_sort_indices(counted.field("counts"), order="descending")[:categories]
    return counted.field("values").take(order)


def _category_counts(column: pa.ChunkedArray, known: pa.Array) -> Counts:
    """Rows per known category, then of all other values, then nulls."""
    codes = pc.fill_null(pc.index_in(column, value_set=known), len(known)).to_numpy()
    counts = np.bincount(codes, minlength=len(known) + 1).astype(np.int64)
    counts[len(known)] -= column.null_count
    return np.append(counts, column.null_count).astype(np.int64)


def _category_change(known: pa.Array, old: Counts, new: Counts) -> str:
    nulls = _nulls_change(old, new)
    if nulls:
        return nulls
    before, after = old / max(1, old.sum()), new / max(1, new.sum())
    most = int(np.argmax(np.abs(after - before)[:-1]))
    label = repr(known[most].as_py()) if most < len(known) else "other values"
    return f"{label} {before[most]:.1%} -> {after[most]:.1%}"


def _nulls_change(old: Counts, new: Counts) -> str:
    """Nulls in words, when they are what moved most."""
    before, after = old / max(1, old.sum()), new / max(1, new.sum())
    moved = np.abs(after - before)
    if moved[-1] > 0.05 and moved[-1] >= moved[:-1].sum() / 2:
        return f"nulls {before[-1]:.1%} -> {after[-1]:.1%}"
    return ""


def _compared(name: str, kind: str, old: Counts, new: Counts, *, distance: float, change: str) -> Pair:
    used = (old + new) > 0  # a bin without any row says nothing, and would only add to the noise
    left, right = shares(old[used]), shares(new[used])
    return Pair(
        name=name,
        kind=kind,
        bins=int(used.sum()),
        reference_rows=int(old.sum()),
        current_rows=int(new.sum()),
        psi=population_stability(left, right),
        jensen_shannon=jensen_shannon(left, right),
        wasserstein=distance,
        reference_nulls=float(old[-1] / old.sum()),
        current_nulls=float(new[-1] / new.sum()),
        change=change,
    )


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
