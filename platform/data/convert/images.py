"""Images to size, format, EXIF and tensor."""

from __future__ import annotations

import io
from typing import Any

import orjson
import pyarrow as pa

from ...core import SchemaMismatch
from ..optional import need

# Above this, an image is a bomb: a few kilobytes that unpack to gigabytes.
_MOST_PIXELS = 100_000_000


def image_schema(size: tuple[int, int] | None) -> pa.Schema:
    """The columns that describe an image."""
    fields = [
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("exif", pa.string()),
    ]
    return pa.schema([*fields, *([("tensor", pa.list_(pa.field("element", pa.int16())))] if size else [])])


def read_image(content: bytes, size: tuple[int, int] | None = None) -> dict[str, Any] | str:
    """The facts of an image, or why it is none.

    Args:
        content: The file's bytes.
        size: ``(width, height)`` of the tensor, or ``None`` for none.

    Example:
        >>> read_image(b"no image")
        'not a readable image: cannot identify image file'
    """
    pil = need("PIL.Image", "images")
    try:
        with pil.open(io.BytesIO(content)) as image:
            if image.width * image.height > _MOST_PIXELS:
                return f"not accepted: {image.width} x {image.height} pixels, at most {_MOST_PIXELS}"
            image.load()
            facts = {"width": image.width, "height": image.height, "format": image.format, "mode": image.mode}
            facts["exif"] = _exif(image)
            if size is not None:
                facts["tensor"] = list(image.convert("RGB").resize(size).tobytes())
            return facts
    except (OSError, ValueError, SyntaxError, EOFError, pil.DecompressionBombError) as error:
        return f"not a readable image: {str(error).partition(' <')[0]}"


def images(table: pa.Table, *, column: str = "content", size: tuple[int, int] | None = None) -> pa.Table:
    """Add the facts of the images in a binary column; a `Source.transform` for `raylake.data.Files`.

    Args:
        table: Any table with the binary column.
        column: The images' bytes.
        size: ``(width, height)`` of the tensor: column ``tensor``, int16 values 0 to 255 flattened from
            (height, width, 3), RGB. ``None``: no tensor.

    Returns:
        The table with columns width, height, format, mode, exif (JSON text) and tensor; null where it is no image.

    Raises:
        SchemaMismatch: The column does not exist.
        ConfigError: Pillow is not installed.

    Example:
        >>> images(pa.table({"content": [b"?"]})).drop_columns(["content"]).to_pylist()
        [{'width': None, 'height': None, 'format': None, 'mode': None, 'exif': None}]
    """
    if column not in table.column_names:
        raise SchemaMismatch(f"there is no column {column!r} of images; columns: {table.column_names}")
    schema = image_schema(size)
    found = [read_image(content, size) if content else {} for content in table.column(column).to_pylist()]
    rows = [dict.fromkeys(schema.names) if isinstance(facts, str) or not facts else facts for facts in found]
    added = pa.Table.from_pylist(rows, schema=schema)
    for name in schema.names:
        table = table.append_column(schema.field(name), added.column(name))
    return table


def _exif(image: Any) -> str | None:
    tags = need("PIL.ExifTags", "images").TAGS
    found = {tags.get(key, str(key)): value for key, value in image.getexif().items()}
    return orjson.dumps(found, default=str, option=orjson.OPT_SORT_KEYS).decode() if found else None
