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
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core import StorageError
from .view import FeatureView

MAX_KEY = 500
_BLOCK = 2_048  # rows that are packed together: what their columns are written to stays in the processor's cache
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


class Unpacked(NamedTuple):
    """Many values of one view.

    Attributes:
        present: bool (n,), which of them are there.
        event: int64 (n,), µs since 1970.
        created: int64 (n,).
        nulls: bool (n, at least the number of features), or None when there is no null.
        blocks: For each of `ViewCodec.runs` an array (n, features of the run).
    """

    present: np.ndarray
    event: np.ndarray
    created: np.ndarray
    nulls: np.ndarray | None
    blocks: list[np.ndarray]


class ViewCodec:
    """Packs and unpacks the keys and values of one view. Immutable, safe in many threads.

    Example:
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> ViewCodec(view).key(("EWR",)).startswith(b"weather@")
        True
    """

    __slots__ = ("_bitmap", "_blank", "_layout", "_none", "_struct", "_text", "_types", "prefix", "runs", "tag")

    def __init__(self, view: FeatureView) -> None:
        self._types = view.feature_types
        self._bitmap = (len(self._types) + 7) // 8
        self._none = bytes(self._bitmap)
        codes = "".join(_SLOTS[name][0] for name in self._types)
        self._struct = struct.Struct(f">QQ4s{self._bitmap}s{codes}")
        self._text = tuple(i for i, name in enumerate(self._types) if name == "string")
        self.runs = tuple((kind, tuple(places)) for kind, places in _runs(self._types))
        fields = [(f"r{n}", _SLOTS[kind][1], (len(places),)) for n, (kind, places) in enumerate(self.runs)]
        head = [("e", ">u8"), ("c", ">u8"), ("tag", "V4"), ("nulls", "u1", (self._bitmap,))]
        self._layout = np.dtype([*head, *fields])
        self._blank = bytes(self._layout.itemsize)
        self.prefix = f"{view.name}@{view.version}\0".encode()
        self.tag = sha256(repr((view.feature_columns, self._types)).encode()).digest()[:4]

    def key(self, parts: Sequence[str | int]) -> bytes:
        """The key of one entity; `parts` are its key columns in order, str or int as declared."""
        body = b"".join([_text_key(part) if isinstance(part, str) else _int_key(part) for part in parts])
        return _fit(self.prefix, self.prefix + body)

    def keys(self, rows: Sequence[Sequence[str | int]]) -> list[bytes]:
        """`key` of many entities."""
        if rows and len(rows[0]) == 1 and isinstance(rows[0][0], str):
            # The commonest kind, without a call for each.
            texts, prefix = [row[0].encode() for row in rows], self.prefix  # type: ignore[union-attr]
            made = [prefix + len(text).to_bytes(4, "big") + text for text in texts]
            return made if max(map(len, made)) <= MAX_KEY else [_fit(prefix, key) for key in made]
        return [self.key(row) for row in rows]

    def unpack_many(self, values: Sequence[bytes | None]) -> Unpacked | None:
        """Read many values at once; None when there are texts, whose values have no common width.

        Raises:
            StorageError: The bytes have another layout.
        """
        if self._text:
            return None
        blank = self._blank
        whole = b"".join([blank if value is None else value for value in values])
        if len(whole) != len(blank) * len(values):
            raise StorageError(self._foreign())
        rows = np.frombuffer(whole, self._layout)
        present = rows["e"] != 0  # the rank of no moment that a timestamp holds
        if not (rows["tag"][present] == np.void(self.tag)).all():
            raise StorageError(self._foreign())
        moments = [(rows[name].astype(np.uint64) ^ np.uint64(_OFFSET)).view(np.int64) for name in ("e", "c")]
        nulls = np.unpackbits(rows["nulls"], axis=1, bitorder="little").view(bool) if rows["nulls"].any() else None
        blocks = [rows[f"r{n}"].astype(_native(_SLOTS[kind][1])) for n, (kind, _) in enumerate(self.runs)]
        return Unpacked(present, moments[0], moments[1], nulls, blocks)

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
        parts: dict[str, Any] = {
            "e": event.view(np.uint64) ^ np.uint64(_OFFSET),
            "c": created.view(np.uint64) ^ np.uint64(_OFFSET),
        }
        texts = []
        for index, name in enumerate(names):
            column = _whole(features.column(index))
            if column.null_count:
                rows["nulls"][:, index // 8] |= column.is_null().to_numpy(False).astype("u1") << np.uint8(index % 8)
            parts[name], text = _slot(column)
            texts += [] if text is None else [text]
        tag = np.bytes_(self.tag)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            block["tag"] = tag
            for name, part in parts.items():
                block[name] = part[start : start + _BLOCK]
        head = _fixed(rows, len(rows))
        return pc.binary_join_element_wise(head, *texts, pa.scalar(b"", _BINARY)) if texts else head


def _runs(types: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Features of one type that follow each other: the type, and their places."""
    for kind, places in groupby(range(len(types)), key=types.__getitem__):
        yield kind, list(places)


def _native(code: str) -> np.dtype[Any]:
    return np.dtype(code).newbyteorder("=")


def _slot(column: pa.Array) -> tuple[np.ndarray, pa.Array | None]:
    if pa.types.is_string(column.type):
        text = column.cast(pa.binary()).cast(_BINARY).fill_null(b"")
        return pc.binary_length(text).to_numpy(), text
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_date(column.type):
        column = column.cast(pa.int32())
    if column.null_count:
        column = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    return column.to_numpy(False), None


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
