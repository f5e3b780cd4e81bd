"""The prediction log of an endpoint, read for a window of event time, each prediction once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import data
from ..core import DataError, Ref, Workspace, check_name
from ..registry import TableVersion

INSTANT = pa.timestamp("us", tz="UTC")
Window = tuple[datetime | None, datetime | None]


@runtime_checkable
class Named(Protocol):
    """Anything that names an endpoint, such as `raylake.serve.Endpoint`."""

    @property
    def name(self) -> str:
        """The endpoint's name."""
        ...


def endpoint_name(endpoint: str | Named) -> str:
    """The checked name of an endpoint given by name or as a handle.

    Example:
        >>> endpoint_name("delays")
        'delays'
    """
    return check_name(endpoint if isinstance(endpoint, str) else endpoint.name, "endpoint name")


def captured(
    ws: Workspace, endpoint: str, window: Window | None = None, *, columns: Sequence[str] | None = None
) -> tuple[TableVersion, pa.Table]:
    """The captured predictions whose event time ``at`` lies in the window, one row per id.

    The newest version of ``predictions.<endpoint>`` is recorded in the registry and read. An id that was captured
    twice (a client that repeated a request) keeps the answer received last.

    Args:
        ws: The workspace.
        endpoint: Name of the endpoint.
        window: Start (included) and end (excluded); ``None`` on either side leaves it open.
        columns: Columns to read besides ``id`` and ``received_at``; default all.

    Raises:
        NotFound: Nothing was captured yet.
        DataError: A time of the window has no time zone.
    """
    ref = Ref(endpoint, namespace="predictions")
    version = data.sync_table(ws, ref)
    wanted = None if columns is None else list(dict.fromkeys(["id", "received_at", *columns]))
    rows = data.table(ws, str(version.ref), columns=wanted, filter=_inside(window))
    return version, newest_per_id(rows, "received_at")


def newest_per_id(rows: pa.Table, time: str) -> pa.Table:
    """One row per ``id``: the one with the largest `time`, later rows winning ties; the order is kept.

    Example:
        >>> rows = pa.table({"id": ["a", "b", "a"], "t": [2, 5, 1], "x": [10, 20, 30]})
        >>> newest_per_id(rows, "t")["x"].to_pylist()
        [10, 20]
    """
    codes = rows["id"].combine_chunks().dictionary_encode()
    if len(codes.dictionary) == rows.num_rows:
        return rows
    times = rows[time].cast(pa.int64()).to_numpy()
    order = np.lexsort((times, codes.indices.to_numpy()))  # stable: later rows come last among equals
    ordered = codes.indices.to_numpy()[order]
    last = np.append(ordered[1:] != ordered[:-1], True)
    return rows.take(pa.array(np.sort(order[last])))


def _inside(window: Window | None) -> pc.Expression | None:
    start, end = window or (None, None)
    for moment in (start, end):
        if moment is not None and moment.tzinfo is None:
            raise DataError(f"time {moment} of the window has no time zone: use datetime(..., tzinfo=UTC)")
    parts = []
    if start is not None:
        parts.append(pc.field("at") >= pa.scalar(start, INSTANT))
    if end is not None:
        parts.append(pc.field("at") < pa.scalar(end, INSTANT))
    return None if not parts else parts[0] if len(parts) == 1 else parts[0] & parts[1]
