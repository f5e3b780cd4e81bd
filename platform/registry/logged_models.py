"""Logged models: what a run produced, before anybody registers it. MLflow's `log_model` makes one each time.

Their files lie in the artifact tree below ``<experiment>/models/<id>/artifacts``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlmodel import Session, col, select

from ..core import DataError, Deleted, InvalidName, Node, NotFound, Workspace
from .artifact_paths import tree_path
from .engine import now, reading, writing
from .lineage import connect
from .model_admin import check_tags
from .rows import upsert
from .schema import LoggedModelMetricRow, LoggedModelParamRow, LoggedModelRow, LoggedModelTagRow
from .tracking import experiment

STATUSES = ("pending", "ready", "failed")
_NAME = re.compile(r"[^/:.%\"'\x00-\x1f]{1,256}")
_BATCH = 500


@dataclass(frozen=True, slots=True)
class LoggedMetric:
    """The latest value of a metric that a run measured of a logged model, perhaps on a named data set."""

    key: str
    value: float
    step: int = 0
    timestamp: int = 0
    run_id: str = ""
    dataset: str = ""
    dataset_digest: str = ""


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """A model that a run logged.

    Attributes:
        id: ``m-`` and 32 hexadecimal digits.
        experiment_id: The experiment it belongs to.
        name: Free name; need not be unique.
        model_type: Free text, such as ``agent``; may be empty.
        run_id: The run that logged it, or ``""``.
        artifact_uri: Where its files are, below the experiment's location.
        status: ``pending`` until its files are there, then ``ready`` or ``failed``.
        tags: Free labels.
        params: What it was made with.
        metrics: What runs measured of it.
        created_at: When it was created.
        updated_at: When something about it changed last.
        deleted_at: When it was deleted, or ``None``.

    Example:
        >>> import datetime
        >>> at = datetime.datetime.now(datetime.UTC)
        >>> where = "mlflow-artifacts:/0/models/m-1/artifacts"
        >>> LoggedModel("m-1", "0", "iris", "", "", where, "ready", {}, {}, (), at, at).folder
        '0/models/m-1/artifacts'
    """

    id: str
    experiment_id: str
    name: str
    model_type: str
    run_id: str
    artifact_uri: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[LoggedMetric, ...]
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = field(default=None)

    @property
    def folder(self) -> str:
        """Where its files lie in the artifact tree.

        Raises:
            DataError: The experiment keeps its artifacts elsewhere.
        """
        return tree_path(self.artifact_uri)

    @property
    def node(self) -> Node:
        """The vertex in the lineage graph."""
        return Node("logged-model", self.id)


def create_logged_model(
    ws: Workspace,
    experiment_id: str,
    *,
    name: str = "",
    model_type: str = "",
    run_id: str = "",
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> LoggedModel:
    """Create a logged model whose files come next; it is ``pending`` until `finish_logged_model`.

    Args:
        ws: The workspace.
        experiment_id: The experiment it belongs to.
        name: Free name without ``/ : . % " '``; empty for one of its own.
        model_type: Free text.
        run_id: The run that logs it; lineage is recorded.
        tags: Free labels.
        params: What it was made with.

    Raises:
        InvalidName: The name or the experiment is not valid.
        NotFound: The experiment is unknown.
        Deleted: The experiment is deleted.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_logged_model(ws, "0", name="iris", params={"depth": "3"})
        >>> finish_logged_model(ws, made.id, "ready").status
        'ready'
    """
    if not experiment_id.isdecimal() or not experiment_id.isascii():
        raise InvalidName(f"experiment {experiment_id!r:.100} is not valid: use the id that create returned")
    found = experiment(ws, int(experiment_id))
    if found.lifecycle != "active":
        raise Deleted(f"experiment {experiment_id} ({found.name!r}) is deleted: restore it first")
    if name and not _NAME.fullmatch(name):
        raise InvalidName(
            f"name {name!r:.300} of a logged model is not valid: use 1 to 256 characters, none of /:.%\"'"
        )
    at, model_id = now(), f"m-{uuid4().hex}"
    row = LoggedModelRow(
        id=model_id,
        experiment_id=experiment_id,
        name=name or f"model-{model_id[2:10]}",
        model_type=model_type,
        run_id=run_id,
        artifact_uri=f"{found.artifact_location.rstrip('/')}/models/{model_id}/artifacts",
        status="pending",
        created_at=at,
        updated_at=at,
    )
    with writing(ws) as session:
        session.add(row)
        session.flush()
        write_values(session, LoggedModelTagRow, model_id, check_tags(tags or {}))
        write_values(session, LoggedModelParamRow, model_id, check_tags(params or {}))
        connect(session, [Node("run", run_id)] if run_id else [], [Node("logged-model", model_id)])
        return _records(session, [row])[0]


def logged_model(ws: Workspace, model_id: str, *, deleted: bool = False) -> LoggedModel:
    """A logged model by its id; a deleted one only if `deleted`.

    Raises:
        NotFound: It is unknown.

    Example:
        >>> import tempfile
        >>> logged_model(Workspace.open(tempfile.mkdtemp()), "m-1")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: logged model 'm-1' is not recorded: search_logged_models lists those there are
    """
    with reading(ws) as session:
        return _records(session, [logged_model_row(session, model_id, deleted=deleted)])[0]


def finish_logged_model(ws: Workspace, model_id: str, status: str) -> LoggedModel:
    """Say that the files are there (``ready``) or will not come (``failed``).

    Raises:
        NotFound: It is unknown.
        DataError: The status is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> finish_logged_model(ws, create_logged_model(ws, "0").id, "failed").status
        'failed'
    """
    if status not in STATUSES:
        raise DataError(f"status {status!r:.100} of a logged model is not valid: use one of {', '.join(STATUSES)}")
    with writing(ws) as session:
        row = logged_model_row(session, model_id)
        row.status, row.updated_at = status, now()
        session.flush()
        return _records(session, [row])[0]


def delete_logged_model(ws: Workspace, model_id: str) -> None:
    """Delete a logged model. Versions that were registered from it keep their files.

    Raises:
        NotFound: It is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_logged_model(ws, "0")
        >>> delete_logged_model(ws, made.id)
        >>> logged_model(ws, made.id, deleted=True).deleted_at is None
        False
    """
    with writing(ws) as session:
        row = logged_model_row(session, model_id)
        row.deleted_at = row.updated_at = now()


def tag_logged_model(ws: Workspace, model_id: str, tags: Mapping[str, str]) -> LoggedModel:
    """Set labels; those with other keys stay.

    Raises:
        NotFound: It is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_logged_model(ws, "0")
        >>> tag_logged_model(ws, made.id, {"team": "ops"}).tags
        {'team': 'ops'}
    """
    labels = check_tags(tags)
    with writing(ws) as session:
        row = logged_model_row(session, model_id)
        row.updated_at = now()
        write_values(session, LoggedModelTagRow, model_id, labels)
        return _records(session, [row])[0]


def untag_logged_model(ws: Workspace, model_id: str, key: str) -> None:
    """Remove a label.

    Raises:
        NotFound: The model is unknown, or has no such label.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_logged_model(ws, "0", tags={"team": "ops"})
        >>> untag_logged_model(ws, made.id, "team")
        >>> logged_model(ws, made.id).tags
        {}
    """
    with writing(ws) as session:
        logged_model_row(session, model_id).updated_at = now()
        tag = session.get(LoggedModelTagRow, (model_id, key))
        if tag is None:
            raise NotFound(f"logged model {model_id} has no tag {key!r:.300}")
        session.delete(tag)


def logged_model_records(session: Session, rows: Iterable[LoggedModelRow]) -> list[LoggedModel]:
    """Records of rows, with labels, parameters and metrics, in a few queries."""
    return _records(session, [*rows])


def logged_model_row(session: Session, model_id: str, *, deleted: bool = False) -> LoggedModelRow:
    """The row of a logged model.

    Raises:
        NotFound: There is none, or it is deleted and `deleted` is false.
    """
    row = session.exec(select(LoggedModelRow).where(LoggedModelRow.id == model_id)).first()
    if row is None or (row.deleted_at is not None and not deleted):
        raise NotFound(f"logged model {model_id!r:.100} is not recorded: search_logged_models lists those there are")
    return row


def write_values(session: Session, table: Any, model_id: str, values: Mapping[str, str]) -> None:
    """Set labels or parameters inside an open transaction."""
    rows = [{"model_id": model_id, "key": key, "value": value} for key, value in values.items()]
    upsert(session, table, rows, key=["model_id", "key"], changed=["value"])


def values_of(session: Session, table: Any, ids: list[str]) -> dict[str, dict[str, str]]:
    """Labels or parameters of logged models."""
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(ids), _BATCH):
        query = select(table).where(col(table.model_id).in_(ids[start : start + _BATCH])).order_by(col(table.key))
        for row in session.exec(query):
            found.setdefault(row.model_id, {})[row.key] = row.value
    return found


def _metrics(session: Session, ids: list[str]) -> dict[str, list[LoggedMetric]]:
    found: dict[str, list[LoggedMetric]] = {}
    table = LoggedModelMetricRow
    for start in range(0, len(ids), _BATCH):
        query = select(table).where(col(table.model_id).in_(ids[start : start + _BATCH])).order_by(col(table.key))
        for row in session.exec(query):
            value = float("nan") if row.value is None else row.value
            one = LoggedMetric(row.key, value, row.step, row.logged_at, row.run_id, row.dataset, row.dataset_digest)
            found.setdefault(row.model_id, []).append(one)
    return found


def _records(session: Session, rows: Iterable[LoggedModelRow]) -> list[LoggedModel]:
    rows = [*rows]
    ids = [row.id for row in rows]
    tags, params = (values_of(session, table, ids) for table in (LoggedModelTagRow, LoggedModelParamRow))
    metrics = _metrics(session, ids)
    return [
        LoggedModel(
            id=row.id,
            experiment_id=row.experiment_id,
            name=row.name,
            model_type=row.model_type,
            run_id=row.run_id,
            artifact_uri=row.artifact_uri,
            status=row.status,
            tags=tags.get(row.id, {}),
            params=params.get(row.id, {}),
            metrics=tuple(metrics.get(row.id, ())),
            created_at=row.created_at,
            updated_at=row.updated_at,
            deleted_at=row.deleted_at,
        )
        for row in rows
    ]
