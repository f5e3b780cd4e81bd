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

from .artifacts import fetch_file, get_bytes, locate, put_bytes, put_file
from .catalog import record_table, table_version, table_versions, tables
from .folders import fetch_folder, put_folder
from .journal import alerts, events, record_alert, record_event
from .lineage import add_lineage, downstream, upstream
from .migrate import migrate_schema, schema_version
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
from .operations import (
    deployment,
    deployments,
    drift_reports,
    end_deployment,
    record_deployment,
    record_drift_report,
)
from .records import Alert, Deployment, DriftReport, Edge, Event, Model, ModelVersion, Run, SourceRecord, TableVersion
from .sources import (
    delete_source,
    record_source_run,
    save_source,
    set_source_status,
    source_record,
    source_records,
)
from .tracking import finish_run, log_metrics, metric_history, run, runs, start_run, trials

__all__ = [
    "UNSET",
    "Alert",
    "Deployment",
    "DriftReport",
    "Edge",
    "Event",
    "Model",
    "ModelVersion",
    "Run",
    "SourceRecord",
    "TableVersion",
    "Unset",
    "add_lineage",
    "alerts",
    "alias_history",
    "delete_source",
    "deployment",
    "deployments",
    "downstream",
    "drift_reports",
    "end_deployment",
    "events",
    "fetch_file",
    "fetch_folder",
    "finish_run",
    "get_bytes",
    "locate",
    "log_metrics",
    "metric_history",
    "migrate_schema",
    "model_version",
    "model_versions",
    "models",
    "put_bytes",
    "put_file",
    "put_folder",
    "record_alert",
    "record_deployment",
    "record_drift_report",
    "record_event",
    "record_source_run",
    "record_table",
    "register",
    "register_artifact",
    "run",
    "runs",
    "save_source",
    "schema_version",
    "set_alias",
    "set_source_status",
    "source_record",
    "source_records",
    "start_run",
    "table_version",
    "table_versions",
    "tables",
    "trials",
    "upstream",
]
