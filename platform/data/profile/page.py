"""A profile as a page that a person likes to read: one card a column, drawn without scripts."""

from __future__ import annotations

from html import escape
from typing import Any

from .drawing import STYLE, bars, heat, histogram, meter
from .records import ColumnProfile, Profile

_MATRIX = 24
_FEW = 10  # so many different numbers are shown one by one


def page_of(profile: Profile) -> str:
    """A self-contained HTML document."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(profile.table)}: profile</title></head><body>{fragment_of(profile)}</body></html>"
    )


def fragment_of(profile: Profile) -> str:
    """The same, for a cell of a notebook."""
    cards = "".join(_card(column) for column in profile.columns.values())
    body = f'{_head(profile)}<div class="cards">{cards}</div>{_pairs(profile)}'
    return f'<style>{STYLE}</style><div class="rl-profile">{body}</div>'


def _head(profile: Profile) -> str:
    columns = profile.columns.values()
    cells = max(1, profile.rows * len(profile.columns))
    missing = sum(column.missing for column in columns) / cells
    facts = [
        (f"{profile.rows:,}", "rows"),
        (f"{len(profile.columns):,}", "columns"),
        (percent(missing), "of the cells missing"),
        (f"{profile.seconds:.1f} s", "to read and summarise"),
    ]
    shown = "".join(f"<li><b>{escape(value)}</b> {escape(what)}</li>" for value, what in facts)
    noted = [(column.name, note) for column in columns for note in column.notes]
    remarks = "".join(f"<li><b>{escape(name)}</b> {escape(note)}</li>" for name, note in noted)
    look = f'<details open><summary>{len(noted)} things to look at</summary><ul class="notes">{remarks}</ul></details>'
    return f'<h1>{escape(profile.table)}</h1><ul class="facts">{shown}</ul>{look if noted else ""}'


def _card(column: ColumnProfile) -> str:
    kind = f'<span class="kind">{escape(column.type)}</span>'
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in column.notes)
    return (
        f"<section><h2>{escape(column.name)} {kind}</h2>{meter(column.missing_share)}"
        f"{_picture(column)}{_figures(column)}{notes}</section>"
    )


def _picture(column: ColumnProfile) -> str:
    few = column.distinct_is_exact and column.distinct <= _FEW
    if column.kind in ("number", "time") and len(column.histogram) > 1 and not few:
        first, last = column.histogram[0][0], min(column.histogram[-1][1], column.high)
        return histogram([count for _, _, count in column.histogram], text(first), text(last))
    if column.top:
        present = column.rows - column.missing
        shown = sorted(column.top, key=lambda pair: pair[0]) if few and column.kind == "number" else column.top[:6]
        return bars([(text(value), count, present) for value, count in shown])
    examples = ", ".join(text(value) for value in column.examples)
    return f'<p class="examples">{escape(examples) or "no values"}</p>'


def _figures(column: ColumnProfile) -> str:
    about = "" if column.distinct_is_exact else "about "
    rows = [("distinct", f"{about}{column.distinct:,}")]
    if column.kind == "text" and column.low is not None:
        length = text(column.low) if column.low == column.high else f"{text(column.low)} to {text(column.high)}"
        rows.append(("characters", length))
    elif column.low is not None:
        rows += [("lowest", text(column.low)), ("highest", text(column.high))]
    if column.kind == "number":
        rows += [("median", text(column.quantiles.get("0.5"))), ("mean", text(column.mean))]
        rows += [("deviation", text(column.deviation)), ("skewness", text(column.skewness))]
        rows += [("zeros", f"{column.zeros:,}"), ("negative", f"{column.negative:,}")] if column.low is not None else []
        rows += [("outliers", percent(column.outliers))] if column.outliers is not None else []
    if column.kind == "time" and column.low is not None:
        rows.append(("median", text(column.quantiles.get("0.5"))))
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{cells}</dl>"


def _pairs(profile: Profile) -> str:
    if not profile.correlations:
        return ""
    found = {(one, two): value for one, two, value in profile.correlations}
    named = {name for pair in found for name in pair}
    names = [name for name in profile.columns if name in named][:_MATRIX]
    strongest = "".join(
        f"<li><b>{escape(one)}</b> and <b>{escape(two)}</b> {value:+.2f}</li>"
        for one, two, value in profile.correlations[:5]
    )
    return f'<h2>Correlations</h2><ul class="facts">{strongest}</ul>{heat(names, found)}'


def text(value: Any) -> str:
    """A figure as a person writes it.

    Example:
        >>> text(1234.5678), text(0.000123), text(336776), text(None)
        ('1,235', '0.000123', '336,776', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    shown = str(value)
    if shown.endswith("+00:00"):
        return shown[:16].replace("T", " ")
    return shown if len(shown) <= 40 else f"{shown[:39]}…"


def percent(share: float | None) -> str:
    """A share as a percentage; small ones are not rounded to nothing.

    Example:
        >>> percent(0.5), percent(0.0004), percent(0.0)
        ('50.0 %', '0.04 %', '0 %')
    """
    if not share:
        return "0 %"
    return f"{share * 100:.1f} %" if share >= 0.001 else f"{share * 100:.2g} %"
