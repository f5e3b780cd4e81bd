"""Searching models and versions by name, label, run and source, in pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_
from sqlmodel import Session, col, select

from ..core import DataError, Workspace
from .engine import reading
from .filters import Condition, compared, parse_filter, parse_order
from .model_admin import STAGES, check_stage
from .model_names import check_model_name
from .model_rows import batches, live_model, model_records, version_records
from .records import Model, ModelVersion
from .rows import LARGEST
from .schema import ModelRow, ModelTagRow, ModelVersionRow, ModelVersionTagRow

PROMPT = "mlflow.prompt.is_prompt"
_TEXTUAL = ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")
_NUMERIC = ("=", "!=", "<", "<=", ">", ">=")
_TAG = ("=", "!=", "LIKE", "ILIKE")
_MODEL_COLUMNS: Mapping[str, Any] = {"name": ModelRow.name}
_MODEL_ORDER: Mapping[str, Any] = {
    "name": ModelRow.name,
    "timestamp": ModelRow.updated_at,
    "creation_timestamp": ModelRow.created_at,
    "last_updated_timestamp": ModelRow.updated_at,
}
_VERSION_COLUMNS: Mapping[str, Any] = {
    "name": ModelVersionRow.model,
    "version_number": ModelVersionRow.version,
    "run_id": ModelVersionRow.run_id,
    "source_path": ModelVersionRow.source,
}
_VERSION_ORDER: Mapping[str, Any] = {
    "name": ModelVersionRow.model,
    "version_number": ModelVersionRow.version,
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
    orders = parse_order(order_by, _MODEL_ORDER)
    start = parse_page(page)
    with reading(ws) as session:
        query = select(ModelRow).where(col(ModelRow.deleted_at).is_(None))
        for condition in parse_filter(filter_text):
            query = query.where(_model_clause(session, condition))
        clauses = [_directed(_MODEL_ORDER[order.key], order.ascending) for order in orders]
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
    orders = parse_order(order_by, _VERSION_ORDER)
    start = parse_page(page)
    with reading(ws) as session:
        query = select(ModelVersionRow).where(col(ModelVersionRow.deleted_at).is_(None))
        for condition in parse_filter(filter_text):
            query = query.where(_version_clause(session, condition))
        clauses = [_directed(_VERSION_ORDER[order.key], order.ascending) for order in orders]
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


def parse_page(page: str) -> int:
    """Where a page starts.

    Raises:
        DataError: The token is none of ours.

    Example:
        >>> parse_page(""), parse_page(next_page(0, 1, ["a", "b"]))
        (0, 1)
    """
    if not page:
        return 0
    try:
        start = int(base64.urlsafe_b64decode(page.encode()))
    except (ValueError, binascii.Error) as error:
        raise DataError(f"Invalid page token {page!r:.100}: use the one that the page before returned") from error
    if not 0 <= start <= LARGEST:
        raise DataError(f"Invalid page token {page!r:.100}: use the one that the page before returned")
    return start


def next_page(start: int, limit: int, rows: Sequence[Any]) -> str:
    """The token of the next page, if there was a row too many; else ``""``.

    Example:
        >>> next_page(0, 2, ["a", "b"])
        ''
    """
    return base64.urlsafe_b64encode(str(start + limit).encode()).decode() if len(rows) > limit else ""


def text_clause(session: Session, columns: Mapping[str, Any], condition: Condition) -> ColumnElement[bool]:
    """A condition on a text attribute.

    Raises:
        DataError: The attribute is unknown, or the comparator or value does not fit it.
    """
    if condition.key not in columns:
        raise DataError(f"Invalid attribute key {condition.key!r:.100}: use one of {', '.join(columns)}")
    fits = condition.comparator in _TEXTUAL and not isinstance(condition.value, (int, float))
    if not fits:
        raise DataError(
            f"Invalid comparison of {condition.key!r}: use {', '.join(_TEXTUAL)} with quoted text, "
            f"not {condition.comparator} {condition.value!r:.100}"
        )
    return compared(_dialect(session), col(columns[condition.key]), condition.comparator, condition.value)


def check_tag(condition: Condition) -> None:
    """Refuse what labels cannot be compared with.

    Raises:
        DataError: Another comparator, or a value that is not text.
    """
    if condition.comparator not in _TAG or not isinstance(condition.value, str):
        raise DataError(
            f"Invalid comparison of tag {condition.key!r:.100}: use {', '.join(_TAG)} with quoted text, "
            f"not {condition.comparator} {condition.value!r:.100}"
        )


def _dialect(session: Session) -> str:
    return str(session.get_bind().dialect.name)


def _directed(column: Any, ascending: bool) -> ColumnElement[Any]:
    return col(column).asc() if ascending else col(column).desc()


def _model_clause(session: Session, condition: Condition) -> ColumnElement[bool]:
    if condition.kind == "attribute":
        return text_clause(session, _MODEL_COLUMNS, condition)
    return _tag_clause(session, condition, ModelTagRow, ModelTagRow.model == ModelRow.name)


def _version_clause(session: Session, condition: Condition) -> ColumnElement[bool]:
    if condition.kind == "attribute" and condition.key == "version_number":
        if condition.comparator not in _NUMERIC or isinstance(condition.value, (list, float)):
            raise DataError(f"Invalid comparison of version_number: use {', '.join(_NUMERIC)} with a whole number")
        try:
            number = min(max(int(condition.value), -LARGEST), LARGEST)
        except ValueError as error:
            raise DataError(f"Invalid version_number {condition.value!r:.100}: use a whole number") from error
        return compared(_dialect(session), col(ModelVersionRow.version), condition.comparator, number)
    if condition.kind == "attribute":
        return text_clause(session, _VERSION_COLUMNS, condition)
    same = and_(
        col(ModelVersionTagRow.model) == ModelVersionRow.model,
        col(ModelVersionTagRow.version) == ModelVersionRow.version,
    )
    return _tag_clause(session, condition, ModelVersionTagRow, same)


def _tag_clause(session: Session, condition: Condition, table: Any, same: Any) -> ColumnElement[bool]:
    if condition.kind != "tag":
        raise DataError(f"Invalid entity type {condition.kind!r}: models have attributes and tags")
    check_tag(condition)
    key = and_(same, col(table.key) == condition.key)
    found = exists().where(key, compared(_dialect(session), col(table.value), condition.comparator, condition.value))
    if condition.key == PROMPT and (condition.comparator, condition.value) in (("!=", "true"), ("=", "false")):
        # MLflow's clients ask for what is not a prompt like that, and models do not carry the label.
        return or_(found, ~exists().where(key))
    return found
