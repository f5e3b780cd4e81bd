"""Searches for runs and experiments: conditions and orders as SQL with bound values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, case, cast, func, literal, not_, select

from ...core import DataError, Workspace
from ..clauses import Clause, compare_metric, compare_moment, compare_text, in_order
from ..engine import reading
from ..grammar import MOST_LISTED, Condition, Order, parse_filter, parse_order, parse_orders
from ..page_tokens import offset_of, token_of
from ..records import Run
from ..schema import MAPPERS, ExperimentRow
from ..schema.tracking import ACTIVE
from ..vocabulary import EXPERIMENTS, PRESENCE
from .entries import NAME_TAG, PARENT_TAG
from .experiments import find, records
from .values import Experiment, Page, RunView
from .views import record, select_runs, views

MOST = 50_000  # results of one page
_TABLES = MAPPERS.metadata.tables
_RUN, _EXPERIMENT = _TABLES["run"], _TABLES["experiment"]
_LATEST, _EXPERIMENT_TAG = _TABLES["metric_latest"], _TABLES["experiment_tag"]
_LABELS = {"param": _TABLES["param"], "tag": _TABLES["tag"]}
_INPUT, _DATASET = _TABLES["dataset_input"], _TABLES["dataset"]
_STATUS = case(
    {
        "scheduled": "SCHEDULED",
        "running": "RUNNING",
        "finished": "FINISHED",
        "failed": "FAILED",
        "stopped": "KILLED",
    },
    value=_RUN.c.status,
)
_LOCATION = func.rtrim(
    func.coalesce(_EXPERIMENT.c.artifact_location, literal("mlflow-artifacts:/") + cast(_EXPERIMENT.c.id, Text)), "/"
)
_ATTRIBUTES: dict[str, ColumnElement[Any]] = {
    "run_id": _RUN.c.id,
    "run_name": _RUN.c.name,
    "user_id": _RUN.c.user_id,
    "status": _STATUS,
    "artifact_uri": _LOCATION + literal("/") + _RUN.c.id + literal("/artifacts"),
    "start_time": _RUN.c.created_at,
    "end_time": _RUN.c.ended_at,
}
_MOMENTS = ("start_time", "end_time")
_AS_COLUMN = {NAME_TAG: _RUN.c.name, PARENT_TAG: _RUN.c.parent}


def search_runs(
    ws: Workspace,
    filter_text: str = "",
    *,
    experiments: Iterable[str | int] | None = None,
    order_by: Sequence[str] = (),
    lifecycle: str | None = ACTIVE,
    limit: int = 1000,
    page_token: str = "",
) -> Page[Run]:
    """Runs that a filter describes, in MLflow's search language.

    Args:
        ws: The workspace.
        filter_text: Such as ``metrics.auc > 0.9 AND tags.team = 'ops' AND attributes.status = 'FINISHED'``.
        experiments: Names or ids; by default all.
        order_by: Such as ``["metrics.auc DESC"]``; ties (and no order) newest first. Runs without the value come
            last in both directions, NaN just before them.
        lifecycle: ``active``, ``deleted`` or ``None`` for both.
        limit: Most runs to return, at most 50,000.
        page_token: Token of the page before; the other arguments must be the same.

    Raises:
        DataError: The filter, the order or the token is not valid.
        NotFound: An experiment is unknown.

    Example:
        >>> import tempfile
        >>> from raylake.registry import finish_run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> for auc in (0.7, 0.9):
        ...     fit = finish_run(ws, start_run(ws, "fit", f"auc {auc}").id, metrics={"auc": auc})
        >>> [found.name for found in search_runs(ws, "metrics.auc > 0.8").items]
        ['auc 0.9']
    """
    with reading(ws) as session:
        ids = None if experiments is None else [find(session, which).id or 0 for which in experiments]
    found = search_views(
        ws, filter_text, experiment_ids=ids, order_by=order_by, lifecycle=lifecycle, limit=limit, page_token=page_token
    )
    return Page(tuple(record(view) for view in found.items), found.token)


def search_views(
    ws: Workspace,
    filter_text: str = "",
    *,
    experiment_ids: Sequence[int] | None = None,
    order_by: Sequence[str] = (),
    lifecycle: str | None = ACTIVE,
    limit: int = 1000,
    page_token: str = "",
) -> Page[RunView]:
    """As `search_runs`, for tracking clients: experiments by id, unknown ones have no runs."""
    conditions, orders = parse_filter(filter_text), parse_orders(order_by)
    offset = _check_page(limit, page_token)
    with reading(ws) as session:
        dialect = session.get_bind().dialect.name
        query = select_runs()
        if experiment_ids is not None:
            if len(experiment_ids) > MOST_LISTED:
                raise DataError(f"{len(experiment_ids):,} experiments: search at most {MOST_LISTED:,} at once")
            query = query.where(_RUN.c.experiment_id.in_(experiment_ids))
        if lifecycle is not None:
            query = query.where(_RUN.c.lifecycle == lifecycle)
        for condition in conditions:
            query = query.where(_clause(condition, dialect))
        query = _ordered(query, orders, dialect).offset(offset or None).limit(limit + 1)
        return _page(views(session, query), limit, offset)


def search_experiments(
    ws: Workspace,
    filter_text: str = "",
    *,
    order_by: Sequence[str] = (),
    lifecycle: str | None = ACTIVE,
    limit: int = 1000,
    page_token: str = "",
) -> Page[Experiment]:
    """Experiments that a filter describes, in MLflow's search language; by default the newest first.

    Args:
        ws: The workspace.
        filter_text: Such as ``name LIKE 'delay%' AND tags.team = 'ops'``.
        order_by: Such as ``["name ASC"]``.
        lifecycle: ``active``, ``deleted`` or ``None`` for both.
        limit: Most experiments to return, at most 50,000.
        page_token: Token of the page before; the other arguments must be the same.

    Raises:
        DataError: The filter, the order or the token is not valid.

    Example:
        >>> import tempfile
        >>> [found.name for found in search_experiments(Workspace.open(tempfile.mkdtemp()), "name LIKE 'Def%'").items]
        ['Default']
    """
    conditions = parse_filter(filter_text, EXPERIMENTS)
    orders = [parse_order(text, EXPERIMENTS) for text in order_by or ("creation_time DESC", "experiment_id ASC")]
    offset = _check_page(limit, page_token)
    with reading(ws) as session:
        dialect = session.get_bind().dialect.name
        query = select(ExperimentRow)
        if lifecycle is not None:
            query = query.where(_EXPERIMENT.c.lifecycle == lifecycle)
        for condition in conditions:
            query = query.where(_experiment_clause(condition, dialect))
        for order in orders:
            query = query.order_by(_experiment_order(order, dialect))
        query = query.order_by(_EXPERIMENT.c.id.desc()).offset(offset or None).limit(limit + 1)
        return _page(records(session, session.execute(query).scalars().all()), limit, offset)


def _check_page(limit: int, token: str) -> int:
    if not 1 <= limit <= MOST:
        raise DataError(f"Invalid value {limit} for parameter 'max_results' supplied. It must be 1 to {MOST}")
    return offset_of(token)


def _page(found: Sequence[Any], limit: int, offset: int) -> Page[Any]:
    more = len(found) > limit
    return Page(tuple(found[:limit]), token_of(offset + limit) if more else "")


def _clause(condition: Condition, dialect: str) -> Clause:
    kind, key = condition.kind, condition.key
    if kind == "attribute":
        if key in _MOMENTS:
            return compare_moment(_ATTRIBUTES[key], condition.comparator, condition.value)
        return compare_text(_ATTRIBUTES[key], condition, dialect)
    if kind == "tag" and key in _AS_COLUMN:
        return compare_text(_AS_COLUMN[key], condition, dialect)
    if kind == "dataset":
        return _dataset_clause(condition, dialect)
    if kind == "metric":
        compared = compare_metric(_LATEST.c.value, _LATEST.c.is_nan, condition)
        return _RUN.c.seq.in_(select(_LATEST.c.run_seq).where(_LATEST.c.key == key, compared))
    table = _LABELS[kind]
    having = select(table.c.run_seq).where(table.c.key == key)
    if condition.comparator in PRESENCE:
        present = having.where(table.c.run_seq == _RUN.c.seq).exists()
        return not_(present) if condition.comparator == "IS NULL" else present
    return _RUN.c.seq.in_(having.where(compare_text(table.c.value, condition, dialect)))


def _dataset_clause(condition: Condition, dialect: str) -> Clause:
    column = _INPUT.c.context if condition.key == "context" else _DATASET.c[condition.key]
    joined = _INPUT.join(_DATASET, _INPUT.c.dataset_id == _DATASET.c.id)
    read = select(_INPUT.c.run_seq).select_from(joined).where(compare_text(column, condition, dialect))
    return _RUN.c.seq.in_(read)


def _ordered(query: Select[Any], orders: Sequence[Order], dialect: str) -> Select[Any]:
    for order in orders:
        query, column, missing = _sorted_by(query, order)
        text = order.kind in _LABELS or (order.kind == "attribute" and order.key not in _MOMENTS)
        query = query.order_by(missing, in_order(column, dialect, ascending=order.ascending, text=text))
    if all((order.kind, order.key) != ("attribute", "start_time") for order in orders):
        query = query.order_by(_RUN.c.created_at.desc())
    return query.order_by(_RUN.c.id)


def _sorted_by(query: Select[Any], order: Order) -> tuple[Select[Any], ColumnElement[Any], ColumnElement[Any]]:
    """The query with what it is sorted by joined to it, that column, and what puts runs without a value last."""
    if order.kind == "attribute":
        column = _ATTRIBUTES[order.key]
    elif order.kind == "tag" and order.key in _AS_COLUMN:
        column = _AS_COLUMN[order.key]
    else:
        table = (_LATEST if order.kind == "metric" else _LABELS[order.kind]).alias()
        query = query.outerjoin(table, (table.c.run_seq == _RUN.c.seq) & (table.c.key == order.key))
        column = table.c.value
        if order.kind == "metric":
            return query, column, case((table.c.is_nan, 1), (column.is_(None), 2), else_=0)
    return query, column, case((column.is_(None), 1), else_=0)


_EXPERIMENT_ATTRIBUTES = {
    "name": _EXPERIMENT.c.name,
    "experiment_id": _EXPERIMENT.c.id,
    "creation_time": _EXPERIMENT.c.created_at,
    "last_update_time": _EXPERIMENT.c.updated_at,
}


def _experiment_clause(condition: Condition, dialect: str) -> Clause:
    if condition.kind == "tag":
        having = select(_EXPERIMENT_TAG.c.experiment_id).where(_EXPERIMENT_TAG.c.key == condition.key)
        if condition.comparator in PRESENCE:
            inside = _EXPERIMENT.c.id.in_(having)
            return not_(inside) if condition.comparator == "IS NULL" else inside
        return _EXPERIMENT.c.id.in_(having.where(compare_text(_EXPERIMENT_TAG.c.value, condition, dialect)))
    column = _EXPERIMENT_ATTRIBUTES[condition.key]
    if condition.key == "experiment_id":
        return compare_text(column, _numbered(condition), dialect)
    if condition.key == "name":
        return compare_text(column, condition, dialect)
    return compare_moment(column, condition.comparator, condition.value)


def _experiment_order(order: Order, dialect: str) -> ColumnElement[Any]:
    if order.kind != "attribute":
        raise DataError(f"Invalid order_by entity: {order.kind}. Experiments are ordered by their attributes only")
    column = _EXPERIMENT_ATTRIBUTES[order.key]
    return in_order(column, dialect, ascending=order.ascending, text=order.key == "name")


def _numbered(condition: Condition) -> Condition:
    """A condition on ids, which come as texts, with numbers."""
    if condition.comparator in ("LIKE", "ILIKE"):
        raise DataError(f"Invalid comparator for experiment_id: {condition.comparator}")
    try:
        if isinstance(condition.value, tuple):
            value: Any = tuple(int(each) for each in condition.value)
        else:
            value = int(str(condition.value))
    except ValueError as error:
        raise DataError(f"Invalid experiment ID in {condition.value!r}: it must be a valid integer") from error
    return Condition(condition.kind, condition.key, condition.comparator, value)
