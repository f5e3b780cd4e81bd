"""The heading of a drift report's page: what was compared, and the figures that count."""

from __future__ import annotations

import html
import re

from .figures import Figures

_STYLE = "font-family:sans-serif;max-width:1150px;margin:24px auto 0;padding:0 24px;line-height:1.5"
_BODY = re.compile(rb"<body[^>]*>", re.IGNORECASE)


def with_heading(page: bytes, figures: Figures, sampled: tuple[int, int]) -> bytes:
    """Put a heading on the page that evidently rendered.

    evidently sees a sample and the prediction as one more column, and has a limit of its own for the whole; so its
    numbers differ from those that the monitor decides by, and the heading says which is which.

    Args:
        page: HTML. Without a body it is returned as it is.
        figures: What was measured on all rows.
        sampled: Rows of reference and window that evidently saw.
    """
    found = _BODY.search(page)
    if found is None:
        return page
    start, end = figures.window
    title = html.escape(f"Drift of {figures.endpoint}, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    head, body = page[: found.end()], page[found.end() :]
    head = head.replace(b"<head>", f"<head><title>{title}</title>".encode(), 1)
    return head + _heading(title, figures, sampled).encode() + body


def _heading(title: str, figures: Figures, sampled: tuple[int, int]) -> str:
    drift, metrics = figures.drift, figures.metrics
    shown = [
        f"Compared with the training data of {figures.model}: {figures.reference_node.name}"
        f"@{figures.reference_node.version}.",
        f"Drifted: {len(drift.drifted)} of {len(drift.columns)} input columns ({drift.share:.0%}), measured on all "
        f"{metrics['rows']:,} rows of the window" + (f": {', '.join(drift.drifted)}." if drift.drifted else "."),
        _decay(metrics),
        f"Below: evidently's view of a sample ({sampled[0]:,} and {sampled[1]:,} rows) with the prediction as one more "
        "column; its counts may differ, and its threshold for the whole is not the monitor's.",
    ]
    lines = "".join(f"<p style='margin:4px 0'>{html.escape(line)}</p>" for line in shown if line)
    return f"<header style='{_STYLE}'><h2 style='margin:0'>{title}</h2>{lines}</header>"


def _decay(metrics: dict[str, object]) -> str:
    if metrics.get("auc") is None:
        return "No labels are known of this window yet." if not metrics.get("labels") else ""
    base = metrics.get("baseline_auc")
    before = f", {base:.3f} when it was trained" if isinstance(base, float) else ""
    return f"AUC {metrics['auc']:.3f} on {metrics['labels']:,} labelled rows{before}."
