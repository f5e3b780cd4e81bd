"""What a request needs: to read, to write, or to administer. What is not known to be harmless needs to write."""

from __future__ import annotations

import re

_READING_METHODS = ("GET", "HEAD", "OPTIONS")
# Questions that MLflow's protocol asks with POST, by the path below its version.
_READING_POSTS = frozenset(
    {
        "/mlflow/runs/search",
        "/mlflow/experiments/search",
        "/mlflow/experiments/search-datasets",
        "/mlflow/datasets/search",
        "/mlflow/logged-models/search",
        "/mlflow/registered-models/get-latest-versions",
        "/mlflow/artifacts/presigned-download-url",
    }
)
# The question that Feast's protocol asks with POST.
_ASKING = "/get-online-features"
_VERSIONED = re.compile(r"/(?:ajax-)?api/\d\.\d(/.*)", re.DOTALL)
_ADMINISTRATION = re.compile(r"/(?:ajax-)?api/(?:raylake/(?:tokens|audit)|\d\.\d/mlflow/webhooks)(?:/|$)")
# Paths whose bodies are files: they are streamed, not gathered.
_FILES = re.compile(r"/(?:ajax-)?api/\d\.\d/mlflow(?:-artifacts/(?:artifacts|mpu/part)/|/upload-artifact$)")
# Data points rather than decisions: the audit log counts them, one entry per run and second.
_POINTS = frozenset({"log-metric", "log-batch", "log-parameter", "set-tag", "log-inputs", "outputs", "log-model"})

_EVENTS = "/api/raylake/events/"


def permission_of(method: str, path: str) -> str:
    """``read``, ``write`` or ``admin``.

    Args:
        method: The HTTP method.
        path: The path below the workspace's prefix.

    Example:
        >>> permission_of("POST", "/api/2.0/mlflow/runs/search"), permission_of("POST", "/api/2.0/mlflow/runs/delete")
        ('read', 'write')
        >>> permission_of("GET", "/api/raylake/audit")
        'admin'
    """
    if ("raylake/" in path or "webhooks" in path) and _ADMINISTRATION.match(path):
        return "admin"
    if method in _READING_METHODS or (method == "POST" and path == _ASKING):
        return "read"
    found = _VERSIONED.fullmatch(path) if method == "POST" else None
    return "read" if found is not None and found.group(1) in _READING_POSTS else "write"


def is_file(path: str) -> bool:
    """Whether the body of a request to `path` is a file.

    Example:
        >>> is_file("/api/2.0/mlflow-artifacts/artifacts/0/model/weights.bin"), is_file("/api/2.0/mlflow/runs/create")
        (True, False)
    """
    return "artifact" in path and _FILES.match(path) is not None


def is_point(path: str) -> bool:
    """Whether a change is one of many data points of a run, or of a source.

    Example:
        >>> is_point("/api/2.0/mlflow/runs/log-metric"), is_point("/api/2.0/mlflow/runs/delete")
        (True, False)
        >>> is_point("/api/raylake/events/clicks")
        True
    """
    if path.startswith(_EVENTS):
        return True
    head, _, last = path.rpartition("/")
    return last in _POINTS and head.endswith("/runs")


def audits_itself(path: str) -> bool:
    """Whether what answers writes its own entry, in the transaction of the change.

    Example:
        >>> audits_itself("/api/raylake/tokens/0f"), audits_itself("/api/2.0/mlflow/runs/create")
        (True, False)
    """
    return path.startswith("/api/raylake/tokens")
