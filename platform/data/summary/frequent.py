"""Which values are frequent: the summary of Misra and Gries.

Merged as in Agarwal and others, 'Mergeable summaries', 2012.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CAPACITY = 1024


@dataclass(frozen=True, slots=True)
class Frequent:
    """A mergeable table of the most frequent values.

    A value's true count lies between its count and its count plus `error`. While `error` is 0 the table is complete:
    it holds every value, with its exact count.

    Attributes:
        values: Values, most frequent first (ties in their natural order), none of them null.
        counts: How often each was seen at least.
        error: By how much a count may be too low, at most ``rows / CAPACITY``.

    Example:
        >>> one = Frequent.of(pa.array(["EWR", "JFK", "EWR", None]))
        >>> two = Frequent.of(pa.array(["LGA", "JFK", "EWR"]))
        >>> both = one.merge(two)
        >>> both.top(2), both.error
        ([('EWR', 3), ('JFK', 2)], 0)
    """

    values: pa.Array
    counts: tuple[int, ...]
    error: int = 0

    @classmethod
    def of(cls, column: pa.Array | pa.ChunkedArray) -> Frequent:
        """Of a column."""
        counted = pc.value_counts(pc.drop_null(column))
        return _reduced(counted.field("values"), counted.field("counts").to_numpy(zero_copy_only=False), 0)

    def merge(self, other: Frequent) -> Frequent:
        """Of both columns together."""
        values = pa.concat_arrays([self.values, other.values.cast(self.values.type)])
        counts = pa.array([*self.counts, *other.counts], pa.int64())
        joined = pa.table({"value": values, "count": counts}).group_by("value").aggregate([("count", "sum")])
        return _reduced(joined["value"].combine_chunks(), joined["count_sum"].to_numpy(), self.error + other.error)

    @property
    def complete(self) -> bool:
        """Whether every value is in the table, with its exact count."""
        return self.error == 0

    def top(self, most: int = 10) -> list[tuple[Any, int]]:
        """The most frequent values with their counts."""
        return list(zip(self.values[:most].to_pylist(), self.counts[:most], strict=True))


def _reduced(values: pa.Array, counts: Any, error: int) -> Frequent:
    """The `CAPACITY` largest counts, each less the largest one that is left out."""
    order = np.argsort(-counts, kind="stable")
    if len(order) <= CAPACITY:
        # Equal counts in the order of values, so that a merge gives the same in any order.
        order = np.lexsort((_ranks(values), -counts))
        return Frequent(values.take(pa.array(order)), tuple(map(int, counts[order])), error)
    cut = int(counts[order[CAPACITY]])
    kept = order[:CAPACITY][counts[order[:CAPACITY]] > cut]
    kept = kept[np.lexsort((_ranks(values.take(pa.array(kept))), -counts[kept]))]
    return Frequent(values.take(pa.array(kept)), tuple(int(counts[place]) - cut for place in kept), error + cut)


def _ranks(values: pa.Array) -> Any:
    return pc.rank(values, sort_keys="ascending", tiebreaker="first").to_numpy(zero_copy_only=False)
