"""Searching logged models by attribute, label, parameter and metric, in pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, exists
from sqlalchemy import select as select_column
from sqlmodel import col, select

from ..core import DataError, Workspace
from .clauses import compare_metric, compare_moment, compare_text
from .engine import reading
from .grammar import Condition, Order, parse_filter
from .logged_models import LoggedModel, logged_model_records
from .model_search import dialect_of
from .page_tokens import next_page, offset_of
from .schema import LoggedModelMetricRow, LoggedModelParamRow, LoggedModelRow, LoggedModelTagRow
from .vocabulary import LOGGED_MODELS

_TIMES = ("creation_timestamp", "last_updated_timestamp")
_COLUMNS: Mapping[str, Any] = {
    "name": LoggedModelRow.name,
    "model_id": LoggedModelRow.id,
    "model_type": LoggedModelRow.model_type,
    "status": LoggedModelRow.status,
    "source_run_id": LoggedModelRow.run_id,
    "creation_timestamp": LoggedModelRow.created_at,
    "last_updated_timestamp": LoggedModelRow.updated_at,
}


def search_logged_models(
    ws: Workspace,
    experiment_ids: Iterable[str],
    filter_text: str = "",
    *,
    order_by: Iterable[Order] = (),
    datasets: Iterable[tuple[str, str]] = (),
    limit: int = 50,
    page: str = "",
) -> tuple[list[LoggedModel], str]:
    """Logged models of some experiments that match a filter, a page at a time.

    Args:
        ws: The workspace.
        experiment_ids: The experiments.
        filter_text: Conditions on attributes, ``tags.key``, ``params.key`` and ``metrics.key`` joined by AND.
        order_by: Attributes or metrics, such as ``Order("metric", "auc", ascending=False)``; of several data sets the
            newest value counts.
        datasets: Names and digests (``""`` for any); conditions on metrics look at these data sets only. Without
            such conditions: models with any metric on one of them.
        limit: Models in a page.
        page: What the call for the page before returned.

    Returns:
        The models, newest first unless ordered otherwise, and the token of the next page.

    Raises:
        DataError: The filter, order or token is not valid.

    Example:
        >>> import tempfile
        >>> from raylake.registry import create_logged_model
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_logged_model(ws, "0", name="iris", params={"depth": "3"})
        >>> [model.name for model in search_logged_models(ws, ["0"], "params.depth = '3'")[0]]
        ['iris']
    """
    start, sets, conditions = offset_of(page), [*datasets], parse_filter(filter_text, LOGGED_MODELS)
    with reading(ws) as session:
        query = select(LoggedModelRow).where(
            col(LoggedModelRow.experiment_id).in_([*experiment_ids]), col(LoggedModelRow.deleted_at).is_(None)
        )
        for condition in conditions:
            query = query.where(_clause(dialect_of(session), condition, sets))
        if sets and not any(condition.kind == "metric" for condition in conditions):
            query = query.where(exists().where(col(LoggedModelMetricRow.model_id) == LoggedModelRow.id, _on(sets)))
        clauses = [_ordered(order) for order in order_by]
        rows = session.exec(query.order_by(*clauses, col(LoggedModelRow.seq).desc()).offset(start).limit(limit + 1))
        found = rows.all()
        return logged_model_records(session, found[:limit]), next_page(start, limit, found)


def _clause(dialect: str, condition: Condition, datasets: list[tuple[str, str]]) -> ColumnElement[bool]:
    if condition.kind == "attribute":
        column = _COLUMNS[condition.key]
        if condition.key in _TIMES:
            return compare_moment(column, condition.comparator, condition.value)
        return compare_text(column, _canonical(condition), dialect)
    if condition.kind == "metric":
        table: Any = LoggedModelMetricRow
        compared = compare_metric(table.value, table.value.is_(None), condition)
        return exists().where(_same(table, condition.key), _on(datasets), compared)
    labels: Any = LoggedModelTagRow if condition.kind == "tag" else LoggedModelParamRow
    return exists().where(_same(labels, condition.key), compare_text(labels.value, condition, dialect))


def _same(table: Any, key: str) -> ColumnElement[bool]:
    return and_(col(table.model_id) == LoggedModelRow.id, col(table.key) == key)


def _on(datasets: list[tuple[str, str]]) -> ColumnElement[bool]:
    from sqlalchemy import or_, true

    table = LoggedModelMetricRow
    named = [
        and_(col(table.dataset) == name, col(table.dataset_digest) == digest if digest else true())
        for name, digest in datasets
    ]
    return or_(*named) if named else true()


def _ordered(order: Order) -> ColumnElement[Any]:
    column: ColumnElement[Any]
    if order.kind == "metric":
        table, measured_on = LoggedModelMetricRow, [order.dataset] if order.dataset else []
        newest = (col(table.logged_at).desc(), col(table.step).desc())
        values = select_column(col(table.value)).where(_same(table, order.key), _on(measured_on))
        column = values.order_by(*newest).limit(1).scalar_subquery()
    elif order.kind == "attribute" and (named := {**LOGGED_MODELS.texts, **LOGGED_MODELS.numbers}.get(order.key)):
        column = _COLUMNS[named]
    else:
        known = ", ".join([*LOGGED_MODELS.texts, *LOGGED_MODELS.numbers])
        raise DataError(f"Invalid order_by field {order.key!r:.100}: use metrics.key or one of {known}")
    return (column.asc() if order.ascending else column.desc()).nulls_last()


def _canonical(condition: Condition) -> Condition:
    """Statuses in the registry's spelling."""
    if condition.key != "status":
        return condition
    value = condition.value
    spelled = tuple(map(_status, value)) if isinstance(value, tuple) else _status(str(value))
    return Condition(condition.kind, condition.key, condition.comparator, spelled)


def _status(text: str) -> str:
    return text.lower().removeprefix("logged_model_").removeprefix("upload_")
