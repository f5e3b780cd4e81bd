"""The registry's tables as SQLModel rows, a module by noun. Private: callers get the frozen records of `records.py`."""

from .artifacts import ArtifactEntryRow
from .base import MAPPERS, Row
from .catalog import TableVersionRow
from .journal import AlertRow, EventRow
from .lineage import EdgeRow, NodeRow
from .logged_models import LoggedModelMetricRow, LoggedModelParamRow, LoggedModelRow, LoggedModelTagRow
from .models import AliasMoveRow, AliasRow, ModelRow, ModelTagRow, ModelVersionRow, ModelVersionTagRow
from .operations import DeploymentRow, DriftReportRow
from .tracking import MetricRow, RunRow
from .webhooks import WebhookDeliveryRow, WebhookRow
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
    "ArtifactEntryRow",
    "DatasetInputRow",
    "DatasetRow",
    "DeploymentRow",
    "DriftReportRow",
    "EdgeRow",
    "EventRow",
    "LoggedModelMetricRow",
    "LoggedModelParamRow",
    "LoggedModelRow",
    "LoggedModelTagRow",
    "ExperimentRow",
    "ExperimentTagRow",
    "LatestMetricRow",
    "MAPPERS",
    "MetricRow",
    "ModelRow",
    "ModelTagRow",
    "ModelVersionRow",
    "ModelVersionTagRow",
    "NodeRow",
    "ParamRow",
    "Row",
    "RunModelRow",
    "RunRow",
    "TableVersionRow",
    "WebhookDeliveryRow",
    "WebhookRow",
    "TagRow",
]
