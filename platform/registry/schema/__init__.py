"""The registry's tables as SQLModel rows, a module by noun. Private: callers get the frozen records of `records.py`."""

from .access import AuditRow, TokenRow
from .base import MAPPERS, Row
from .catalog import TableVersionRow
from .governance import ColumnInfoRow, TableInfoRow
from .journal import AlertRow, EventRow
from .lineage import ColumnEdgeRow, EdgeRow, LineageEventRow, NodeRow
from .models import AliasMoveRow, AliasRow, ModelRow, ModelVersionRow
from .operations import DeploymentRow, DriftReportRow
from .tracking import MetricRow, RunRow

__all__ = [
    "AlertRow",
    "AliasMoveRow",
    "AliasRow",
    "ColumnInfoRow",
    "AuditRow",
    "ColumnEdgeRow",
    "DeploymentRow",
    "DriftReportRow",
    "EdgeRow",
    "EventRow",
    "LineageEventRow",
    "MAPPERS",
    "MetricRow",
    "ModelRow",
    "ModelVersionRow",
    "NodeRow",
    "Row",
    "RunRow",
    "TableInfoRow",
    "TableVersionRow",
    "TokenRow",
]
