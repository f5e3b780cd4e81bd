"""Which columns of a table moved, and by how much: raylake's own figures, without pandas and without Ray."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pyarrow as pa

from ..core import DataError, SchemaMismatch
from .columns import Pair, is_comparable, is_numeric, pair_of
from .distances import noise

Method = Literal["psi", "jensen_shannon", "wasserstein"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a column counts as drifted.

    A column drifts when its score exceeds the larger of the method's threshold and the noise that samples of
    this size show without any drift. So a large window is judged by the size of the shift, and a small window
    does not raise false alarms.

    Attributes:
        numeric: Method for numbers: ``psi`` (default), ``jensen_shannon`` or ``wasserstein``.
        categorical: Method for strings and booleans: ``psi`` (default) or ``jensen_shannon``.
        psi: Population stability index, nats; default 0.1.
        jensen_shannon: Distance to base 2, 0 to 1; default 0.1.
        wasserstein: Standard deviations of the reference; default 0.1.
        bins: Equally filled bins of a numeric column; default 10.
        categories: Categories of the reference that are kept apart, the rest is one; default 50.
        false_alarm: Probability that at least one column of an undrifted table is flagged; default 0.01.
        overrides: Column name to a threshold of its own.

    Raises:
        ConfigError: A method or number that cannot be used.

    Example:
        >>> Thresholds(psi=0.2).psi
        0.2
        >>> Thresholds(categorical="wasserstein")
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: categorical='wasserstein' is not a method for categories: use ...
    """

    numeric: Method = "psi"
    categorical: Method = "psi"
    psi: float = 0.1
    jensen_shannon: float = 0.1
    wasserstein: float = 0.1
    bins: int = 10
    categories: int = 50
    false_alarm: float = 0.01
    overrides: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from ..core import ConfigError

        if self.categorical not in ("psi", "jensen_shannon"):
            raise ConfigError(
                f"categorical={self.categorical!r} is not a method for categories: use psi or jensen_shannon"
            )
        if self.numeric not in ("psi", "jensen_shannon", "wasserstein"):
            raise ConfigError(f"numeric={self.numeric!r} is not known: use psi, jensen_shannon or wasserstein")
        if self.bins < 2 or self.categories < 1 or not 0 < self.false_alarm < 1:
            raise ConfigError(
                f"bins={self.bins}, categories={self.categories}, false_alarm={self.false_alarm}: "
                "use at least 2 bins, 1 category, and a probability between 0 and 1"
            )

    def floor(self, method: Method, pair: Pair, columns: int) -> float:
        """What undrifted samples of this size stay below; `columns` are tested together."""
        chance = self.false_alarm / max(1, columns)
        psi = noise(pair.bins, pair.reference_rows, pair.current_rows, chance)
        if method == "psi":
            return psi
        if method == "jensen_shannon":  # for small shifts the divergence to base 2 is psi / (8 ln 2)
            return math.sqrt(psi / (8 * math.log(2)))
        # the mean of n values is off by 1/sqrt(n) deviations; a heavy tail adds to it
        return 3.0 * math.sqrt((1 / pair.reference_rows) + (1 / pair.current_rows))


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How much one column moved.

    Attributes:
        name: The column.
        kind: ``numeric`` or ``categorical``.
        method: What `score` measures: ``psi``, ``jensen_shannon`` or ``wasserstein``.
        score: The distance, 0 for none.
        threshold: What `score` had to exceed, the noise at this size included.
        drifted: Whether it did.
        psi: Population stability index, nats.
        jensen_shannon: Distance to base 2, 0 to 1.
        wasserstein: Standard deviations of the reference; NaN for categories or without values.
        reference_nulls: Share of nulls in the reference, 0 to 1.
        current_nulls: Share of nulls in the window, 0 to 1.
        change: The change in words, such as ``mean 3.1 -> 17.4``.
    """

    name: str
    kind: str
    method: Method
    score: float
    threshold: float
    drifted: bool
    psi: float
    jensen_shannon: float
    wasserstein: float
    reference_nulls: float
    current_nulls: float
    change: str

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values; NaN becomes ``None``.

        Example:
            >>> table = pa.table({"x": ["a", "b"]})
            >>> drift(table, table).columns["x"].to_dict()["wasserstein"] is None
            True
        """
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """How much a table moved against a reference.

    Attributes:
        columns: One `ColumnDrift` per compared column, in the order of the table.
        share: Drifted columns over compared columns, 0 to 1; 0 when nothing was compared.
        reference_rows: Rows of the reference.
        current_rows: Rows of the window.
    """

    columns: Mapping[str, ColumnDrift]
    share: float
    reference_rows: int
    current_rows: int

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the drifted columns, the most drifted (score over threshold) first."""
        moved = [column for column in self.columns.values() if column.drifted]
        return tuple(column.name for column in sorted(moved, key=lambda c: -c.score / c.threshold))

    def explain(self, most: int = 3) -> str:
        """One sentence that names the columns that moved most.

        Example:
            >>> calm, hot = pa.table({"temp": [1.0, 2.0] * 200}), pa.table({"temp": [8.0, 9.0] * 200})
            >>> drift(calm, hot).explain()
            '1 of 1 columns drifted: temp (mean 1.5 -> 8.5, psi 12.63)'
        """
        if not self.drifted:
            return f"none of {len(self.columns)} columns drifted"
        named = [self.columns[name] for name in self.drifted[:most]]
        words = ", ".join(f"{c.name} ({c.change}, {c.method} {c.score:.2f})" for c in named)
        rest = len(self.drifted) - len(named)
        more = f" and {rest} more" if rest else ""
        return f"{len(self.drifted)} of {len(self.columns)} columns drifted: {words}{more}"


def drift(
    reference: pa.Table,
    current: pa.Table,
    columns: Iterable[str] | None = None,
    thresholds: Thresholds | None = None,
) -> Drift:
    """Compare a window with a reference, column by column.

    Numbers are put into bins that hold equal shares of the reference; strings and booleans are compared
    category by category. Nulls (and NaN) are a bin of their own; so are values outside the reference's range.

    Args:
        reference: What was normal, for example a model's training sample.
        current: The window that is judged; extra columns are ignored.
        columns: Columns to compare; default all numeric, boolean and string columns of the reference.
        thresholds: Methods and limits; default `Thresholds()`.

    Raises:
        SchemaMismatch: A column is missing, has a type that cannot be compared, or changed its kind.
        DataError: A table has no rows.

    Example:
        >>> before = pa.table({"x": range(1000), "y": ["a", "b"] * 500})
        >>> after = pa.table({"x": range(500, 1500), "y": ["b", "a"] * 500})
        >>> found = drift(before, after)
        >>> found.share, found.drifted
        (0.5, ('x',))
    """
    limits = thresholds or Thresholds()
    if not reference.num_rows or not current.num_rows:
        raise DataError(
            f"drift needs rows on both sides: the reference has {reference.num_rows}, "
            f"the window {current.num_rows}. Choose a window with traffic"
        )
    names = list(columns) if columns is not None else _comparable(reference)
    pairs = [_pair(reference, current, name, limits) for name in names]
    judged = {pair.name: _judge(pair, limits, len(pairs)) for pair in pairs}
    moved = sum(column.drifted for column in judged.values())
    share = moved / len(judged) if judged else 0.0
    return Drift(judged, share, reference.num_rows, current.num_rows)


def _comparable(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if is_comparable(field.type)]


def _pair(reference: pa.Table, current: pa.Table, name: str, limits: Thresholds) -> Pair:
    for side, table in (("reference", reference), ("window", current)):
        if name not in table.column_names:
            raise SchemaMismatch(
                f"column {name!r} is not in the {side}, which has {', '.join(table.column_names)}: "
                "name only columns that both have"
            )
        if not is_comparable(table.schema.field(name).type):
            raise SchemaMismatch(
                f"column {name!r} of the {side} has type {table.schema.field(name).type}, which drift cannot "
                "compare: use numbers, booleans or strings"
            )
    left, right = reference[name], current[name]
    if (
        not pa.types.is_null(left.type)
        and not pa.types.is_null(right.type)
        and (is_numeric(left.type) != is_numeric(right.type))
    ):
        raise SchemaMismatch(
            f"column {name!r} was {left.type} in the reference and is {right.type} in the window: cast one of them"
        )
    return pair_of(name, left, right, bins=limits.bins, categories=limits.categories)


def _judge(pair: Pair, limits: Thresholds, columns: int) -> ColumnDrift:
    method: Method = limits.numeric if pair.kind == "numeric" else limits.categorical
    scores = {"psi": pair.psi, "jensen_shannon": pair.jensen_shannon, "wasserstein": pair.wasserstein}
    score, used = scores[method], method
    if math.isnan(score):  # no values on one side: the null bin still tells
        score, used = pair.psi, "psi"
    base = {"psi": limits.psi, "jensen_shannon": limits.jensen_shannon, "wasserstein": limits.wasserstein}[used]
    threshold = max(limits.overrides.get(pair.name, base), limits.floor(used, pair, columns))
    return ColumnDrift(
        name=pair.name,
        kind=pair.kind,
        method=used,
        score=score,
        threshold=threshold,
        drifted=score > threshold,
        psi=pair.psi,
        jensen_shannon=pair.jensen_shannon,
        wasserstein=pair.wasserstein,
        reference_nulls=pair.reference_nulls,
        current_nulls=pair.current_nulls,
        change=pair.change,
    )
