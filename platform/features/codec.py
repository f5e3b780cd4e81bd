"""How a view's values lie in an online store: one key and one packed value per entity.

Key: ``<view>@<version>\\0`` and each key column (string: length and UTF-8; integer: 8 bytes). The view's version is
part of it, so a model in service and its successor with a changed view never read each other's values. Keys longer
than the store takes are replaced by their hash.

Value, big-endian::

    rank    16 bytes   event time, then created time (µs since 1970, offset so that bytes compare like numbers)
    tag      4 bytes   hash of columns and types: bytes of another layout are refused, never misread
    nulls    n bytes   one bit per feature
    slots              8 bytes per float64, int64, timestamp; 4 per float32, date and string (its length); 1 per bool
    text               the strings, one after the other

A store keeps the value with the greatest rank and understands nothing else of it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core import StorageError
from .view import FeatureView

MAX_KEY = 500
RANK_BYTES = 16
_OFFSET = 1 << 63
_BINARY = pa.large_binary()
_SLOTS: Mapping[str, tuple[str, str]] = MappingProxyType(  # struct code, numpy code
    {
        "float64": ("d", ">f8"),
        "float32": ("f", ">f4"),
        "int64": ("q", ">i8"),
        "bool": ("?", "?"),
        "timestamp": ("q", ">i8"),
        "date": ("i", ">i4"),
        "string": ("I", ">u4"),
    }
)


def rank(event: int, created: int) -> bytes:
    """The first 16 bytes of a value: they compare like ``(event, created)``, both µs since 1970.

    Example:
        >>> rank(-1, 0) < rank(0, -5) < rank(0, 5), len(rank(0, 0))
        (True, 16)
    """
    return struct.pack(">QQ", event + _OFFSET, created + _OFFSET)


def event_of(value: bytes) -> int:
    """The event time in a value's rank, µs since 1970.

    Example:
        >>> event_of(rank(-7, 0))
        -7
    """
    return int.from_bytes(value[:8], "big") - _OFFSET


class ViewCodec:
    """Packs and unpacks the keys and values of one view. Immutable, safe in many threads.

    Example:
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> ViewCodec(view).key(("EWR",)).startswith(b"weather@")
        True
    """

    __slots__ = ("_bitmap", "_none", "_struct", "_text", "_types", "prefix", "tag")

    def __init__(self, view: FeatureView) -> None:
        self._types = view.feature_types
        self._bitmap = (len(self._types) + 7) // 8
        self._none = bytes(self._bitmap)
        codes = "".join(_SLOTS[name][0] for name in self._types)
        self._struct = struct.Struct(f">QQ4s{self._bitmap}s{codes}")
        self._text = tuple(i for i, name in enumerate(self._types) if name == "string")
        self.prefix = f"{view.name}@{view.version}\0".encode()
        self.tag = sha256(repr((view.feature_columns, self._types)).encode()).digest()[:4]

    def key(self, parts: Sequence[str | int]) -> bytes:
        """The key of one entity; `parts` are its key columns in order, str or int as declared."""
        body = b"".join([_text_key(part) if isinstance(part, str) else _int_key(part) for part in parts])
        return _fit(self.prefix, self.prefix + body)

    def unpack(self, value: bytes) -> tuple[int, int, Sequence[Any]]:
        """Read one value: event time, created time (µs since 1970), features in order (None: null).

        Raises:
            StorageError: The bytes have another layout.
        """
        try:
            event, created, tag, nulls, *slots = self._struct.unpack_from(value)
        except struct.error as error:
            raise StorageError(self._foreign()) from error
        if tag != self.tag:
            raise StorageError(self._foreign())
        if self._text:
            self._read_text(value, slots)
        if nulls != self._none:
            bits = int.from_bytes(nulls, "little")
            slots = [None if bits >> i & 1 else slot for i, slot in enumerate(slots)]
        return event - _OFFSET, created - _OFFSET, slots

    def _read_text(self, value: bytes, slots: list[Any]) -> None:
        start = self._struct.size
        for index in self._text:
            end = start + slots[index]
            slots[index] = value[start:end].decode()
            start = end

    def _foreign(self) -> str:
        name = self.prefix[:-1].decode()
        return f"online values of {name} have another layout: remove them (drop_view) and materialise the view again"

    def pack_keys(self, columns: Sequence[pa.ChunkedArray]) -> pa.Array:
        """Keys of many rows at once; `columns` are string or int64 without nulls. Returns large_binary (n,)."""
        rows = len(columns[0])
        parts: list[Any] = [pa.scalar(self.prefix, _BINARY)]
        for column in columns:
            if pa.types.is_string(column.type):
                text = _whole(column.cast(pa.binary()).cast(_BINARY))
                parts += [_fixed(pc.binary_length(text).to_numpy().astype(">u4"), rows), text]
            else:
                numbers = column.to_numpy().astype(np.int64).view(np.uint64) ^ np.uint64(_OFFSET)
                parts.append(_fixed(numbers.astype(">u8"), rows))
        keys = pc.binary_join_element_wise(*parts, pa.scalar(b"", _BINARY))
        if rows and pc.max(pc.binary_length(keys)).as_py() > MAX_KEY:
            keys = pa.array([_fit(self.prefix, key) for key in keys.to_pylist()], _BINARY)
        return keys

    def pack_values(self, features: pa.Table, event: np.ndarray, created: np.ndarray) -> pa.Array:
        """Values of many rows at once.

        Args:
            features: The view's features in order and type, n rows.
            event: int64 (n,), µs since 1970.
            created: int64 (n,), µs since 1970.

        Returns:
            large_binary (n,).
        """
        names = [f"f{i}" for i in range(len(self._types))]
        slots = [(name, _SLOTS[kind][1]) for name, kind in zip(names, self._types, strict=True)]
        layout = np.dtype([("e", ">u8"), ("c", ">u8"), ("tag", "S4"), ("nulls", "u1", (self._bitmap,)), *slots])
        rows = np.zeros(len(event), dtype=layout)
        rows["e"] = event.view(np.uint64) ^ np.uint64(_OFFSET)
        rows["c"] = created.view(np.uint64) ^ np.uint64(_OFFSET)
        rows["tag"] = np.bytes_(self.tag)
        texts = []
        for index, name in enumerate(names):
            column = _whole(features.column(index))
            rows["nulls"][:, index // 8] |= column.is_null().to_numpy(False).astype("u1") << np.uint8(index % 8)
            filled, text = _slot(column)
            rows[name] = filled
            texts += [] if text is None else [text]
        head = _fixed(rows, len(rows))
        return pc.binary_join_element_wise(head, *texts, pa.scalar(b"", _BINARY)) if texts else head


def _slot(column: pa.Array) -> tuple[np.ndarray, pa.Array | None]:
    if pa.types.is_string(column.type):
        text = column.cast(pa.binary()).cast(_BINARY).fill_null(b"")
        return pc.binary_length(text).to_numpy(), text
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_date(column.type):
        column = column.cast(pa.int32())
    return column.fill_null(False if pa.types.is_boolean(column.type) else 0).to_numpy(False), None


def _whole(column: pa.ChunkedArray) -> pa.Array:
    merged = column.combine_chunks()
    return merged if isinstance(merged, pa.Array) else pa.concat_arrays(merged.chunks)


def _fixed(rows: np.ndarray, count: int) -> pa.Array:
    """Rows of equal width as large_binary, without a copy per row."""
    offsets = np.arange(count + 1, dtype=np.int64) * rows.dtype.itemsize
    data = pa.py_buffer(np.ascontiguousarray(rows).view(np.uint8) if count else b"")
    return pa.LargeBinaryArray.from_buffers(_BINARY, count, [None, pa.py_buffer(offsets), data])


def _text_key(part: str) -> bytes:
    text = part.encode()
    return len(text).to_bytes(4, "big") + text


def _int_key(part: int) -> bytes:
    return (part + _OFFSET).to_bytes(8, "big")


def _fit(prefix: bytes, key: bytes) -> bytes:
    return key if len(key) <= MAX_KEY else prefix + b"#" + sha256(key).digest()
