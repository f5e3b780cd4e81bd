"""Numbers and times that are not written as ISO and computers write them: decimal commas, days first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..core import ConfigError
from .arrow_types import UTC_MICROSECONDS, arrow_type, type_name

# Notation to its group separators and its decimal sign.
NUMBERS: Mapping[str, tuple[str, str]] = {
    "1234,5": ("", ","),
    "1.234,5": (".", ","),
    "1 234,5": (" \u00a0\u202f", ","),
    "1,234.5": (",", "."),
    "1'234.5": ("'\u2019", "."),
}
# What people write; tried when a source is discovered.
TIMES = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d", "%d %b %Y"),
    *("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M"),
    *("%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%d-%m-%Y %H:%M"),
)
_HOURS = ("%H", "%I", "%T", "%R", "%s")


def notation_type(notation: str, declared: str | None, column: str) -> pa.DataType:
    """The type that a notation gives, unless the schema declares another one.

    Raises:
        ConfigError: There is no such notation, or it cannot give the declared type.

    Example:
        >>> str(notation_type("%d.%m.%Y", None, "day")), str(notation_type("1.234,5", None, "price"))
        ('date32[day]', 'double')
    """
    patterns = parts_of(notation, column)
    numeric = patterns[0] in NUMBERS
    clock = any(mark in notation for mark in _HOURS)
    usual = pa.float64() if numeric else UTC_MICROSECONDS if clock else pa.date32()
    if declared is None:
        return usual
    dtype = arrow_type(declared, column)
    fits = pa.types.is_floating(dtype) or pa.types.is_integer(dtype) if numeric else pa.types.is_temporal(dtype)
    if not fits:
        raise ConfigError(f"column {column!r} is {declared}, but its format {notation!r} is of {type_name(usual)}s")
    return dtype


def parts_of(notation: str, column: str) -> tuple[str, ...]:
    """The notations in ``%d.%m.%Y | %Y-%m-%d``: each cell is read by the first that fits.

    Raises:
        ConfigError: One is none, or numbers and times are mixed.
    """
    parts = tuple(part.strip() for part in notation.split("|"))
    numeric = [part in NUMBERS for part in parts]
    if all(numeric) or all("%" in part for part in parts):
        return parts
    raise ConfigError(
        f"format {notation!r} of column {column!r} is not valid: use one of {', '.join(map(repr, NUMBERS))}, or a "
        "pattern of strptime such as '%d.%m.%Y'; several are joined by ' | '"
    )


def read_notation(column: pa.ChunkedArray, dtype: pa.DataType, notation: str) -> tuple[pa.ChunkedArray, pa.Array]:
    """Read text as a notation writes it.

    Args:
        column: Text; null stays null.
        dtype: What to make of it; times without a zone count as UTC.
        notation: As for `parts_of`.

    Returns:
        The typed column, null where a cell is written otherwise, and the mask of those cells.

    Example:
        >>> values, bad = read_notation(pa.chunked_array([["1.234,50", "12.5", None]]), pa.float64(), "1.234,5")
        >>> values.to_pylist(), bad.to_pylist()
        ([1234.5, None, None], [False, True, False])
    """
    text = pc.utf8_trim_whitespace(column.combine_chunks())
    found = pa.nulls(len(text), dtype)
    for part in parts_of(notation, ""):
        read = _number(text, *NUMBERS[part]) if part in NUMBERS else _time(text, part)
        found = pc.coalesce(found, _cast(read, dtype))
    bad = pc.and_(pc.is_valid(text), pc.is_null(found))
    return pa.chunked_array([found]), bad


def apply_formats(
    typed: pa.Table, masks: Mapping[str, pa.Array], formats: Mapping[str, str], declared: Mapping[str, str]
) -> tuple[pa.Table, dict[str, pa.Array]]:
    """Read the text columns that have a format; the masks of cells that do not fit get theirs."""
    found = dict(masks)
    for name, notation in formats.items():
        if name not in typed.column_names or not pa.types.is_string(typed.schema.field(name).type):
            continue
        dtype = notation_type(notation, declared.get(name), name)
        values, bad = read_notation(typed.column(name), dtype, notation)
        typed = typed.set_column(typed.column_names.index(name), pa.field(name, dtype), values)
        if pc.any(bad).as_py():
            found[name] = bad
    return typed, found


def raw_schema(schema: pa.Schema, formats: Mapping[str, str]) -> pa.Schema:
    """The schema with text where a format is to be read."""
    return pa.schema([pa.field(entry.name, pa.string()) if entry.name in formats else entry for entry in schema])


def guess_notations(values: pa.ChunkedArray, share: float) -> list[tuple[str, int]]:
    """Notations by which at least `share` of some texts can be read, with how many cannot, best first."""
    found: list[tuple[int, int, str]] = []
    distinct = pa.chunked_array([pc.unique(values)])
    for place, notation in enumerate((*NUMBERS, *TIMES)):
        dtype = notation_type(notation, None, "")
        _, bad = read_notation(distinct, dtype, notation)
        count = pc.sum(bad).as_py() or 0
        if len(distinct) and count <= len(distinct) * (1 - share):
            found.append((count, place, notation))
    return [(notation, count) for count, _, notation in sorted(found)]


def _number(text: pa.Array, groups: str, decimal: str) -> pa.Array:
    whole = r"[0-9]+" if not groups else rf"([0-9]+|[0-9]{{1,3}}([{re.escape(groups)}][0-9]{{3}})+)"
    written = pc.match_substring_regex(text, rf"^[+-]?{whole}({re.escape(decimal)}[0-9]+)?$")
    plain = pc.if_else(written, text, pa.scalar(None, pa.string()))
    for group in groups:
        plain = pc.replace_substring(plain, group, "")
    plain = pc.replace_substring_regex(pc.replace_substring(plain, decimal, "."), r"^\+", "")
    return plain.cast(pa.float64())


def _time(text: pa.Array, pattern: str) -> pa.Array:
    try:
        found = pc.strptime(text, format=pattern, unit="us", error_is_null=True)
        if "%z" in pattern:
            return found
        # strptime makes 3 March of 31 February: what does not come out as it went in is no date.
        same = pc.equal(_plain(pc.strftime(found, format=pattern)), _plain(text))
    except pa.ArrowInvalid as error:
        raise ConfigError(f"{pattern!r} is not a pattern of strptime: {error}") from error
    if "%Y" in pattern:
        # It takes 26 for the year 26: that is %y.
        same = pc.and_(same, pc.greater_equal(pc.year(found), 1000))
    return pc.if_else(same, found, pa.scalar(None, found.type))


def _plain(text: pa.Array) -> pa.Array:
    """Without what may differ in the writing of one moment: leading zeros, fractions, case, spaces."""
    whole = pc.replace_substring_regex(pc.utf8_lower(text), r"\.0+$", "")
    return pc.replace_substring_regex(pc.replace_substring_regex(whole, r"\b0+([0-9])", r"\1"), r"\s+", " ")


def _cast(read: pa.Array, dtype: pa.DataType) -> pa.Array:
    if pa.types.is_integer(dtype):
        whole = pc.equal(pc.trunc(read), read)
        return pc.if_else(whole, read, pa.scalar(None, read.type)).cast(dtype)
    return read.cast(dtype, safe=False)


def check_formats(formats: Any, declared: Mapping[str, str] | None, source: str) -> None:
    """Refuse formats of a source that cannot be meant.

    Raises:
        ConfigError: They are no mapping, one is none, or does not fit the declared type.
    """
    if not isinstance(formats, Mapping):
        raise ConfigError(
            f"formats={formats!r} of source {source!r} is not a mapping of columns: use {{'day': '%d.%m.%Y'}}"
        )
    for column, notation in formats.items():
        notation_type(str(notation), (declared or {}).get(column), column)
