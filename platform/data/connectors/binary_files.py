"""Files of any kind as rows: where each lies, how large it is, what its content is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from ...core import urls
from ..arrow_types import UTC_MICROSECONDS
from ..connector import Cursor, RawBatch, Split
from .file_streams import listed, plan_files, reading

_REFERENCE = [
    ("path", pa.string()),
    ("bytes", pa.int64()),
    ("modified_at", UTC_MICROSECONDS),
    ("sha256", pa.string()),
]
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Files:
    """Files of any kind, a row each: ``path``, ``bytes``, ``modified_at``, ``sha256`` and, if wanted, ``content``.

    `raylake.data.convert` has transforms of ``content``: images to size, format and EXIF, documents to text.

    Attributes:
        paths: One path or URL, or several; globs are expanded at every ingest.
        content: Whether the bytes come into the table. Otherwise files are kept by reference.
        largest: Files above this many bytes are kept by reference all the same (their content is null).

    Example:
        >>> Files("scans/*.pdf", content=False).schema.names
        ['path', 'bytes', 'modified_at', 'sha256']
    """

    paths: str | Sequence[str]
    content: bool = True
    largest: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", listed(self.paths))

    @property
    def schema(self) -> pa.Schema:
        """The columns of its rows."""
        return pa.schema([*_REFERENCE, *([("content", pa.binary())] if self.content else [])])

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """New files since `cursor`, one split per file."""
        return plan_files(self.paths, cursor)

    def read(self, split: Split) -> Iterator[RawBatch]:
        """One row."""
        row = describe_file(str(split.address["path"]), split.name)
        if self.content:
            row["content"] = read_content(row, self.largest)
        yield RawBatch(pa.Table.from_pylist([row], schema=self.schema))


def describe_file(path: str, name: str) -> dict[str, Any]:
    """What identifies a file: path, bytes, time of the last change, SHA-256 of the content."""
    with reading(name, "a file"):
        store, inner = urls.filesystem(path)
        info = store.get_file_info(inner)
        digest = hashlib.sha256()
        with store.open_input_file(inner) as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
        modified = datetime.fromtimestamp((info.mtime_ns or 0) / 1e9, UTC)
        return {"path": path, "bytes": info.size, "modified_at": modified, "sha256": digest.hexdigest()}


def read_content(row: dict[str, Any], largest: int) -> bytes | None:
    """The bytes of a described file, or ``None`` when there are more than `largest`."""
    if row["bytes"] > largest:
        return None
    with reading(row["path"], "a file"):
        store, inner = urls.filesystem(row["path"])
        with store.open_input_file(inner) as handle:
            content: bytes = handle.read()
            return content
