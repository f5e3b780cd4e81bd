"""A stable 64-bit hash of every value of a column, computed on whole buffers.

Stable: the same value hashes alike in every process, version and column type of its family, so that summaries that
were stored by one release merge with those of another.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2**64
_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))
_PIECE = 16_384
_LENGTH = np.uint64(0xD1342543DE82EF95)


def hash_values(values: pa.Array) -> Hashes:
    """Hashes of the values that are not null, in their order.

    Numbers, times and booleans hash their bits (as float64 where the type is floating, so that 0.0 and -0.0 are
    one value); text and binary hash a polynomial of their bytes, evaluated by prefix sums; nested values hash
    their text.

    Args:
        values: Any Arrow array.

    Returns:
        Shape ``(len(values) - values.null_count,)``.

    Example:
        >>> one, two = hash_values(pa.array(["a", "b"])), hash_values(pa.array(["b", None]))
        >>> bool(one[1] == two[0]), len(two)
        (True, 1)
    """
    present = values.drop_null()
    kind = present.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        floats = np.asarray(present.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)) + 0.0
        return mixed(floats.view(np.uint64))
    if pa.types.is_integer(kind):
        wide = present.cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
        return mixed(wide.view(np.uint64))
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        ticks = present.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        return hash_values(ticks)
    if pa.types.is_boolean(kind):
        return mixed(present.cast(pa.uint8()).to_numpy(zero_copy_only=False).astype(np.uint64))
    return _hash_bytes(_as_bytes(present))


def mixed(bits: Hashes) -> Hashes:
    """Spread bits over all 64 places: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).

    Example:
        >>> hex(int(mixed(np.array([1], dtype=np.uint64))[0]))
        '0x5692161d100b05e5'
    """
    found = np.empty_like(bits)
    # In pieces that fit the processor's cache: on whole arrays, most of the time goes into moving memory.
    for start in range(0, len(bits), _PIECE):
        part = bits[start : start + _PIECE]
        part = part ^ (part >> np.uint64(30))
        part *= np.uint64(0xBF58476D1CE4E5B9)
        part ^= part >> np.uint64(27)
        part *= np.uint64(0x94D049BB133111EB)
        np.bitwise_xor(part, part >> np.uint64(31), out=found[start : start + _PIECE])
    return found


def _as_bytes(values: pa.Array) -> pa.Array:
    if pa.types.is_large_binary(values.type):
        return values
    if pa.types.is_binary(values.type) or pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return values.cast(pa.large_binary())
    if pa.types.is_fixed_size_binary(values.type):
        return values.cast(pa.binary()).cast(pa.large_binary())
    try:
        text = pc.cast(values, pa.large_string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        text = pa.array([repr(value) for value in values.to_pylist()], pa.large_string())
    return text.cast(pa.large_binary())


def _hash_bytes(values: pa.Array) -> Hashes:
    """Of bytes b: sum of b[i] * BASE**i modulo 2**64, from differences of one running sum over the whole buffer."""
    if not len(values):
        return np.empty(0, dtype=np.uint64)
    ends = np.frombuffer(values.buffers()[1], dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    first, last = int(ends[0]), int(ends[-1])
    data = values.buffers()[2]
    raw = (
        np.frombuffer(data, dtype=np.uint8)[first:last] if data is not None and last > first else np.empty(0, np.uint8)
    )
    powers, inverses = _powers(_rounded(len(raw) + 1))
    running = np.zeros(len(raw) + 1, dtype=np.uint64)
    np.cumsum((raw.astype(np.uint64) + np.uint64(1)) * powers[: len(raw)], out=running[1:])
    starts, stops = (ends - first)[:-1], (ends - first)[1:]
    found = (running[stops] - running[starts]) * inverses[starts]
    return mixed(found + (stops - starts).astype(np.uint64) * _LENGTH)


def _rounded(size: int) -> int:
    return 1 << max(12, (size - 1).bit_length())


@lru_cache(maxsize=4)
def _powers(size: int) -> tuple[Hashes, Hashes]:
    """BASE**i and BASE**-i for i below `size`."""
    return _power(_BASE, size), _power(_INVERSE, size)


def _power(base: np.uint64, size: int) -> Hashes:
    found = np.full(size, base, dtype=np.uint64)
    found[0] = 1
    return np.multiply.accumulate(found)
