"""The newest logged requests of an endpoint, replayed through the offline path; what differs is told."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from .. import data, features, registry
from ..core import Node, RaylakeError, Workspace
from ..features import FeatureSet, SkewReport
from .values import PREDICTIONS

MOST = 1_000
ALERT_SHARE = 0.05
_INSTANT = pa.timestamp("us", tz="UTC")


def check_skew(
    ws: Workspace,
    endpoint: str,
    feature_set: FeatureSet | None,
    *,
    window: tuple[datetime, datetime] | None = None,
    alert_share: float = ALERT_SHARE,
    most: int = MOST,
) -> SkewReport | None:
    """Compare the features that requests were answered with, with those of the offline path; record the outcome.

    The report is kept as event ``feature-skew``; an alert is raised when the share of rows that differ is greater than
    `alert_share`. What keeps it from being measured (a table that is gone) is an alert, not an error: `deploy` and the
    monitor call this beside their own work.

    Args:
        ws: The workspace.
        endpoint: Name of the endpoint.
        feature_set: The feature set of the model; None when it has none.
        window: Start (included) and end (excluded) of event time; by default the newest requests.
        alert_share: Share of rows from which on there is an alert, 0 to 1.
        most: Look at so many rows, the newest received ones.

    Returns:
        The report, or None when there is nothing to compare.

    Example:
        >>> import tempfile
        >>> check_skew(Workspace.open(tempfile.mkdtemp()), "delays", None) is None
        True
    """
    if feature_set is None or not feature_set.views or not data.exists(ws, f"{PREDICTIONS}.{endpoint}"):
        return None
    subject = Node("endpoint", endpoint)
    try:
        rows = _newest(ws, endpoint, feature_set, window, most)
        if rows is None:
            return None
        found = features.skew(ws, feature_set, rows)
    except RaylakeError as error:
        message = f"the features of {endpoint!r} could not be compared with the offline path: {error}"
        registry.record_alert(ws, severity="warning", subject=subject, message=message, evidence={})
        return None
    payload = {
        "feature_set": found.feature_set,
        "rows": found.rows,
        "differing": found.differing,
        "features": {each.name: each.differing for each in found.features if each.differing},
    }
    registry.record_event(ws, "feature-skew", subject, payload)
    if found.share > alert_share:
        registry.record_alert(ws, severity="warning", subject=subject, message=found.sentence, evidence=payload)
    return found


def _newest(
    ws: Workspace,
    endpoint: str,
    feature_set: FeatureSet,
    window: tuple[datetime, datetime] | None,
    most: int,
) -> pa.Table | None:
    log = f"{PREDICTIONS}.{endpoint}"
    inside = None
    if window is not None:
        start, end = (pa.scalar(moment, _INSTANT) for moment in window)
        inside = (pc.field("at") >= start) & (pc.field("at") < end)
    received = data.table(ws, log, columns=["received_at"], filter=inside)["received_at"]
    if not len(received):
        return None
    if len(received) > most:
        first = pc.take(received, pc.select_k_unstable(received, most, [("", "descending")]))
        after = pc.field("received_at") >= pc.min(first)
        inside = after if inside is None else inside & after
    rows = data.table(ws, log, filter=inside)
    if feature_set.event_time not in rows.column_names:
        rows = rows.append_column(feature_set.event_time, rows["at"])
    if not set(feature_set.request_columns) <= set(rows.column_names):
        return None  # logged by a model that asked for other columns
    return rows.slice(0, most)
