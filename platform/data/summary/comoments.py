"""Which numeric columns move together: sums of products that merge, with nulls left out pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .numbers import Floats

MOST_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class Comoments:
    """What Pearson's correlations of some columns are computed from.

    Values are shifted by `origin` before they are multiplied, so that a large mean costs no digits.

    Attributes:
        names: The columns.
        origin: What was subtracted from each, shape ``(k,)``.
        counts: Rows in which both columns have a finite value, shape ``(k, k)``.
        sums: Sum of the row's column over those rows, shape ``(k, k)``.
        squares: Sum of its squares over those rows, shape ``(k, k)``.
        products: Sum of the products, shape ``(k, k)``.

    Example:
        >>> x = np.array([1.0, 2.0, 3.0, np.nan])
        >>> found = Comoments.of({"x": x, "y": 2 * x, "z": -x})
        >>> found.correlations().round(2).tolist()
        [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """

    names: tuple[str, ...]
    origin: Floats
    counts: Floats
    sums: Floats
    squares: Floats
    products: Floats

    @classmethod
    def of(cls, columns: dict[str, Floats]) -> Comoments:
        """Of columns of equal length; NaN and infinities are left out."""
        names = tuple(columns)[:MOST_COLUMNS]
        if not names:
            return cls((), *(np.zeros((0, 0)) for _ in range(5)))
        values = np.stack([columns[name] for name in names])
        present = np.isfinite(values)
        if present.size and present.all():
            return cls._of_complete(names, values)
        origin = np.array([row[seen][0] if seen.any() else 0.0 for row, seen in zip(values, present, strict=True)])
        values = np.where(present, values - origin[:, None], 0.0)
        mask = present.astype(np.float64)
        return cls(names, origin, mask @ mask.T, values @ mask.T, (values * values) @ mask.T, values @ values.T)

    @classmethod
    def _of_complete(cls, names: tuple[str, ...], values: Floats) -> Comoments:
        """The usual case, four times as fast: nothing is missing, so every pair has the same rows."""
        origin = values[:, 0].copy()
        values -= origin[:, None]
        square = np.ones((len(names), len(names)))
        products = values @ values.T
        sums, squares = values.sum(axis=1)[:, None] * square, np.diag(products)[:, None] * square
        return cls(names, origin, values.shape[1] * square, sums, squares, products)

    def merge(self, other: Comoments) -> Comoments:
        """Of the rows of both; the columns must be the same."""
        moved = other._moved_to(self.origin, self.counts)
        return Comoments(
            self.names,
            moved.origin if not self.counts.any() else self.origin,
            self.counts + moved.counts,
            self.sums + moved.sums,
            self.squares + moved.squares,
            self.products + moved.products,
        )

    def correlations(self) -> Floats:
        """Pearson's correlation of each pair, shape ``(k, k)``; NaN for a constant column or below two rows."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.sums / self.counts
            variance = self.squares / self.counts - mean**2
            covariance = self.products / self.counts - mean * mean.T
            spread = np.where(variance > 1e-12 * self.squares / self.counts, variance, np.nan)
            found = covariance / np.sqrt(spread * spread.T)
        return np.clip(np.where(self.counts > 1, found, np.nan), -1.0, 1.0)

    def _moved_to(self, origin: Floats, known: Floats) -> Comoments:
        """The same sums around another origin."""
        if not known.any():
            return self
        step = (self.origin - origin)[:, None]
        sums = self.sums + step * self.counts
        squares = self.squares + 2 * step * self.sums + step**2 * self.counts
        products = self.products + step * self.sums.T + step.T * self.sums + step * step.T * self.counts
        return Comoments(self.names, origin, self.counts, sums, squares, products)
