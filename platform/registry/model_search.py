"""Searching models and versions by name, label, run and source, in pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, exists, func, or_
from sqlmodel import Session, col, select

from ..core import Workspace
from .clauses import compare_number, compare_text
from .engine import reading
from .grammar import Condition, Order, parse_filter, parse_orders
from .model_admin import STAGES, check_stage
from .model_names import check_model_name
from .model_rows import batches, live_model, model_records, version_records
from .page_tokens import next_page, offset_of
from .records import Model, ModelVersion
from .rows import LARGEST
from .schema import ModelRow, ModelTagRow, ModelVersionRow, ModelVersionTagRow
from .vocabulary import MODEL_ORDERS, MODELS, VERSION_ORDERS, VERSIONS

PROMPT = "mlflow.prompt.is_prompt"
_MODEL_COLUMNS: Mapping[str, Any] = {
    "name": ModelRow.name,
    "creation_timestamp": ModelRow.created_at,
    "last_updated_timestamp": ModelRow.updated_at,
}
_VERSION_COLUMNS: Mapping[str, Any] = {
    "name": ModelVersionRow.model,
    "version_number": ModelVersionRow.version,
    "run_id": ModelVersionRow.run_id,
    "source_path": ModelVersionRow.source,
    "creation_timestamp": ModelVersionRow.created_at,
    "last_updated_timestamp": ModelVersionRow.updated_at,
}


def search_models(
    ws: Workspace,
    filter_text: str = "",
    *,
    order_by: Iterable[str] = (),
    limit: int = 100,
    page: str = "",
) -> tuple[list[Model], str]:
    """Models that match a filter, a page at a time.

    Args:
        ws: The workspace.
        filter_text: Conditions on ``name`` and ``tags.key`` joined by AND, such as ``name LIKE 'flight%'``.
        order_by: ``name``, ``creation_timestamp`` or ``last_updated_timestamp``, with ``ASC`` or ``DESC``.
        limit: Models in a page.
        page: What the call for the page before returned.

    Returns:
        The models, by name unless ordered otherwise, and the token of the next page, ``""`` after the last.

    Raises:
        DataError: The filter, order or token is not valid.

    Example:
        >>> import tempfile
        >>> from raylake.registry import create_model
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_model(ws, "flight-delay", tags={"team": "ops"})
        >>> [model.name for model in search_models(ws, "tags.team = 'ops'")[0]]
        ['flight-delay']
    """
    conditions, orders = parse_filter(filter_text, MODELS), parse_orders(order_by, MODEL_ORDERS)
    start = offset_of(page)
    with reading(ws) as session:
        query = select(ModelRow).where(col(ModelRow.deleted_at).is_(None))
        for condition in conditions:
            query = query.where(_model_clause(session, condition))
        clauses = [_directed(_MODEL_COLUMNS, order) for order in orders]
        rows = session.exec(query.order_by(*clauses, col(ModelRow.name)).offset(start).limit(limit + 1)).all()
        return model_records(session, rows[:limit]), next_page(start, limit, rows)


def search_versions(
    ws: Workspace,
    filter_text: str = "",
    *,
    order_by: Iterable[str] = (),
    limit: int = 1000,
    page: str = "",
) -> tuple[list[ModelVersion], str]:
    """Versions that match a filter, a page at a time.

    Args:
        ws: The workspace.
        filter_text: Conditions on ``name``, ``version_number``, ``run_id``, ``source_path`` and ``tags.key``.
        order_by: ``name``, ``version_number``, ``creation_timestamp`` or ``last_updated_timestamp``.
        limit: Versions in a page.
        page: What the call for the page before returned.

    Returns:
        The versions, by name and newest first unless ordered otherwise, and the token of the next page.

    Raises:
        DataError: The filter, order or token is not valid.

    Example:
        >>> import tempfile
        >>> from raylake.registry import register_artifact
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = register_artifact(ws, "0" * 64, name="flight-delay")
        >>> [str(version) for version in search_versions(ws, "name = 'flight-delay' AND version_number > 0")[0]]
        ['flight-delay@1']
    """
    conditions, orders = parse_filter(filter_text, VERSIONS), parse_orders(order_by, VERSION_ORDERS)
    start = offset_of(page)
    with reading(ws) as session:
        query = select(ModelVersionRow).where(col(ModelVersionRow.deleted_at).is_(None))
        for condition in conditions:
            query = query.where(_version_clause(session, condition))
        clauses = [_directed(_VERSION_COLUMNS, order) for order in orders]
        ties = (col(ModelVersionRow.model), col(ModelVersionRow.version).desc())
        rows = session.exec(query.order_by(*clauses, *ties).offset(start).limit(limit + 1)).all()
        return version_records(session, rows[:limit]), next_page(start, limit, rows)


def latest_versions(ws: Workspace, name: str, stages: Iterable[str] = ()) -> list[ModelVersion]:
    """The newest version of a model in each of the stages (all, if none is named), oldest first.

    Raises:
        NotFound: The model is unknown.
        DataError: A stage is unknown.

    Example:
        >>> import tempfile
        >>> from raylake.registry import register_artifact
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = [register_artifact(ws, "0" * 64, name="flight-delay") for _ in range(2)]
        >>> [str(version) for version in latest_versions(ws, "flight-delay")]
        ['flight-delay@2']
    """
    wanted = {check_stage(stage) for stage in stages} or set(STAGES)
    with reading(ws) as session:
        live_model(session, check_model_name(name))
    found = latest_versions_of(ws, [name]).get(name, [])
    return [version for version in found if version.stage in wanted]


def latest_versions_of(ws: Workspace, names: Iterable[str]) -> dict[str, list[ModelVersion]]:
    """The newest version in each stage of several models, each oldest first, in a few queries.

    Example:
        >>> import tempfile
        >>> latest_versions_of(Workspace.open(tempfile.mkdtemp()), ["unknown"])
        {}
    """
    live = col(ModelVersionRow.deleted_at).is_(None)
    newest = select(ModelVersionRow.model, func.max(ModelVersionRow.version)).where(live)
    grouped = newest.group_by(col(ModelVersionRow.model), col(ModelVersionRow.stage))
    found: dict[str, list[ModelVersion]] = {}
    with reading(ws) as session:
        for batch in batches(names):
            keys = grouped.where(col(ModelVersionRow.model).in_(batch)).subquery()
            same = and_(keys.c[0] == ModelVersionRow.model, keys.c[1] == ModelVersionRow.version)
            query = select(ModelVersionRow).join(keys, same).order_by(col(ModelVersionRow.version))
            for version in version_records(session, session.exec(query).all()):
                found.setdefault(version.name, []).append(version)
    return found


def dialect_of(session: Session) -> str:
    """The database behind a session: ``sqlite`` or ``postgresql``."""
    return str(session.get_bind().dialect.name)


def _directed(columns: Mapping[str, Any], order: Order) -> ColumnElement[Any]:
    column = col(columns[order.key])
    return column.asc() if order.ascending else column.desc()


def _model_clause(session: Session, condition: Condition) -> ColumnElement[bool]:
    if condition.kind == "attribute":
        return compare_text(_MODEL_COLUMNS[condition.key], condition, dialect_of(session))
    return _tag_clause(session, condition, ModelTagRow, ModelTagRow.model == ModelRow.name)


def _version_clause(session: Session, condition: Condition) -> ColumnElement[bool]:
    if condition.kind == "attribute":
        column = _VERSION_COLUMNS[condition.key]
        if condition.key != "version_number":
            return compare_text(column, condition, dialect_of(session))
        number = min(max(cast(float, condition.value), -LARGEST), LARGEST)
        return compare_number(column, condition.comparator, number)
    same = and_(
        col(ModelVersionTagRow.model) == ModelVersionRow.model,
        col(ModelVersionTagRow.version) == ModelVersionRow.version,
    )
    return _tag_clause(session, condition, ModelVersionTagRow, same)


def _tag_clause(session: Session, condition: Condition, table: Any, same: Any) -> ColumnElement[bool]:
    key = and_(same, col(table.key) == condition.key)
    found = exists().where(key, compare_text(table.value, condition, dialect_of(session)))
    if condition.key == PROMPT and (condition.comparator, condition.value) in (("!=", "true"), ("=", "false")):
        # MLflow's clients ask for what is not a prompt like that, and models do not carry the label.
        return or_(found, ~exists().where(key))
    return found
