"""Monitoring that acts: drift of captured traffic, decay once labels arrive, and a model that replaces itself.

The pure parts (`drift`, `compare`, `auc`, `decide`) take tables and arrays and start nothing. `report` and `step`
read the prediction log and the ground truth of an endpoint from Delta and write what they find to the registry.

Example:
    >>> import pyarrow as pa
    >>> from raylake import monitor
    >>> summer = pa.table({"temp": range(60, 90), "carrier": ["AA", "UA", "B6"] * 10})
    >>> winter = pa.table({"temp": range(20, 50), "carrier": ["AA", "UA", "B6"] * 10})
    >>> monitor.drift(summer, winter).drifted
    ('temp',)
"""

from .compare import Comparison, auc, compare
from .drift import ColumnDrift, Drift, Thresholds, drift
from .loop import Outcome, step
from .policy import Decision, Evidence, Policy, decide
from .renderer import Rendered, Renderer
from .reports import ReportOptions, report, report_async
from .steps import Turn, turn, watching
from .truth import add_labels, scored, truth

__all__ = [
    "ColumnDrift",
    "Comparison",
    "Decision",
    "Drift",
    "Evidence",
    "Outcome",
    "Policy",
    "Rendered",
    "Renderer",
    "ReportOptions",
    "Thresholds",
    "Turn",
    "add_labels",
    "auc",
    "compare",
    "decide",
    "drift",
    "report",
    "report_async",
    "scored",
    "step",
    "truth",
    "turn",
    "watching",
]
