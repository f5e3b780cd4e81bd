"""The registry's tables as SQLModel rows, a module by noun. Private: callers get the frozen records of `records.py`."""

from .base import MAPPERS, Row
from .catalog import TableVersionRow
from .journal import AlertRow, EventRow
from .lineage import EdgeRow, NodeRow
from .models import AliasMoveRow, AliasRow, ModelRow, ModelVersionRow
from .operations import DeploymentRow, DriftReportRow
from .pipelines import (
    PipelineCacheRow,
    PipelineDeliveryRow,
    PipelinePoolRow,
    PipelineRunRow,
    PipelineScheduleRow,
    PipelineStepRow,
    PipelineVersionRow,
)
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
    "PipelineCacheRow",
    "PipelineDeliveryRow",
    "PipelinePoolRow",
    "PipelineRunRow",
    "PipelineScheduleRow",
    "PipelineStepRow",
    "PipelineVersionRow",
    "Row",
    "RunRow",
    "TableVersionRow",
]
