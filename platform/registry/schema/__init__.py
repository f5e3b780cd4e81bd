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

__all__ = [
    "AlertRow",
    "AliasMoveRow",
    "AliasRow",
    "ArtifactEntryRow",
    "DeploymentRow",
    "DriftReportRow",
    "EdgeRow",
    "EventRow",
    "LoggedModelMetricRow",
    "LoggedModelParamRow",
    "LoggedModelRow",
    "LoggedModelTagRow",
    "MAPPERS",
    "MetricRow",
    "ModelRow",
    "ModelTagRow",
    "ModelVersionRow",
    "ModelVersionTagRow",
    "NodeRow",
    "Row",
    "RunRow",
    "TableVersionRow",
    "WebhookDeliveryRow",
    "WebhookRow",
]
