"""Experiments: groups of runs, as MLflow knows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import update
from sqlmodel import Session, col, select

from ...core import Conflict, DataError, Deleted, NotFound, Workspace
from ..engine import now, reading, writing
from ..rows import listed, upsert
from ..schema import ExperimentRow, ExperimentTagRow, RunRow
from ..schema.tracking import ACTIVE, DELETED
from .values import Experiment

DEFAULT_EXPERIMENT = 0


def create_experiment(
    ws: Workspace, name: str, *, artifact_location: str | None = None, tags: Mapping[str, str] | None = None
) -> Experiment:
    """Create an experiment.

    Args:
        ws: The workspace.
        name: Free name; unique, deleted experiments included.
        artifact_location: URI below which artifacts of its runs go; by default the server's own store.
        tags: Free labels.

    Raises:
        Conflict: The name is taken.
        DataError: The name is empty.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> create_experiment(ws, "delays", tags={"team": "ops"}).id
        1
    """
    if not name:
        raise DataError("Invalid experiment name: '': give it a name")
    with writing(ws) as session:
        at = now()
        taken = session.exec(select(ExperimentRow).where(ExperimentRow.name == name)).first()
        if taken is not None:
            hint = "restore it, or purge it" if taken.lifecycle == DELETED else "take another name"
            raise Conflict(f"Experiment(name={name}) already exists (id {taken.id}, {taken.lifecycle}): {hint}")
        row = ExperimentRow(name=name, artifact_location=artifact_location or None, created_at=at, updated_at=at)
        session.add(row)
        session.flush()
        assert row.id is not None
        _put_tags(session, row.id, tags or {})
        return _records(session, [row])[0]


def experiment(ws: Workspace, which: str | int) -> Experiment:
    """An experiment by its name (text) or id (number); deleted ones too.

    Raises:
        NotFound: It does not exist; the message lists those that do.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> experiment(ws, 0).name, experiment(ws, "Default").id
        ('Default', 0)
    """
    with reading(ws) as session:
        return _records(session, [find(session, which)])[0]


def rename_experiment(ws: Workspace, which: str | int, name: str) -> Experiment:
    """Give an active experiment another name.

    Raises:
        NotFound: It does not exist.
        Deleted: It is deleted.
        Conflict: The name is taken.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> rename_experiment(ws, create_experiment(ws, "a").id, "b").name
        'b'
    """
    with writing(ws) as session:
        row = active(session, which)
        row.name, row.updated_at = name, now()
        session.flush()
        return _records(session, [row])[0]


def delete_experiment(ws: Workspace, which: str | int) -> None:
    """Delete an experiment with its runs; `restore_experiment` brings them back until they are purged.

    Raises:
        NotFound: It does not exist, or is deleted already.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> delete_experiment(ws, create_experiment(ws, "a").id)
        >>> experiment(ws, "a").lifecycle
        'deleted'
    """
    _turn(ws, which, ACTIVE, DELETED)


def restore_experiment(ws: Workspace, which: str | int) -> None:
    """Bring a deleted experiment back, with all its runs.

    Raises:
        NotFound: No deleted experiment has this name or id.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> delete_experiment(ws, 0)
        >>> restore_experiment(ws, 0)
        >>> experiment(ws, 0).lifecycle
        'active'
    """
    _turn(ws, which, DELETED, ACTIVE)


def set_experiment_tags(ws: Workspace, which: str | int, tags: Mapping[str, str]) -> None:
    """Set labels of an active experiment.

    Raises:
        NotFound: It does not exist.
        Deleted: It is deleted.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> set_experiment_tags(ws, 0, {"team": "ops"})
        >>> experiment(ws, 0).tags
        {'team': 'ops'}
    """
    with writing(ws) as session:
        row = active(session, which)
        assert row.id is not None
        _put_tags(session, row.id, tags)


def delete_experiment_tag(ws: Workspace, which: str | int, key: str) -> None:
    """Remove a label of an active experiment.

    Raises:
        NotFound: The experiment or the label does not exist.
        Deleted: The experiment is deleted.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> set_experiment_tags(ws, 0, {"team": "ops"})
        >>> delete_experiment_tag(ws, 0, "team")
    """
    with writing(ws) as session:
        row = active(session, which)
        gone = session.get(ExperimentTagRow, (row.id, key))
        if gone is None:
            raise NotFound(f"No tag with name: {key} in experiment with id {row.id}")
        session.delete(gone)


def find(session: Session, which: str | int, lifecycle: str | None = None) -> ExperimentRow:
    """The row of an experiment."""
    same = ExperimentRow.id == which if isinstance(which, int) else ExperimentRow.name == which
    row = session.exec(select(ExperimentRow).where(same)).first()
    if row is None or (lifecycle is not None and row.lifecycle != lifecycle):
        if isinstance(which, int):
            raise NotFound(f"No Experiment with id={which} exists" + (f" that is {lifecycle}" if row else ""))
        names = session.exec(select(ExperimentRow.name).where(ExperimentRow.lifecycle == ACTIVE)).all()
        raise NotFound(f"Could not find experiment with name '{which}'; experiments: {listed(names)}")
    return row


def active(session: Session, which: str | int) -> ExperimentRow:
    """The row of an experiment that may be changed."""
    row = find(session, which)
    if row.lifecycle != ACTIVE:
        raise Deleted(
            f"The experiment {row.id} must be in the 'active' state. Current state is {row.lifecycle}. Restore it first"
        )
    return row


def location(experiment_id: int, given: str | None) -> str:
    """Where the artifacts of an experiment go.

    Example:
        >>> location(3, None)
        'mlflow-artifacts:/3'
    """
    return given or f"mlflow-artifacts:/{experiment_id}"


def records(session: Session, rows: Iterable[ExperimentRow]) -> list[Experiment]:
    """The experiments with their tags."""
    return _records(session, [*rows])


def _records(session: Session, rows: list[ExperimentRow]) -> list[Experiment]:
    tags: dict[int, dict[str, str]] = {row.id: {} for row in rows if row.id is not None}
    query = select(ExperimentTagRow).where(col(ExperimentTagRow.experiment_id).in_(tags))
    for tag in session.exec(query.order_by(col(ExperimentTagRow.key))):
        tags[tag.experiment_id][tag.key] = tag.value
    return [
        Experiment(
            id=row.id,
            name=row.name,
            lifecycle=row.lifecycle,
            artifact_location=location(row.id, row.artifact_location),
            tags=tags[row.id],
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
        if row.id is not None
    ]


def _put_tags(session: Session, experiment_id: int, tags: Mapping[str, str]) -> None:
    rows = [{"experiment_id": experiment_id, "key": key, "value": value} for key, value in tags.items()]
    upsert(session, ExperimentTagRow, rows, key=["experiment_id", "key"], changed=["value"])


def _turn(ws: Workspace, which: str | int, before: str, after: str) -> None:
    with writing(ws) as session:
        at = now()
        row = find(session, which, before)
        row.lifecycle, row.updated_at = after, at
        session.flush()
        session.execute(
            update(RunRow)
            .where(col(RunRow.experiment_id) == row.id)
            .values(lifecycle=after, deleted_at=at if after == DELETED else None)
        )
