"""Images and sound: facts in columns, the bytes or samples if wanted, the file by reference always."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ..connector import Cursor, RawBatch, Split
from ..convert.audio import AUDIO_SCHEMA, describe_audio
from ..convert.images import image_schema, read_image
from .binary_files import Files, describe_file, read_content
from .file_streams import listed, plan_files


@dataclass(frozen=True, slots=True)
class Images:
    """Images, a row each: the reference of `Files`, then width, height, format, mode, EXIF (as JSON), and a tensor.

    Files that are no readable image go to quarantine. Needs ``raylake[images]``.

    Attributes:
        paths: One path or URL, or several; globs are expanded at every ingest.
        size: ``(width, height)`` of the tensor that goes into column ``tensor``: uint8 as int16, flattened from
            (height, width, 3), RGB. ``None``: no tensor.
        content: Whether the bytes come into the table too.
        largest: Files above this many bytes are refused.

    Example:
        >>> Images("scans/*.png").paths
        ('scans/*.png',)
    """

    paths: str | Sequence[str]
    size: tuple[int, int] | None = None
    content: bool = False
    largest: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", listed(self.paths))
        object.__setattr__(self, "size", None if self.size is None else tuple(self.size))

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """New files since `cursor`, one split per file."""
        return plan_files(self.paths, cursor)

    def read(self, split: Split) -> Iterator[RawBatch]:
        """One row, or one broken file."""
        schema = pa.schema([*Files(self.paths, content=self.content).schema, *image_schema(self.size)])
        row = describe_file(str(split.address["path"]), split.name)
        content = read_content(row, self.largest)
        facts = "too many bytes" if content is None else read_image(content, self.size)
        yield _batch({**row, "content": content}, facts, schema, split.name)


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound files, a row each: the reference of `Files`, then sample_rate, channels, frames, seconds, format.

    WAV, FLAC, OGG and MP3; files that are none of them go to quarantine. Needs ``raylake[audio]``.

    Attributes:
        paths: One path or URL, or several; globs are expanded at every ingest.
        content: Whether the bytes come into the table too.
        largest: Files above this many bytes are refused.

    Example:
        >>> Audio("calls/*.wav").paths
        ('calls/*.wav',)
    """

    paths: str | Sequence[str]
    content: bool = False
    largest: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", listed(self.paths))

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """New files since `cursor`, one split per file."""
        return plan_files(self.paths, cursor)

    def read(self, split: Split) -> Iterator[RawBatch]:
        """One row, or one broken file."""
        schema = pa.schema([*Files(self.paths, content=self.content).schema, *AUDIO_SCHEMA])
        row = describe_file(str(split.address["path"]), split.name)
        content = read_content(row, self.largest)
        facts = "too many bytes" if content is None else describe_audio(content)
        yield _batch({**row, "content": content}, facts, schema, split.name)


def _batch(row: dict[str, object], facts: dict[str, object] | str, schema: pa.Schema, name: str) -> RawBatch:
    if isinstance(facts, str):
        return RawBatch(schema.empty_table(), ((facts, name),))
    whole = {**row, **facts}
    return RawBatch(pa.Table.from_pylist([{field: whole[field] for field in schema.names}], schema=schema))
