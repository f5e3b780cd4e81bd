"""The ground everything stands on: workspace, names, errors, storage URLs, the Ray session."""

from .errors import (
    ArtifactCorrupt,
    ComputeUnavailable,
    ConfigError,
    Conflict,
    DataError,
    DeploymentFailed,
    ExpectationFailed,
    InvalidName,
    InvalidRequest,
    NotFound,
    Overloaded,
    RaylakeError,
    SchemaMismatch,
    SourceError,
    StorageError,
    TrainingFailed,
    WorkspaceBusy,
)
from .local_cluster import LocalCluster, find_cluster, start_cluster, stop_cluster
from .lock import exclusive
from .ray_session import RaySession, ensure_ray, ray_session
from .refs import DEFAULT_NAMESPACE, Node, Ref, check_name, table_node
from .workspace import Workspace

__all__ = [
    "DEFAULT_NAMESPACE",
    "ArtifactCorrupt",
    "ComputeUnavailable",
    "ConfigError",
    "Conflict",
    "DataError",
    "DeploymentFailed",
    "ExpectationFailed",
    "InvalidName",
    "InvalidRequest",
    "LocalCluster",
    "Node",
    "NotFound",
    "Overloaded",
    "RaySession",
    "RaylakeError",
    "Ref",
    "SchemaMismatch",
    "SourceError",
    "StorageError",
    "TrainingFailed",
    "Workspace",
    "WorkspaceBusy",
    "check_name",
    "ensure_ray",
    "exclusive",
    "find_cluster",
    "ray_session",
    "start_cluster",
    "stop_cluster",
    "table_node",
]
