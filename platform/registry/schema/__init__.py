"""The registry's tables as SQLModel rows, a module by noun. Private: callers get the frozen records of `records.py`."""

from .base import MAPPERS, Row
from .catalog import TableVersionRow
from .journal import AlertRow, EventRow
from .lineage import EdgeRow, NodeRow
from .models import AliasMoveRow, AliasRow, ModelRow, ModelVersionRow
from .operations import DeploymentRow, DriftReportRow
from .sources import SourceRow
from .tracking import MetricRow, RunRow

__all__ = [
    "AlertRow",
    "AliasMoveRow",
    "AliasRow",
    "DeploymentRow",
    "DriftReportRow",
    "EdgeRow",
    "EventRow",
    "MAPPERS",
    "MetricRow",
    "ModelRow",
    "ModelVersionRow",
    "NodeRow",
    "Row",
    "RunRow",
    "SourceRow",
    "TableVersionRow",
]
