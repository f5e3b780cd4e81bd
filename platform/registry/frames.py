"""Records as data frames and as plain JSON types."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from ..core import DataError, Node, Ref

if TYPE_CHECKING:
    import pandas as pd

_SPREAD = frozenset({"params", "metrics"})  # what people sort and plot by gets columns of its own


def to_pandas(records: Iterable[Any]) -> pd.DataFrame:
    """Records of one kind as a data frame: a row each, a column per field.

    Parameters and metrics become columns of their own, ``metrics.auc``; lineage nodes and references become text.

    Args:
        records: What `runs`, `tables`, `model_versions`, `upstream`, ... return.

    Raises:
        DataError: Something is no record.

    Example:
        >>> import tempfile
        >>> from raylake.core import Workspace
        >>> from raylake.registry import finish_run, runs, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> for depth in (4, 6):
        ...     run = start_run(ws, "fit", "x", params={"depth": depth})
        ...     run = finish_run(ws, run.id, metrics={"auc": depth / 10})
        >>> to_pandas(runs(ws))[["params.depth", "metrics.auc"]].sort_values("metrics.auc").values.tolist()
        [[4.0, 0.4], [6.0, 0.6]]
    """
    import pandas as pd

    return pd.DataFrame([_row(record) for record in records])


def _row(record: Any) -> dict[str, Any]:
    if not is_dataclass(record) or isinstance(record, type):
        raise DataError(f"{record!r:.100} is no record: give what runs, tables, model_versions, ... return")
    row: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in _SPREAD and isinstance(value, dict):
            row |= {f"{field.name}.{name}": item for name, item in value.items()}
        else:
            row[field.name] = _plain(value)
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, Node | Ref):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def plain_record(value: Any) -> Any:
    """A record, or anything made of records, as plain JSON types: nodes as text, times as ISO 8601, NaN as null.

    Example:
        >>> plain_record({"node": Node("model", "m", "3"), "auc": float("nan")})
        {'node': 'model:m@3', 'auc': None}
    """
    if isinstance(value, Node | Ref):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_record(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain_record(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_record(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
