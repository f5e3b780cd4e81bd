"""Drift reports: figures measured at once, pages rendered beside other work, all recorded in the registry."""

from __future__ import annotations

import json
from concurrent.futures import Future
from datetime import datetime
from typing import Any, TypedDict, Unpack

import numpy as np
import pyarrow as pa

from .. import registry
from ..core import Node, Workspace
from ..registry import DriftReport, ModelVersion
from .drift import Thresholds
from .figures import Figures, measure, serving_model
from .page import with_heading
from .renderer import Rendered, Renderer
from .traffic import Named, endpoint_name

SAMPLE_ROWS = 5_000


class ReportOptions(TypedDict, total=False):
    """What a report may be told beside endpoint and window.

    Attributes:
        labels: Columns ``id``, ``label`` and ``known_at`` instead of the stored ground truth.
        model: Whose training sample is the reference; default the version the endpoint answers with now.
        thresholds: When a column counts as drifted.
        as_of: Use only labels known at this moment.
        renderer: A rendering process to share; default one that is started for this report.
    """

    labels: pa.Table | None
    model: ModelVersion | None
    thresholds: Thresholds | None
    as_of: datetime | None
    renderer: Renderer | None


def report(
    ws: Workspace,
    endpoint: str | Named,
    window: tuple[datetime, datetime],
    **options: Unpack[ReportOptions],
) -> DriftReport:
    """Compare a window of captured traffic with the model's training sample, and store the report.

    The figures are raylake's own, from all rows of the window; they are stored as the artifact ``figures``.
    evidently renders ``html`` and ``json`` from a sample of at most 5,000 rows a side; the metrics
    ``rendered_reference_rows`` and ``rendered_current_rows`` say how many. If the rendering fails, the figures
    are recorded all the same, the metric ``rendering_error`` and an alert say why.

    Args:
        ws: The workspace.
        endpoint: The endpoint, or its name.
        window: Start (included) and end (excluded) of the requests' event time; aware datetimes.
        options: See `ReportOptions`; all may be left out.

    Raises:
        NotFound: The endpoint is unknown or has captured nothing.
        DataError: No traffic in the window.

    Example:
        >>> from datetime import UTC
        >>> july = datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC)
        >>> found = report(ws, "flight-delay", july, renderer=renderer)
        >>> found.metrics["rows"], 0 <= found.share <= 1, sorted(found.artifacts)
        (100, True, ['figures', 'html', 'json'])
    """
    return report_async(ws, endpoint, window, **options).result()


def report_async(
    ws: Workspace,
    endpoint: str | Named,
    window: tuple[datetime, datetime],
    **options: Unpack[ReportOptions],
) -> Future[DriftReport]:
    """As `report`, returning while evidently still renders: the figures are measured when this returns.

    The report is recorded when the rendering ends, whether the result is asked for or not. Share one `Renderer`
    between many reports: the import of evidently is paid once.

    Example:
        >>> from datetime import UTC
        >>> days = [(datetime(2013, 7, day, tzinfo=UTC), datetime(2013, 7, day + 1, tzinfo=UTC)) for day in (1, 2)]
        >>> pending = [report_async(ws, "flight-delay", day, renderer=renderer) for day in days]
        >>> [future.result().metrics["rows"] for future in pending]
        [24, 24]
    """
    name = endpoint_name(endpoint)
    figures = measure(
        ws,
        name,
        window,
        model=options.get("model") or serving_model(ws, name),
        thresholds=options.get("thresholds"),
        labels=options.get("labels"),
        as_of=options.get("as_of"),
    )
    return publish(ws, figures, options.get("renderer"))


def publish(ws: Workspace, figures: Figures, renderer: Renderer | None = None) -> Future[DriftReport]:
    """Render and record measured figures; returns at once."""
    own = None if renderer is not None else Renderer()
    active = renderer or own
    assert active is not None
    sides = sample(figures.reference), sample(figures.current)

    def finish(rendered: Rendered) -> DriftReport:
        return _record(ws, figures, rendered, (sides[0].num_rows, sides[1].num_rows))

    limits = {name: column.threshold for name, column in figures.drift.columns.items()}
    pending = active.then(*sides, limits, finish)
    if own is not None:
        own.close_later()
    return pending


def sample(rows: pa.Table, most: int = SAMPLE_ROWS, seed: int = 0) -> pa.Table:
    """At most `most` rows, chosen at random with a fixed seed, in their order.

    Example:
        >>> sample(pa.table({"x": range(10)}), most=3).num_rows
        3
    """
    if rows.num_rows <= most:
        return rows
    chosen = np.random.default_rng(seed).choice(rows.num_rows, most, replace=False)
    return rows.take(pa.array(np.sort(chosen)))


def _record(ws: Workspace, figures: Figures, rendered: Rendered, rows: tuple[int, int]) -> DriftReport:
    metrics: dict[str, Any] = {
        **figures.metrics,
        "rendered_reference_rows": rows[0],
        "rendered_current_rows": rows[1],
        "rendering_error": rendered.error,
        "not_rendered": list(rendered.skipped),
    }
    columns = {name: column.to_dict() for name, column in figures.drift.columns.items()}
    content = json.dumps({"columns": columns, "metrics": figures.metrics}, default=str, sort_keys=True)
    artifacts = {"figures": registry.put_bytes(ws, content.encode())}
    if not rendered.error:
        artifacts["html"] = registry.put_bytes(ws, with_heading(rendered.html, figures, rows))
        artifacts["json"] = registry.put_bytes(ws, rendered.json)
    stored = registry.record_drift_report(
        ws,
        figures.endpoint,
        model=figures.model,
        window=figures.window,
        reference=figures.reference_node,
        current=figures.current_node,
        share=figures.drift.share,
        columns=columns,
        metrics=metrics,
        artifacts=artifacts,
    )
    if rendered.error:
        registry.record_alert(
            ws,
            severity="warning",
            subject=Node("endpoint", figures.endpoint),
            message=f"The drift report {stored.id} has its figures but no page: {rendered.error}",
            evidence={"report": stored.id},
        )
    return stored
