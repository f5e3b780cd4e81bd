"""A page of titled sections that can be written as Markdown and as one self-contained HTML file; text is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .lineage_graph import LineageGraph
from .show import escape, plain_text, table_html

# Characters that mean something to Markdown or to the HTML inside it.
_MEANING = re.compile(r"([\\`*_\[\]#|~<>&$])")
_ENTITY = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
# Nothing is loaded and no script runs, whatever a name or a description says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_PAGE_STYLE = """
:root{color-scheme:light dark;--ink:#1f2933;--faint:#6b7783;--line:#e4e8ec;--ground:#fff;--soft:#f5f7f9;--mark:#0072b2}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaee;--faint:#9aa5b1;--line:#36404a;--ground:#161b20;--soft:#20272e;
 --mark:#56b4e9}}
body{font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);background:var(--ground);
 max-width:62rem;margin:2.5rem auto;padding:0 1.5rem}
h1{font-size:1.9rem;margin:0 0 .2rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2.2rem 0 .6rem;
 border-bottom:1px solid var(--line);padding-bottom:.3rem}
p{margin:.5rem 0;white-space:pre-line;overflow-wrap:anywhere}.lead{color:var(--faint);margin:0 0 1rem}
.chip{display:inline-block;background:var(--mark);color:var(--ground);border-radius:99px;padding:.05rem .7rem;
 font-size:.82rem;font-weight:600;margin-right:.35rem}
table{border-collapse:collapse;margin:.4rem 0}th,td{text-align:left;vertical-align:top;padding:.32rem 1.4rem .32rem 0;
 border-bottom:1px solid var(--line);overflow-wrap:break-word}th{color:var(--faint);font-weight:600;font-size:.85rem}
td.n{text-align:right;font-variant-numeric:tabular-nums}.d{color:var(--faint)}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:10px}.wide svg{display:block}
pre{background:var(--soft);border-radius:8px;padding:.8rem 1rem;overflow-x:auto;
 font:13px/1.5 ui-monospace,Menlo,monospace}
footer{color:var(--faint);font-size:.85rem;margin-top:3rem}
"""


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A piece of code."""

    language: str
    text: str


Piece: TypeAlias = Words | Rows | Source | LineageGraph


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a page; without pieces it is left out."""

    title: str
    pieces: tuple[Piece, ...]


def markdown(title: str, lead: str, chips: Sequence[str], sections: Sequence[Section]) -> str:
    """The page as Markdown (with tables and Mermaid, as most sites show them).

    Example:
        >>> print(markdown("a|b", "", ["champion"], [Section("Data", (Words("<b>"),))]))
        # a\\|b
        <BLANKLINE>
        **champion**
        <BLANKLINE>
        ## Data
        <BLANKLINE>
        &lt;b&gt;
    """
    parts = [f"# {marked(title)}"]
    parts += [marked(lead)] if lead else []
    parts += [" · ".join(f"**{marked(chip)}**" for chip in chips)] if chips else []
    for section in sections:
        if section.pieces:
            parts += [f"## {marked(section.title)}", *map(_markdown, section.pieces)]
    return "\n\n".join(parts)


def html_page(title: str, lead: str, chips: Sequence[str], sections: Sequence[Section], foot: str) -> str:
    """The page as one HTML file: nothing is loaded, no script runs."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_PAGE_STYLE}</style></head>'
        f"<body>{html_body(title, lead, chips, sections)}<footer>{escape(foot)}</footer></body></html>"
    )


def html_body(title: str, lead: str, chips: Sequence[str], sections: Sequence[Section]) -> str:
    """The page's content, for a place inside another page."""
    marks = "".join(f'<span class="chip">{escape(chip)}</span>' for chip in chips)
    shown = [
        f"<section><h2>{escape(section.title)}</h2>{''.join(map(_html, section.pieces))}</section>"
        for section in sections
        if section.pieces
    ]
    return f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>{marks}{"".join(shown)}'


def marked(text: str) -> str:
    """Text that Markdown shows as it is, in one line.

    Example:
        >>> marked("a_b <i>")
        'a\\\\_b &lt;i&gt;'
    """
    one_line = " ".join(str(text).split())
    return _MEANING.sub(lambda found: _ENTITY.get(found[1], f"\\{found[1]}"), one_line)


def _markdown(piece: Piece) -> str:
    if isinstance(piece, Words):
        return "\n\n".join(marked(part) for part in piece.text.split("\n\n"))
    if isinstance(piece, Source):
        fence = "`" * (3 + max((len(run) for run in re.findall("`+", piece.text)), default=0))
        return f"{fence}{piece.language}\n{piece.text}\n{fence}"
    if isinstance(piece, LineageGraph):
        return f"```mermaid\n{piece.to_mermaid()}\n```"
    head = [piece.columns, tuple("---" for _ in piece.columns)]
    lines = [" | ".join(marked(plain_text(value)) for value in row) for row in piece.rows]
    return "\n".join(f"| {line} |" for line in [*(" | ".join(row) for row in head), *lines])


def _html(piece: Piece) -> str:
    if isinstance(piece, Words):
        return f"<p>{escape(piece.text)}</p>"
    if isinstance(piece, Source):
        return f"<pre><code>{escape(piece.text)}</code></pre>"
    if isinstance(piece, LineageGraph):
        return f'<div class="wide">{piece.to_svg()}</div>'
    return table_html(piece.columns, piece.rows)
