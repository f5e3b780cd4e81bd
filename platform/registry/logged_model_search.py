"""Searching logged models by attribute, label, parameter and metric, in pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists
from sqlalchemy import select as select_column
from sqlmodel import Session, col, select

from ..core import DataError, Workspace
from .engine import reading
from .filters import Condition, Order, compared, parse_filter
from .logged_models import LoggedModel, logged_model_records
from .model_search import check_tag, next_page, parse_page, text_clause
from .schema import LoggedModelMetricRow, LoggedModelParamRow, LoggedModelRow, LoggedModelTagRow

_NUMERIC = ("=", "!=", "<", "<=", ">", ">=")
_TEXTS: Mapping[str, Any] = {
    "name": LoggedModelRow.name,
    "model_id": LoggedModelRow.id,
    "model_type": LoggedModelRow.model_type,
    "status": LoggedModelRow.status,
    "source_run_id": LoggedModelRow.run_id,
}
_TIMES: Mapping[str, Any] = {
    "creation_timestamp": LoggedModelRow.created_at,
    "creation_time": LoggedModelRow.created_at,
    "last_updated_timestamp": LoggedModelRow.updated_at,
    "last_updated_time": LoggedModelRow.updated_at,
}
_LATEST = 253_402_300_799_000  # milliseconds at the end of the year 9999


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
        order_by: Attributes or ``metrics.key``.
        datasets: Names and digests (``""`` for any); conditions on metrics look at these data sets only.
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
    start, sets = parse_page(page), [*datasets]
    with reading(ws) as session:
        query = select(LoggedModelRow).where(
            col(LoggedModelRow.experiment_id).in_([*experiment_ids]), col(LoggedModelRow.deleted_at).is_(None)
        )
        for condition in parse_filter(filter_text):
            query = query.where(_clause(session, condition, sets))
        clauses = [_ordered(order) for order in order_by]
        rows = session.exec(query.order_by(*clauses, col(LoggedModelRow.seq).desc()).offset(start).limit(limit + 1))
        found = rows.all()
        return logged_model_records(session, found[:limit]), next_page(start, limit, found)


def _clause(session: Session, condition: Condition, datasets: list[tuple[str, str]]) -> ColumnElement[bool]:
    dialect = str(session.get_bind().dialect.name)
    if condition.kind == "attribute":
        if condition.key not in _TIMES:
            return text_clause(session, _TEXTS, _canonical(condition))
        moment = _moment(_number(condition))
        return compared(dialect, col(_TIMES[condition.key]), condition.comparator, moment)
    if condition.kind == "metric":
        table = LoggedModelMetricRow
        same = and_(_same(table, condition.key), _on(datasets))
        return exists().where(same, compared(dialect, col(table.value), condition.comparator, _number(condition)))
    check_tag(condition)
    labels: Any = LoggedModelTagRow if condition.kind == "tag" else LoggedModelParamRow
    value = compared(dialect, col(labels.value), condition.comparator, condition.value)
    return exists().where(_same(labels, condition.key), value)


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
    if order.key.startswith("metrics."):
        table, key = LoggedModelMetricRow, order.key.removeprefix("metrics.")
        column = select_column(col(table.value)).where(_same(table, key)).limit(1).scalar_subquery()
    else:
        known = {**_TEXTS, **_TIMES}
        if order.key not in known:
            raise DataError(f"Invalid order_by field {order.key!r:.100}: use metrics.key or one of {', '.join(known)}")
        return _directed(col(known[order.key]), order)
    return _directed(column, order)


def _directed(column: Any, order: Order) -> ColumnElement[Any]:
    directed: ColumnElement[Any] = (column.asc() if order.ascending else column.desc()).nulls_last()
    return directed


def _canonical(condition: Condition) -> Condition:
    """The status in the registry's spelling."""
    if condition.key != "status" or not isinstance(condition.value, str):
        return condition
    spelled = condition.value.lower().removeprefix("logged_model_").removeprefix("upload_")
    return Condition(condition.kind, condition.key, condition.comparator, spelled)


def _number(condition: Condition) -> float:
    if condition.comparator not in _NUMERIC or isinstance(condition.value, (str, list)):
        raise DataError(f"Invalid comparison of {condition.key!r:.100}: use {', '.join(_NUMERIC)} with a number")
    return float(condition.value)


def _moment(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(min(max(milliseconds, 0), _LATEST) / 1000, UTC)
