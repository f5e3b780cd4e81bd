"""Taking models and versions away, and giving models another name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, insert, literal, select, update
from sqlmodel import Session, col
from sqlmodel import select as rows_of

from ..core import Conflict, Workspace
from .engine import now, writing
from .model_names import Wanted, check_model_name
from .model_rows import exists_already, live_model, model_records, resolve, touch_model
from .records import Model
from .schema import (
    MAPPERS,
    AliasRow,
    DeploymentRow,
    ModelRow,
    ModelTagRow,
    ModelVersionRow,
    ModelVersionTagRow,
    NodeRow,
)


def delete_version(ws: Workspace, name: str, version: int) -> None:
    """Delete a version: its description, labels, metrics, source and aliases go, its number is never used again.

    Its files go with `collect_garbage` when nothing else refers to them.

    Raises:
        NotFound: The model or version is unknown.
        Conflict: An endpoint serves it.

    Example:
        >>> import tempfile
        >>> from raylake.registry import model_versions, register_artifact
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = register_artifact(ws, "0" * 64, name="flight-delay")
        >>> delete_version(ws, "flight-delay", 1)
        >>> model_versions(ws, "flight-delay"), str(register_artifact(ws, "0" * 64, name="flight-delay"))
        ([], 'flight-delay@2')
    """
    with writing(ws) as session:
        live_model(session, check_model_name(name), lock=True)
        row = resolve(session, Wanted(name, version=version))
        _refuse_served(session, name, version)
        _empty(session, row, now())
        touch_model(session, name)


def delete_model(ws: Workspace, name: str) -> None:
    """Delete a model with all its versions, as `delete_version` does. A new model of that name counts on.

    Raises:
        NotFound: The model is unknown.
        Conflict: An endpoint serves one of its versions.

    Example:
        >>> import tempfile
        >>> from raylake.registry import create_model, models
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_model(ws, "flight-delay")
        >>> delete_model(ws, "flight-delay")
        >>> models(ws)
        []
    """
    with writing(ws) as session:
        row = live_model(session, check_model_name(name), lock=True)
        _refuse_served(session, name)
        at = now()
        alive = rows_of(ModelVersionRow).where(ModelVersionRow.model == name, col(ModelVersionRow.deleted_at).is_(None))
        for version in session.exec(alive).all():
            _empty(session, version, at)
        session.execute(delete(ModelTagRow).where(col(ModelTagRow.model) == name))
        row.description, row.deleted_at, row.updated_at = "", at, at


def rename_model(ws: Workspace, name: str, new_name: str) -> Model:
    """Rename a model, with its versions, aliases, reports and lineage.

    Raises:
        NotFound: The model is unknown.
        Conflict: The new name is taken, or was a deleted model's, or an endpoint serves one of the versions.
        InvalidName: The new name is not valid.

    Example:
        >>> import tempfile
        >>> from raylake.registry import create_model
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_model(ws, "delay")
        >>> rename_model(ws, "delay", "flight-delay").name
        'flight-delay'
    """
    check_model_name(new_name)
    with writing(ws) as session:
        row = live_model(session, check_model_name(name), lock=True)
        if new_name == name:
            return model_records(session, [row])[0]
        if session.get(ModelRow, new_name) is not None:
            raise exists_already(new_name)
        _refuse_served(session, name)
        new = ModelRow(name=new_name, created_at=row.created_at, description=row.description, updated_at=now())
        session.add(new)
        session.flush()
        _move_versions(session, name, new_name)
        session.delete(row)
        session.flush()
        return model_records(session, [new])[0]


def _refuse_served(session: Session, name: str, version: int | None = None) -> None:
    query = rows_of(DeploymentRow).where(DeploymentRow.model == name, col(DeploymentRow.ended_at).is_(None))
    if version is not None:
        query = query.where(DeploymentRow.version == version)
    served = session.exec(query.limit(1)).first()
    if served is not None:
        raise Conflict(
            f"endpoint {served.endpoint!r} serves {name}@{served.version}: deploy another version or end it first"
        )


def _empty(session: Session, row: ModelVersionRow, at: datetime) -> None:
    for table in (AliasRow, ModelVersionTagRow):
        columns = MAPPERS.metadata.tables[table.__tablename__].c
        session.execute(delete(table).where(columns.model == row.model, columns.version == row.version))
    row.artifact, row.run_id, row.metrics, row.description = "", None, {}, ""
    row.source, row.run_link, row.logged_model, row.stage = "", "", None, "None"
    row.updated_at = row.deleted_at = at
    session.flush()


def _move_versions(session: Session, name: str, new_name: str) -> None:
    """Copy the versions, let everything refer to the copies, remove the originals: no key is ever broken."""
    tables = MAPPERS.metadata.tables
    versions = tables["model_version"]
    others = [column for column in versions.columns if column.name != "model"]
    copied = select(literal(new_name), *others).where(versions.c.model == name)
    session.execute(insert(versions).from_select(["model", *(column.name for column in others)], copied))
    for table in _referring("model_version", "model"):
        session.execute(update(tables[table]).where(tables[table].c.model == name).values(model=new_name))
    session.execute(delete(versions).where(versions.c.model == name))
    session.execute(
        update(NodeRow).where(col(NodeRow.kind) == "model", col(NodeRow.name) == name).values(name=new_name)
    )


def _referring(*targets: str) -> list[str]:
    """Tables, other than the versions themselves, with a foreign key to one of the targets."""
    return [
        table.name
        for table in MAPPERS.metadata.sorted_tables
        if table.name != "model_version" and any(key.column.table.name in targets for key in table.foreign_keys)
    ]
