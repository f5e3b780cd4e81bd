"""The pictures of a profile: histograms, bars and a heat map in plain SVG and HTML; every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

STYLE = """
.rl-profile{--ink:#1c2733;--soft:#5b6b7b;--line:#dde3ea;--card:#fff;--fill:#2f7ed8;--warn:#8a5a00;--warnbg:#fff6e0;
font:14px/1.45 system-ui,sans-serif;color:var(--ink);max-width:1180px;margin:0 auto;padding:16px}
@media(prefers-color-scheme:dark){.rl-profile{--ink:#e6ebf0;--soft:#9aa8b6;--line:#33404d;--card:#1b232c;--fill:#5aa2f0;
--warn:#ffd27a;--warnbg:#3a2f14;background:#12181f}}
.rl-profile h1{font-size:24px;margin:0 0 4px}.rl-profile h2{font-size:15px;margin:0 0 6px;overflow-wrap:anywhere}
.rl-profile .kind{font-size:11px;font-weight:400;color:var(--soft);border:1px solid var(--line);border-radius:9px;
padding:1px 7px;margin-left:4px;white-space:nowrap}
.rl-profile .facts{display:flex;flex-wrap:wrap;gap:4px 22px;list-style:none;padding:0;margin:0 0 12px;color:var(--soft)}
.rl-profile .facts b{color:var(--ink)}.rl-profile summary{cursor:pointer;color:var(--warn);margin-bottom:4px}
.rl-profile .notes{margin:4px 0 14px;padding-left:18px;columns:2 320px}
.rl-profile .cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(250px,1fr));gap:12px;margin-bottom:22px}
.rl-profile section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px;min-width:0}
.rl-profile dl{display:grid;grid-template-columns:auto 1fr;gap:1px 10px;margin:8px 0 0;font-size:12.5px}
.rl-profile dt{color:var(--soft)}.rl-profile dd{margin:0;text-align:right;font-variant-numeric:tabular-nums;
overflow-wrap:anywhere}
.rl-profile .note{background:var(--warnbg);color:var(--warn);border-radius:6px;padding:3px 8px;
margin:8px 0 0;font-size:12px}
.rl-profile .meter{height:5px;border-radius:3px;background:var(--line);overflow:hidden;margin:2px 0}
.rl-profile .meter i{display:block;height:100%;background:var(--fill)}
.rl-profile .filled{font-size:11px;color:var(--soft);margin:0 0 6px}
.rl-profile svg{width:100%;height:auto;display:block}
.rl-profile .ends{display:flex;justify-content:space-between;font-size:11px;color:var(--soft)}
.rl-profile .bar{display:grid;grid-template-columns:minmax(0,38%) 1fr auto;gap:6px;align-items:center;font-size:12px}
.rl-profile .bar span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.rl-profile .bar .meter{margin:0;height:9px}
.rl-profile .bar em{color:var(--soft);font-style:normal}.rl-profile .examples{color:var(--soft);font-size:12px;
overflow-wrap:anywhere}
.rl-profile table{border-collapse:collapse;font-size:11px}.rl-profile td{width:34px;height:24px;text-align:center}
.rl-profile .scroll{overflow-x:auto}.rl-profile th{font-weight:400;color:var(--soft);text-align:right;padding:0 6px;
max-width:160px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.rl-profile thead th{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;padding:6px 0;max-height:140px}
"""

_WIDTH, _HEIGHT = 240, 64


def histogram(counts: Sequence[int], first: str, last: str) -> str:
    """Bars side by side, the highest as high as the picture; hovering over one tells its count."""
    highest, step = max(1, *counts), _WIDTH / len(counts)
    drawn = "".join(
        f'<rect x="{place * step + 0.5:.1f}" y="{_HEIGHT - _tall(count, highest):.1f}" width="{step - 1:.1f}" '
        f'height="{_tall(count, highest):.1f}" fill="var(--fill)"><title>{count:,} rows</title></rect>'
        for place, count in enumerate(counts)
    )
    ends = f'<div class="ends"><span>{escape(first)}</span><span>{escape(last)}</span></div>'
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="histogram">{drawn}</svg>{ends}'


def bars(values: Sequence[tuple[str, int, int]]) -> str:
    """Frequent values, each with the share of the rows that it has, as ``(label, count, of)``."""
    return "".join(
        f'<div class="bar"><span title="{escape(label)}">{escape(label) or "(empty)"}</span>'
        f'<div class="meter"><i style="width:{100 * count / max(1, of):.1f}%"></i></div>'
        f"<em>{count:,}</em></div>"
        for label, count, of in values
    )


def meter(missing: float) -> str:
    """How much of a column is filled."""
    filled = 1.0 - missing
    said = "complete" if not missing else "empty" if not filled else f"{min(filled * 100, 99.9):.1f} % filled"
    return f'<div class="meter"><i style="width:{filled * 100:.1f}%"></i></div><p class="filled">{said}</p>'


def heat(names: Sequence[str], found: Mapping[tuple[str, str], float]) -> str:
    """Correlations as a matrix: blue together, red against each other."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><th title='{escape(one)}'>{escape(one)}</th>{''.join(_cell(one, two, found) for two in names)}</tr>"
        for one in names
    )
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(one: str, two: str, found: Mapping[tuple[str, str], float]) -> str:
    value = 1.0 if one == two else found.get((one, two), found.get((two, one)))
    if value is None:
        return "<td></td>"
    colour = "47,126,216" if value >= 0 else "214,69,65"
    return f'<td style="background:rgba({colour},{abs(value):.2f})">{value:.2f}</td>'


def _tall(count: int, highest: int) -> float:
    return max(1.5, _HEIGHT * count / highest) if count else 0.0
