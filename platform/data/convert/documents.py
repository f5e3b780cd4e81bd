"""Documents to text."""

from __future__ import annotations

import io
import re
import zipfile
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa

from ...core import SchemaMismatch
from ..optional import need

# A text above this is cut: one table cell is not a library.
_LONGEST = 8 * 1024 * 1024
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def documents(table: pa.Table, *, column: str = "content", keep: bool = False) -> pa.Table:
    """Turn documents into text; a `Source.transform` for `raylake.data.Files`. Needs ``raylake[documents]`` for PDF.

    PDF (through pypdf), Word (.docx), HTML and plain text are told apart by their first bytes. Scanned pages hold no
    text; they are not read by character recognition.

    Args:
        table: Any table with the binary column.
        column: The documents' bytes.
        keep: Whether the bytes stay in the table.

    Returns:
        The table with columns ``kind`` (``pdf``, ``docx``, ``html``, ``text``), ``pages`` (int32; null where there
        are none), ``text`` and ``problem`` (why there is no text, else null).

    Raises:
        SchemaMismatch: The column does not exist.
        ConfigError: pypdf is not installed and there is a PDF.

    Example:
        >>> documents(pa.table({"content": [b"<html><p>Late <b>again</b></p></html>"]}))["text"].to_pylist()
        ['Late again']
    """
    if column not in table.column_names:
        raise SchemaMismatch(f"there is no column {column!r} of documents; columns: {table.column_names}")
    schema = pa.schema([("kind", pa.string()), ("pages", pa.int32()), ("text", pa.string()), ("problem", pa.string())])
    rows = [_read(content) for content in table.column(column).to_pylist()]
    added = pa.Table.from_pylist(rows, schema=schema)
    rest = table if keep else table.drop_columns([column])
    for name in schema.names:
        rest = rest.append_column(schema.field(name), added.column(name))
    return rest


def _read(content: bytes | None) -> dict[str, Any]:
    empty = {"kind": None, "pages": None, "text": None, "problem": "no content"}
    if not content:
        return empty
    kind = _kind(content)
    try:
        text, pages = _READERS[kind](content)
    except _Unreadable as error:
        return {**empty, "kind": kind, "problem": str(error)}
    return {"kind": kind, "pages": pages, "text": text[:_LONGEST].strip(), "problem": None}


class _Unreadable(ValueError):
    """A document whose text cannot be had."""


def _kind(content: bytes) -> str:
    if content.startswith(b"%PDF-"):
        return "pdf"
    if content.startswith(b"PK\x03\x04"):
        return "docx"
    return "html" if re.match(rb"\s*<(!doctype html|html|head|body)", content[:200], re.IGNORECASE) else "text"


def _pdf(content: bytes) -> tuple[str, int]:
    pypdf = need("pypdf", "documents")
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        return "\n".join(page.extract_text() for page in reader.pages), len(reader.pages)
    except (pypdf.errors.PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _Unreadable(f"not a readable PDF: {error}") from error


def _docx(content: bytes) -> tuple[str, None]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open("word/document.xml") as part:
            xml = part.read(4 * _LONGEST)
        body = ElementTree.fromstring(xml)
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, OSError) as error:
        raise _Unreadable(f"not a readable Word document: {error}") from error
    paragraphs = ("".join(part.text or "" for part in found.iter(f"{_WORD}t")) for found in body.iter(f"{_WORD}p"))
    return "\n".join(paragraphs), None


def _html(content: bytes) -> tuple[str, None]:
    parser = _Visible()
    parser.feed(content.decode(errors="replace"))
    return re.sub(r"[ \t]*\n\s*", "\n", re.sub(r"[ \t]+", " ", "".join(parser.found))), None


def _text(content: bytes) -> tuple[str, None]:
    try:
        return content.decode(), None
    except UnicodeDecodeError as error:
        raise _Unreadable(f"neither PDF, Word, HTML nor UTF-8 text ({error.reason} at byte {error.start})") from error


class _Visible(HTMLParser):
    """Collects the text that a reader of the page would see."""

    _HIDDEN = ("script", "style", "head", "template")
    _BLOCKS = ("p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "table", "section", "article")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in self._HIDDEN
        self.found += ["\n"] if tag in self._BLOCKS else []

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in self._HIDDEN))

    def handle_data(self, data: str) -> None:
        self.found += [] if self._hidden else [data]


_READERS: dict[str, Any] = {"pdf": _pdf, "docx": _docx, "html": _html, "text": _text}
