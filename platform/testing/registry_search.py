"""Searches by brute force: what a condition and an order mean, said plainly, as the oracle of the SQL."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cmp_to_key, partial
from typing import Any

from ..registry.grammar import Condition, Order
from ..registry.tracking import RunView

_OPERATORS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


def matches(view: RunView, condition: Condition) -> bool:
    """Whether a run has what a condition asks for."""
    if condition.kind == "dataset":
        named = "context" if condition.key == "context" else condition.key
        return any(_compare(getattr(dataset, named), condition) for dataset in view.datasets)
    return _compare(_value(view, condition.kind, condition.key), condition)


def ordered(found: Sequence[RunView], orders: Sequence[Order]) -> list[RunView]:
    """Runs in an order: values as asked, NaN after them, absent ones last; then newest first, then by id."""
    by_id = sorted(found, key=lambda view: view.id)
    newest = sorted(by_id, key=lambda view: view.created_at, reverse=True)
    for order in reversed(orders):
        newest.sort(key=cmp_to_key(partial(_before, order)))
    return newest


def _value(view: RunView, kind: str, key: str) -> Any:
    if kind == "metric":
        return next((metric.value for metric in view.metrics if metric.key == key), None)
    if kind in ("param", "tag"):
        if kind == "tag" and key in ("mlflow.runName", "mlflow.parentRunId"):
            return view.name if key == "mlflow.runName" else view.parent
        packed = (view.params if kind == "param" else view.tags).get(key)
        return None if packed is None else packed[0]
    if key in ("start_time", "end_time"):
        return view.created_at if key == "start_time" else view.ended_at
    plain = {"run_id": view.id, "run_name": view.name, "user_id": view.user_id, "artifact_uri": view.artifact_uri}
    return _STATUS[view.status] if key == "status" else plain[key]


def _compare(value: Any, condition: Condition) -> bool:
    wanted: Any = condition.value
    if isinstance(value, datetime):
        value = (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if condition.comparator in ("IS NULL", "IS NOT NULL"):
        return (value is None) == (condition.comparator == "IS NULL")
    if value is None:
        return False
    if condition.comparator in ("LIKE", "ILIKE"):
        return _like(value, wanted, 0 if condition.comparator == "LIKE" else re.IGNORECASE | re.ASCII)
    if condition.comparator in ("IN", "NOT IN"):
        return (value in wanted) == (condition.comparator == "IN")
    return bool(_OPERATORS[condition.comparator](value, wanted))


def _like(value: str, pattern: str, flags: int) -> bool:
    regex = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(regex, value, flags | re.DOTALL) is not None


def _before(order: Order, one: RunView, other: RunView) -> int:
    values = [_value(view, order.kind, order.key) for view in (one, other)]
    ranks = [2 if value is None else 1 if value != value else 0 for value in values]
    if ranks[0] != ranks[1]:
        return ranks[0] - ranks[1]
    if ranks[0] or values[0] == values[1]:
        return 0
    return (1 if values[0] > values[1] else -1) * (1 if order.ascending else -1)
