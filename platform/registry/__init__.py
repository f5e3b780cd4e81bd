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
from .artifacts import fetch_file, get_bytes, locate, put_bytes, put_file
from .catalog import record_table, table_version, table_versions, tables
from .compare import Comparison, Difference, compare
from .folders import fetch_folder, put_folder
from .frames import to_pandas
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
from .migrate import migrate_schema, schema_version
from .model_card import ModelCard, model_card
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
    TableVersion,
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

__all__ = [
    "Alert",
    "ColumnInfo",
    "ColumnEdge",
    "Comparison",
    "Dataset",
    "Deployment",
    "Difference",
    "DriftReport",
    "Edge",
    "Event",
    "LineageGraph",
    "Model",
    "ModelCard",
    "Experiment",
    "Measurement",
    "MetricWriter",
    "ModelLink",
    "ModelVersion",
    "Page",
    "Run",
    "SchemaChange",
    "TableInfo",
    "TableVersion",
    "UNSET",
    "Unset",
    "accept_openlineage",
    "add_column_lineage",
    "add_column_edges",
    "add_edges",
    "add_lineage",
    "alerts",
    "alias_history",
    "compare",
    "create_experiment",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "deployment",
    "deployments",
    "describe_column",
    "describe_table",
    "downstream",
    "downstream_columns",
    "drift_reports",
    "end_deployment",
    "events",
    "experiment",
    "fetch_file",
    "fetch_folder",
    "finish_run",
    "get_bytes",
    "lineage_graph",
    "locate",
    "log_inputs",
    "log_metrics",
    "marked",
    "log_params",
    "measurements",
    "metric_history",
    "migrate_schema",
    "model_card",
    "model_version",
    "model_versions",
    "models",
    "openlineage_events",
    "purge_deleted",
    "purge_run",
    "put_bytes",
    "put_file",
    "put_folder",
    "record_alert",
    "record_deployment",
    "record_drift_report",
    "record_event",
    "record_table",
    "register",
    "register_artifact",
    "rename_experiment",
    "restore_experiment",
    "restore_run",
    "run",
    "runs",
    "schema_history",
    "schema_version",
    "search_tables",
    "set_alias",
    "settle_interrupted",
    "search_experiments",
    "search_runs",
    "set_experiment_tags",
    "set_tags",
    "start_run",
    "table_info",
    "table_version",
    "table_versions",
    "tables",
    "to_pandas",
    "trials",
    "upstream",
    "upstream_columns",
]
