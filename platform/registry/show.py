"""How values show themselves in a notebook or a page: one way for all records, everything escaped."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from ..core import Node, Ref

# Colours follow the page, so that light and dark notebooks both look right.
STYLE = """<style>
.rl{font:13px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;color:inherit;max-width:100%;overflow-x:auto}
.rl table{border-collapse:collapse;margin:.2em 0 .6em;background:none}
.rl th,.rl td{text-align:left;vertical-align:top;padding:.25em .8em .25em 0;border:0;
 border-bottom:1px solid rgba(127,127,127,.25);background:none;overflow-wrap:break-word;max-width:48em}
.rl th{font-weight:600;opacity:.7;white-space:nowrap}
.rl td.n{text-align:right;font-variant-numeric:tabular-nums}
.rl .t{font-weight:600;font-size:14px;margin:.2em 0}
.rl .t small{font-weight:400;opacity:.65;margin-left:.5em}
.rl code{font:12px ui-monospace,SFMono-Regular,Menlo,monospace;background:none;color:inherit;padding:0}
.rl .d{opacity:.55}
.rl table table{margin:0}
.rl table table td,.rl table table th{padding:.05em .8em .05em 0;border:0}
</style>"""
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML cannot hold
_LONGEST = 500
_MOST = 30


class Shown:
    """Base of records: in a notebook a record shows itself as a table of its fields."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return record_html(self)


def escape(value: object) -> str:
    """Text that is safe between tags and in attributes, of HTML and of SVG.

    Example:
        >>> escape("<b title='x'>")
        '&lt;b title=&#x27;x&#x27;&gt;'
    """
    return html.escape(_FORBIDDEN.sub("\ufffd", str(value)), quote=True)


def record_html(record: Any) -> str:
    """A record (a dataclass) as a titled table of its fields.

    Example:
        >>> from raylake.registry import Edge
        >>> shown = record_html(Edge(Node("table", "main.<i>", "1"), Node("model", "m", "1")))
        >>> "table:main.&lt;i&gt;@1" in shown
        True
    """
    title = str(record.node) if hasattr(record, "node") else ""
    rows = [(field.name, cell(getattr(record, field.name))) for field in fields(record)]
    body = "".join(f"<tr><th>{escape(name)}</th><td>{value}</td></tr>" for name, value in rows)
    return block(f"{heading(type(record).__name__, title)}<table>{body}</table>")


def block(content: str) -> str:
    """HTML content with the style that belongs to it."""
    return f'{STYLE}<div class="rl">{content}</div>'


def heading(title: str, note: str = "") -> str:
    """A title line; `note` stands beside it, fainter."""
    beside = f"<small>{escape(note)}</small>" if note else ""
    return f'<div class="t">{escape(title)}{beside}</div>'


def table_html(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of values; numbers stand right."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns) if any(columns) else ""
    body = "".join(f"<tr>{''.join(_td(value) for value in row)}</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>"


def cell(value: Any) -> str:
    """One value as HTML."""
    if value is None or (isinstance(value, Mapping | Sequence) and not isinstance(value, str) and not len(value)):
        return '<span class="d">–</span>'
    if isinstance(value, Mapping):
        items = [*value.items()]
        rows = "".join(f"<tr><th>{escape(key)}</th><td>{cell(item)}</td></tr>" for key, item in items[:_MOST])
        return f"<table>{rows}</table>{_more(len(items))}"
    if isinstance(value, str | Node | Ref):
        return escape(_short(str(value)))
    if is_dataclass(value) and not isinstance(value, type):
        return escape(_short(str(value)))
    if isinstance(value, Sequence | set | frozenset):
        found = [*value]
        return "<br>".join(cell(item) for item in found[:_MOST]) + _more(len(found))
    return escape(_short(plain_text(value)))


def plain_text(value: Any) -> str:
    """A value as short text, for tables that are not HTML too.

    Example:
        >>> plain_text(0.123456789), plain_text(None), plain_text(float("nan"))
        ('0.123457', '–', 'NaN')
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.6g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S UTC" if value.utcoffset() is not None else "%Y-%m-%d %H:%M:%S")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={plain_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(plain_text(item) for item in value)
    return str(value)


def _td(value: Any) -> str:
    right = isinstance(value, int | float) and not isinstance(value, bool)
    if right:
        number = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}".replace("nan", "NaN")
        return f'<td class="n">{escape(number)}</td>'
    return f"<td>{cell(value)}</td>"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _more(count: int) -> str:
    return f'<span class="d">and {count - _MOST} more</span>' if count > _MOST else ""
