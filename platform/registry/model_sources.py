"""Versions from a source: a folder in the artifact tree, a run's, a logged model's, or another version's.

Whatever the source, the version gets a snapshot: an immutable folder by digest. Nothing outside the workspace is ever
read: sources such as ``file:``, ``s3:`` or ``http:`` are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import col

from ..core import DataError, Node, NotFound, Workspace
from .artifact_paths import SCHEME, check_path, tree_path
from .artifact_tree import STORED, snapshot_artifacts
from .engine import now, reading, writing
from .logged_models import LoggedModel, logged_model
from .model_admin import check_tags, write_version_tags
from .model_names import check_model_name
from .model_rows import append_version, live_model, version_record
from .modelling import announce_version, model_version
from .records import ModelVersion
from .schema import ModelVersionRow, RunRow
from .tracking import run as find_run
from .tracking.views import select_runs, views

_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})(?:/(.*))?")
_VERSION = re.compile(r"models:/([^/@]+)(?:/(\d+)|@([\w-]+))")
_RUN = re.compile(r"runs:/([0-9a-zA-Z_-]+)(?:/(.*))?")
_IN_MODEL = re.compile(r"(?:.*/)?models/(m-[0-9a-f]{32})/artifacts(?:/.*)?")


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a version comes from: its files' digest, and what made them."""

    artifact: str
    source: str
    run_id: str | None = None
    logged_model: str | None = None
    made_of: Node | None = None


def register_source(
    ws: Workspace,
    name: str,
    source: str,
    *,
    run_id: str = "",
    logged_model_id: str = "",
    description: str = "",
    tags: Mapping[str, str] | None = None,
    run_link: str = "",
) -> ModelVersion:
    """Register what a source holds now as the next version of an existing model. Each call makes a version.

    Args:
        ws: The workspace.
        name: The model; `create_model` made it.
        source: ``mlflow-artifacts:/path``, ``runs:/run/path``, ``models:/m-id``, ``models:/name/3`` or
            ``models:/name@alias``.
        run_id: The run that made it; found out from the source where it says so.
        logged_model_id: The logged model that it is; likewise.
        description: Free text.
        tags: Free labels.
        run_link: A link to a run in another system.

    Raises:
        NotFound: The model, the run or the logged model is unknown, or the source holds no file.
        DataError: The source is of another kind, or is not the run's or the logged model's.
        InvalidName: A path or name is not valid.

    Example:
        >>> import tempfile
        >>> from raylake.registry import add_artifact, create_model, put_bytes
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_model(ws, "iris"), add_artifact(ws, "uploads/iris/model.ubj", put_bytes(ws, b"trees"), 5)
        >>> str(register_source(ws, "iris", "mlflow-artifacts:/uploads/iris"))
        'iris@1'
    """
    labels = check_tags(tags or {})
    check_model_name(name)
    origin = _origin(ws, source, run_id, logged_model_id)
    made_by = find_run(ws, origin.run_id) if origin.run_id else None
    inputs = [node for node in (made_by.node if made_by else None, origin.made_of) if node is not None]
    with writing(ws) as session:
        live_model(session, name, lock=True)
        row = ModelVersionRow(
            model=name,
            version=0,
            artifact=origin.artifact,
            run_id=origin.run_id,
            metrics=dict(made_by.metrics) if made_by else {},
            description=description,
            created_at=now(),
            source=origin.source,
            run_link=run_link,
            logged_model=origin.logged_model,
        )
        append_version(session, row, inputs)
        write_version_tags(session, name, row.version, labels)
        announce_version(session, row, labels)
        return version_record(session, row)


def _origin(ws: Workspace, source: str, run_id: str, model_id: str) -> _Origin:
    if found := _LOGGED.fullmatch(source):
        return _of_logged_model(ws, source, found[1], found[2] or "", run_id, model_id)
    if found := _VERSION.fullmatch(source):
        return _of_version(ws, source, f"{found[1]}@{found[2] or found[3]}", run_id, model_id)
    if found := _RUN.fullmatch(source):
        return _of_run(ws, source, found[1], found[2] or "", run_id)
    if source.startswith(SCHEME):
        return _of_path(ws, source, tree_path(source), run_id, model_id)
    raise DataError(
        f"Invalid model version source: {source!r:.300}. Use mlflow-artifacts:/path, runs:/run/path, models:/m-id or "
        "models:/name/version: raylake copies nothing from elsewhere. Log the model to this server first"
    )


def _of_logged_model(ws: Workspace, source: str, found: str, inner: str, run_id: str, model_id: str) -> _Origin:
    if model_id and model_id != found:
        raise _not_of(source, f"logged model {model_id}")
    model = logged_model(ws, found)
    if run_id and model.run_id and run_id != model.run_id:
        raise _not_of(source, f"run {run_id}")
    path = f"{model.folder}/{check_path(inner, 'source')}" if inner else model.folder
    return _Origin(snapshot_artifacts(ws, path), source, run_id or model.run_id or None, model.id, model.node)


def _of_version(ws: Workspace, source: str, ref: str, run_id: str, model_id: str) -> _Origin:
    version = model_version(ws, ref)
    if (run_id and run_id != version.run_id) or (model_id and model_id != version.logged_model):
        raise _not_of(source, f"run {run_id}" if run_id else f"logged model {model_id}")
    pinned = f"models:/{version.name}/{version.version}"
    return _Origin(version.artifact, pinned, version.run_id, version.logged_model, version.node)


def _of_run(ws: Workspace, source: str, found: str, inner: str, run_id: str) -> _Origin:
    if run_id and run_id != found:
        raise _not_of(source, f"run {run_id}")
    root = run_folder(ws, found)
    path = f"{root}/{check_path(inner, 'source')}" if inner else root
    return _Origin(snapshot_artifacts(ws, path), source, found)


def _of_path(ws: Workspace, source: str, path: str, run_id: str, model_id: str) -> _Origin:
    model = _logged_at(ws, path)
    if model_id and (model is None or model.id != model_id):
        raise _not_of(source, f"logged model {model_id}")
    if run_id and (model is None or model.run_id != run_id) and not path.startswith(f"{STORED}/"):
        root = run_folder(ws, run_id)
        if path != root and not path.startswith(f"{root}/"):
            raise _not_of(source, f"run {run_id}")
    made_by = run_id or (model.run_id if model else "")
    node = model.node if model else None
    return _Origin(snapshot_artifacts(ws, path), source, made_by or None, model.id if model else None, node)


def run_folder(ws: Workspace, run_id: str) -> str:
    """Where the files of a run lie in the artifact tree.

    Raises:
        NotFound: The run is unknown.
        DataError: Its experiment keeps its artifacts elsewhere.

    Example:
        >>> import tempfile
        >>> from raylake.registry import start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> run_folder(ws, fit.id) == f"0/{fit.id}/artifacts"
        True
    """
    find_run(ws, run_id)
    with reading(ws) as session:
        (view,) = views(session, select_runs().where(col(RunRow.id) == run_id))
    return tree_path(view.artifact_uri)


def _logged_at(ws: Workspace, path: str) -> LoggedModel | None:
    found = _IN_MODEL.fullmatch(path)
    try:
        model = logged_model(ws, found[1]) if found else None
    except NotFound:
        return None
    inside = model is not None and (path == model.folder or path.startswith(f"{model.folder}/"))
    return model if inside else None


def _not_of(source: str, owner: str) -> DataError:
    return DataError(f"Invalid model version source: {source!r:.300} does not lie in the artifacts of {owner}")
