"""Rows of models as records, and what every writer of them shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from ..core import Conflict, Node, NotFound
from .engine import now
from .lineage import connect
from .model_names import Wanted
from .records import Model, ModelVersion
from .rows import LARGEST, insert_new, listed
from .schema import AliasMoveRow, AliasRow, ModelRow, ModelTagRow, ModelVersionRow, ModelVersionTagRow
from .webhooks import announce

_BATCH = 500  # keys in one query


def ensure_model(session: Session, name: str) -> None:
    """Create the model if it is new or was deleted, and keep other writers of its versions out until the commit."""
    insert_new(session, ModelRow, [{"name": name, "created_at": now()}])
    row = session.get(ModelRow, name, with_for_update=True, populate_existing=True)
    if row is not None and row.deleted_at is not None:
        row.deleted_at, row.created_at = None, now()


def live_model(session: Session, name: str, *, lock: bool = False) -> ModelRow:
    """The row of a model that is not deleted.

    Raises:
        NotFound: There is none.
    """
    row = session.get(ModelRow, name, with_for_update=lock, populate_existing=lock)
    if row is None or row.deleted_at is not None:
        raise unknown_model(session, name)
    return row


def append_version(session: Session, row: ModelVersionRow, inputs: Iterable[Node]) -> ModelVersionRow:
    """Give the row the next number, store it, and record what it was made from."""
    last = session.exec(select(func.max(ModelVersionRow.version)).where(ModelVersionRow.model == row.model)).one()
    row.version = (last or 0) + 1
    row.updated_at = row.created_at
    touch_model(session, row.model)
    session.add(row)
    session.flush()
    connect(session, inputs, [Node("model", row.model, str(row.version))])
    return row


def touch_model(session: Session, name: str) -> None:
    """Remember that something about the model changed."""
    row = session.get(ModelRow, name)
    if row is not None:
        row.updated_at = now()


def point(session: Session, name: str, alias: str, version: int) -> None:
    """Point an alias at a version and remember the move, if it is one."""
    row = session.get(AliasRow, (name, alias))
    if row is not None and row.version == version:
        return
    if row is not None:
        row.version = version
    else:
        session.add(AliasRow(model=name, alias=alias, version=version))
    session.add(AliasMoveRow(model=name, alias=alias, version=version, created_at=now()))
    touch_model(session, name)
    announce(session, "model_version_alias.created", {"name": name, "alias": alias, "version": str(version)})
    session.flush()


def resolve(session: Session, wanted: Wanted) -> ModelVersionRow:
    """The row that a reference names.

    Raises:
        NotFound: The model, version or alias is unknown; the message lists those that exist.
    """
    query = select(ModelVersionRow).where(
        ModelVersionRow.model == wanted.name, col(ModelVersionRow.deleted_at).is_(None)
    )
    if wanted.alias is not None:
        pointer = session.get(AliasRow, (wanted.name, wanted.alias))
        query = query.where(ModelVersionRow.version == (pointer.version if pointer else None))
    elif wanted.version is not None:
        query = query.where(ModelVersionRow.version == (wanted.version if wanted.version <= LARGEST else None))
    row = session.exec(query.order_by(col(ModelVersionRow.version).desc()).limit(1)).first()
    if row is None:
        raise _missing(session, wanted)
    return row


def unknown_model(session: Session, name: str) -> NotFound:
    """The error that lists the models there are."""
    names = session.exec(select(ModelRow.name).where(col(ModelRow.deleted_at).is_(None)).limit(100)).all()
    return NotFound(f"model {name!r} is not registered; registered models: {listed(names)}")


def exists_already(name: str) -> Conflict:
    """The error of a name that is taken."""
    return Conflict(f"model {name!r} exists already: take another name, or delete or rename that model first")


def version_records(session: Session, rows: Sequence[ModelVersionRow]) -> list[ModelVersion]:
    """Records of version rows, with their aliases and labels, in a few queries."""
    names = {row.model for row in rows}
    aliases: dict[tuple[str, int], list[str]] = {}
    for alias in _of(session, AliasRow, names):
        aliases.setdefault((alias.model, alias.version), []).append(alias.alias)
    tags: dict[tuple[str, int], dict[str, str]] = {}
    table = ModelVersionTagRow
    query = select(table.model, table.version, table.key, table.value).order_by(col(table.key))
    if len(rows) == 1:
        query = query.where(table.version == rows[0].version)
    for model, version, key, value in _of(session, table, names, query):
        tags.setdefault((model, version), {})[key] = value
    keys = [(row.model, row.version) for row in rows]
    return [_version(row, sorted(aliases.get(key, ())), tags.get(key, {})) for key, row in zip(keys, rows, strict=True)]


def version_record(session: Session, row: ModelVersionRow) -> ModelVersion:
    """Record of one version row."""
    return version_records(session, [row])[0]


def model_records(session: Session, rows: Sequence[ModelRow]) -> list[Model]:
    """Records of model rows, with aliases, labels and newest versions, in a few queries."""
    names = {row.name for row in rows}
    aliases: dict[str, dict[str, int]] = {}
    for alias in _of(session, AliasRow, names, select(AliasRow).order_by(col(AliasRow.alias))):
        aliases.setdefault(alias.model, {})[alias.alias] = alias.version
    tags: dict[str, dict[str, str]] = {}
    # Columns, not rows: a model may have 100,000 labels.
    query = select(ModelTagRow.model, ModelTagRow.key, ModelTagRow.value).order_by(col(ModelTagRow.key))
    for name, key, value in _of(session, ModelTagRow, names, query):
        tags.setdefault(name, {})[key] = value
    live = col(ModelVersionRow.deleted_at).is_(None)
    newest = (
        select(ModelVersionRow.model, func.max(ModelVersionRow.version)).where(live).group_by(ModelVersionRow.model)
    )
    latest: dict[str, int] = {}
    for batch in batches(names):
        latest.update(session.exec(newest.where(col(ModelVersionRow.model).in_(batch))).all())
    return [
        Model(
            row.name,
            latest.get(row.name),
            aliases.get(row.name, {}),
            row.created_at,
            description=row.description,
            tags=tags.get(row.name, {}),
            updated_at=row.updated_at or row.created_at,
        )
        for row in rows
    ]


def _of(session: Session, table: Any, names: Iterable[str], query: Any = None) -> Iterable[Any]:
    for batch in batches(names):
        yield from session.exec((select(table) if query is None else query).where(col(table.model).in_(batch)))


def batches(names: Iterable[str]) -> Iterable[list[str]]:
    """Names in parts that fit into one query."""
    ordered = sorted(names)
    return (ordered[start : start + _BATCH] for start in range(0, len(ordered), _BATCH))


def _missing(session: Session, wanted: Wanted) -> NotFound:
    live_model(session, wanted.name)
    query = select(ModelVersionRow.version).where(
        ModelVersionRow.model == wanted.name, col(ModelVersionRow.deleted_at).is_(None)
    )
    newest = session.exec(query.order_by(col(ModelVersionRow.version).desc()).limit(10)).all()
    aliases = session.exec(select(AliasRow.alias).where(AliasRow.model == wanted.name)).all()
    what = f"version {wanted.version}" if wanted.alias is None else f"alias {wanted.alias!r}"
    shown = ", ".join(str(version) for version in newest)
    return NotFound(f"model {wanted.name!r} has no {what}; newest versions: {shown}; aliases: {listed(aliases)}")


def _version(row: ModelVersionRow, aliases: Iterable[str], tags: Mapping[str, str]) -> ModelVersion:
    return ModelVersion(
        name=row.model,
        version=row.version,
        artifact=row.artifact,
        run_id=row.run_id,
        metrics=row.metrics,
        description=row.description,
        aliases=tuple(aliases),
        created_at=row.created_at,
        source=row.source,
        run_link=row.run_link,
        logged_model=row.logged_model,
        stage=row.stage,
        tags=dict(tags),
        updated_at=row.updated_at or row.created_at,
    )
