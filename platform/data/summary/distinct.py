"""How many different values there are: HyperLogLog, by whole arrays of hashes.

Flajolet and others, 'HyperLogLog', 2007, with the estimator of Ertl, 'New cardinality estimation algorithms for
HyperLogLog sketches', 2017, which needs no tables of bias. The datasketches package takes one value a call only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .hashing import Hashes

BITS = 12
_REGISTERS = 1 << BITS
_LONGEST = 64 - BITS  # a rank is at most one more
RELATIVE_ERROR = 1.04 / math.sqrt(_REGISTERS)


@dataclass(frozen=True, slots=True)
class Distinct:
    """A mergeable count of different values; standard error 1.6 %, 4 KiB.

    Attributes:
        registers: Longest run of zeros seen per bucket, uint8, shape ``(4096,)``; never changed in place.

    Example:
        >>> from .hashing import mixed
        >>> one = Distinct.of(mixed(np.arange(60_000, dtype=np.uint64)))
        >>> two = Distinct.of(mixed(np.arange(40_000, 100_000, dtype=np.uint64)))
        >>> 97_000 < one.merge(two).estimate() < 103_000
        True
    """

    registers: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, hashes: Hashes) -> Distinct:
        """Of the values with these hashes."""
        registers = np.zeros(_REGISTERS, dtype=np.uint8)
        start, size = 0, 16 * _REGISTERS
        while start < len(hashes):
            part = hashes[start : start + size]
            rest = part << np.uint64(BITS)
            # What has fewer leading zeros than every register holds already changes nothing: most of a long array.
            if least := int(registers.min()):
                useful = rest < np.uint64(1 << (64 - least))
                part, rest = part[useful], rest[useful]
            np.maximum.at(registers, (part >> np.uint64(64 - BITS)).astype(np.int64), _ranks(rest))
            start, size = start + size, 2 * size
        return cls(registers)

    def merge(self, other: Distinct) -> Distinct:
        """Of the union of both sets."""
        return Distinct(np.maximum(self.registers, other.registers))

    def estimate(self) -> int:
        """The estimated number of different values."""
        counts = np.bincount(self.registers, minlength=_LONGEST + 2)
        if counts[0] == _REGISTERS:
            return 0
        total = _REGISTERS * _tau(1.0 - counts[_LONGEST + 1] / _REGISTERS)
        for rank in range(_LONGEST, 0, -1):
            total = 0.5 * (total + int(counts[rank]))
        total += _REGISTERS * _sigma(counts[0] / _REGISTERS)
        return round(_REGISTERS**2 / (2 * math.log(2)) / total)


def _ranks(shifted: Hashes) -> npt.NDArray[np.uint8]:
    """Leading zeros plus one. The 11 lowest bits go, so that float64 holds the number exactly; none of them counts."""
    exponent = np.frexp((shifted & ~np.uint64(0x7FF)).astype(np.float64))[1]
    return np.where(exponent > 0, np.minimum(65 - exponent, _LONGEST + 1), _LONGEST + 1).astype(np.uint8)


def _sigma(share: float) -> float:
    """Ertl, algorithm 6, first helper: the part of registers that nothing has touched."""
    if share == 1.0:
        return math.inf
    weight, total = 1.0, share
    while True:
        share *= share
        before = total
        total += share * weight
        weight += weight
        if total == before:
            return total


def _tau(share: float) -> float:
    """Ertl, algorithm 6, second helper: the part of registers that are full."""
    if share in (0.0, 1.0):
        return 0.0
    weight, total = 1.0, 1.0 - share
    while True:
        share = math.sqrt(share)
        before = total
        weight *= 0.5
        total -= (1.0 - share) ** 2 * weight
        if total == before:
            return total / 3
