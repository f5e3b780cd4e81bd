"""The registry: tables and versions, runs, models and aliases, deployments, reports, lineage, artifacts.

Free functions by noun; each takes the `Workspace` first and is one transaction. They are safe in threads,
in several processes at once and after a fork; what they return is frozen. Lists of versions and histories
are oldest first, lists of runs, deployments, reports and alerts newest first. The schema is brought up to
date on the first use of a registry in a process.

Only drivers and control-plane actors call the functions that write; Ray workers write to storage. Any of
them raises `StorageError` when the registry cannot be reached or written; not every docstring repeats it.

Example:
    >>> import tempfile
    >>> from raylake import registry
    >>> from raylake.core import Workspace
    >>> ws = Workspace.open(tempfile.mkdtemp())
    >>> flights = registry.record_table(ws, "flights", 0, rows=3, schema={"id": "int64"}, operation="ingest")
    >>> fit = registry.start_run(ws, "fit", "first", params={"depth": 6}, inputs=[flights.node])
    >>> fit = registry.finish_run(ws, fit.id, metrics={"auc": 0.7}, artifact=registry.put_bytes(ws, b"model"))
    >>> model = registry.register(ws, fit, name="flight-delay", alias="champion")
    >>> [edge.target for edge in registry.downstream(ws, flights.node)] == [fit.node, model.node]
    True
"""

from . import access as access
from .artifact_paths import check_path
from .artifact_tree import (
    ArtifactEntry,
    add_artifact,
    find_artifact,
    list_artifacts,
    remove_artifact,
    snapshot_artifacts,
)
from .artifacts import Incoming, fetch_file, get_bytes, locate, put_bytes, put_file, read_artifact
from .catalog import record_table, table_version, table_versions, tables
from .compare import Comparison, Difference, compare
from .delivery import deliver_due, seconds_until_due, try_webhook
from .evaluations import EvaluationRecord, evaluations, record_evaluation
from .folders import fetch_folder, put_folder
from .frames import to_pandas
from .garbage import Collected, collect_garbage
from .governance import (
    ColumnInfo,
    SchemaChange,
    TableInfo,
    describe_column,
    describe_table,
    schema_history,
    search_tables,
    table_info,
)
from .grammar import Order
from .interrupted import marked, settle_interrupted
from .journal import alerts, events, record_alert, record_event
from .lineage import (
    add_column_edges,
    add_column_lineage,
    add_edges,
    add_lineage,
    downstream,
    downstream_columns,
    upstream,
    upstream_columns,
)
from .lineage_graph import LineageGraph, lineage_graph
from .logged_model_search import search_logged_models
from .logged_model_values import log_model_metrics, log_model_params, purge_logged_models
from .logged_models import (
    LoggedMetric,
    LoggedModel,
    create_logged_model,
    delete_logged_model,
    finish_logged_model,
    logged_model,
    tag_logged_model,
    untag_logged_model,
)
from .migrate import migrate_schema, schema_version
from .model_admin import create_model, describe_model, drop_alias, model, move_stage, tag_model, untag_model
from .model_card import ModelCard, model_card
from .model_names import model_reference
from .model_removal import delete_model, delete_version, rename_model
from .model_search import latest_versions, latest_versions_of, search_models, search_versions
from .model_sources import register_source, run_folder
from .modelling import (
    UNSET,
    Unset,
    alias_history,
    model_version,
    model_versions,
    models,
    register,
    register_artifact,
    set_alias,
)
from .multipart import drop_parts, join_parts, part_name, start_upload
from .online import (
    OnlineDefinition,
    online_definition,
    online_definitions,
    remove_online,
    save_online,
    set_online_keep,
)
from .openlineage_export import openlineage_events
from .openlineage_import import accept_openlineage
from .operations import (
    deployment,
    deployments,
    drift_reports,
    end_deployment,
    record_deployment,
    record_drift_report,
)
from .records import (
    Alert,
    ColumnEdge,
    Deployment,
    DriftReport,
    Edge,
    Event,
    Model,
    ModelVersion,
    Run,
    SourceRecord,
    TableVersion,
)
from .snapshot import dump_records, load_records
from .sources import (
    delete_source,
    record_source_run,
    save_source,
    set_source_status,
    source_record,
    source_records,
)
from .tracking import (
    Dataset,
    Experiment,
    Measurement,
    MetricWriter,
    ModelLink,
    Page,
    create_experiment,
    delete_experiment,
    delete_experiment_tag,
    delete_run,
    delete_tag,
    experiment,
    finish_run,
    log_inputs,
    log_metrics,
    log_params,
    measurements,
    metric_history,
    purge_deleted,
    purge_run,
    rename_experiment,
    reopen_run,
    restore_experiment,
    restore_run,
    run,
    runs,
    search_experiments,
    search_runs,
    set_experiment_tags,
    set_tags,
    start_run,
    trials,
)
from .webhooks import Delivery, Webhook, create_webhook, delete_webhook, deliveries, update_webhook, webhook, webhooks

__all__ = [
    "Alert",
    "ArtifactEntry",
    "Collected",
    "ColumnEdge",
    "ColumnInfo",
    "Comparison",
    "Dataset",
    "Delivery",
    "Deployment",
    "Difference",
    "DriftReport",
    "Edge",
    "EvaluationRecord",
    "Event",
    "Experiment",
    "Incoming",
    "LineageGraph",
    "LoggedMetric",
    "LoggedModel",
    "Measurement",
    "MetricWriter",
    "Model",
    "ModelCard",
    "ModelLink",
    "ModelVersion",
    "Order",
    "Page",
    "Run",
    "SchemaChange",
    "TableInfo",
    "SourceRecord",
    "TableVersion",
    "UNSET",
    "Unset",
    "Webhook",
    "accept_openlineage",
    "add_artifact",
    "add_column_lineage",
    "add_column_edges",
    "add_edges",
    "add_lineage",
    "alerts",
    "alias_history",
    "check_path",
    "collect_garbage",
    "compare",
    "create_experiment",
    "create_logged_model",
    "create_model",
    "create_webhook",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_logged_model",
    "delete_model",
    "delete_run",
    "delete_tag",
    "delete_version",
    "delete_webhook",
    "deliver_due",
    "deliveries",
    "delete_source",
    "deployment",
    "deployments",
    "describe_column",
    "describe_model",
    "describe_table",
    "downstream",
    "downstream_columns",
    "drift_reports",
    "drop_alias",
    "drop_parts",
    "dump_records",
    "end_deployment",
    "evaluations",
    "events",
    "experiment",
    "fetch_file",
    "fetch_folder",
    "find_artifact",
    "finish_logged_model",
    "finish_run",
    "get_bytes",
    "join_parts",
    "latest_versions",
    "latest_versions_of",
    "lineage_graph",
    "list_artifacts",
    "load_records",
    "locate",
    "log_inputs",
    "log_metrics",
    "log_model_metrics",
    "log_model_params",
    "log_params",
    "logged_model",
    "marked",
    "measurements",
    "metric_history",
    "migrate_schema",
    "model",
    "model_card",
    "model_reference",
    "model_version",
    "model_versions",
    "models",
    "move_stage",
    "openlineage_events",
    "part_name",
    "purge_deleted",
    "purge_logged_models",
    "purge_run",
    "put_bytes",
    "put_file",
    "put_folder",
    "read_artifact",
    "record_alert",
    "record_deployment",
    "record_drift_report",
    "record_evaluation",
    "record_event",
    "record_source_run",
    "record_table",
    "register",
    "register_artifact",
    "register_source",
    "remove_artifact",
    "rename_experiment",
    "reopen_run",
    "rename_model",
    "restore_experiment",
    "restore_run",
    "run",
    "run_folder",
    "runs",
    "schema_history",
    "OnlineDefinition",
    "online_definition",
    "online_definitions",
    "remove_online",
    "save_online",
    "set_online_keep",
    "save_source",
    "schema_version",
    "search_experiments",
    "search_logged_models",
    "search_models",
    "search_runs",
    "search_tables",
    "search_versions",
    "seconds_until_due",
    "set_alias",
    "set_experiment_tags",
    "set_tags",
    "settle_interrupted",
    "snapshot_artifacts",
    "set_source_status",
    "source_record",
    "source_records",
    "start_run",
    "start_upload",
    "table_info",
    "table_version",
    "table_versions",
    "tables",
    "tag_logged_model",
    "tag_model",
    "to_pandas",
    "trials",
    "try_webhook",
    "untag_logged_model",
    "untag_model",
    "update_webhook",
    "upstream",
    "upstream_columns",
    "webhook",
    "webhooks",
]
