"""The registry's tables as SQLModel rows, a module by noun. Private: callers get the frozen records of `records.py`."""

from .access import AuditRow, TokenRow
from .artifacts import ArtifactEntryRow
from .base import MAPPERS, Row
from .catalog import TableVersionRow
from .evaluations import EvaluationRow
from .features import FeatureDefinitionRow
from .governance import ColumnInfoRow, TableInfoRow
from .journal import AlertRow, EventRow
from .lineage import ColumnEdgeRow, EdgeRow, LineageEventRow, NodeRow
from .logged_models import LoggedModelMetricRow, LoggedModelParamRow, LoggedModelRow, LoggedModelTagRow
from .models import AliasMoveRow, AliasRow, ModelRow, ModelTagRow, ModelVersionRow, ModelVersionTagRow
from .online import OnlineRow
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
from .schedulers import SchedulerRow
from .sources import SourceRow
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
from .webhooks import WebhookDeliveryRow, WebhookRow

__all__ = [
    "AlertRow",
    "AliasMoveRow",
    "AliasRow",
    "ArtifactEntryRow",
    "ColumnInfoRow",
    "AuditRow",
    "ColumnEdgeRow",
    "DatasetInputRow",
    "DatasetRow",
    "DeploymentRow",
    "DriftReportRow",
    "EdgeRow",
    "EvaluationRow",
    "EventRow",
    "LoggedModelMetricRow",
    "LoggedModelParamRow",
    "LoggedModelRow",
    "LoggedModelTagRow",
    "LineageEventRow",
    "ExperimentRow",
    "FeatureDefinitionRow",
    "ExperimentTagRow",
    "LatestMetricRow",
    "MAPPERS",
    "OnlineRow",
    "MetricRow",
    "ModelRow",
    "ModelTagRow",
    "ModelVersionRow",
    "ModelVersionTagRow",
    "NodeRow",
    "ParamRow",
    "PipelineCacheRow",
    "PipelineDeliveryRow",
    "PipelinePoolRow",
    "PipelineRunRow",
    "PipelineScheduleRow",
    "PipelineStepRow",
    "PipelineVersionRow",
    "Row",
    "RunModelRow",
    "RunRow",
    "SchedulerRow",
    "TableInfoRow",
    "SourceRow",
    "TableVersionRow",
    "WebhookDeliveryRow",
    "WebhookRow",
    "TokenRow",
    "TagRow",
]
