"""The registry's tables as SQLModel rows, a module by noun. Private: callers get the frozen records of `records.py`."""

from .access import AuditRow, TokenRow
from .base import MAPPERS, Row
from .catalog import TableVersionRow
from .governance import ColumnInfoRow, TableInfoRow
from .journal import AlertRow, EventRow
from .lineage import ColumnEdgeRow, EdgeRow, LineageEventRow, NodeRow
from .models import AliasMoveRow, AliasRow, ModelRow, ModelVersionRow
from .operations import DeploymentRow, DriftReportRow
from .tracking import (
    DatasetInputRow,
    DatasetRow,
    ExperimentRow,
    ExperimentTagRow,
    LatestMetricRow,
    MetricRow,
    ParamRow,
    RunModelRow,
    RunRow,
    TagRow,
)

__all__ = [
    "AlertRow",
    "AliasMoveRow",
    "AliasRow",
    "ColumnInfoRow",
    "AuditRow",
    "ColumnEdgeRow",
    "DatasetInputRow",
    "DatasetRow",
    "DeploymentRow",
    "DriftReportRow",
    "EdgeRow",
    "EventRow",
    "LineageEventRow",
    "ExperimentRow",
    "ExperimentTagRow",
    "LatestMetricRow",
    "MAPPERS",
    "MetricRow",
    "ModelRow",
    "ModelVersionRow",
    "NodeRow",
    "ParamRow",
    "Row",
    "RunModelRow",
    "RunRow",
    "TableInfoRow",
    "TableVersionRow",
    "TokenRow",
    "TagRow",
]
