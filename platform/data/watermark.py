"""Event time: how far a source has come, and which events are too late for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..core import duration
from .expectations import Expectation
from .file_writer import NewFile
from .source import Source


@dataclass(frozen=True, slots=True)
class InTime(Expectation):
    """Rows whose event time lies at or after the bound; part of a source's rules while it has a watermark."""

    @property
    def name(self) -> str:
        """Without the bound, which moves with every batch."""
        return f"late({self.columns[0]})"

    def failing(self, table: pa.Table) -> Any:
        """Mask of the rows before the bound."""
        self.check_columns(table.schema)
        column = table.column(self.columns[0])
        bound = pa.scalar(self.arguments[0]).cast(column.type)
        return pc.fill_null(pc.less(column, bound), False)


def refuse_late(source: Source, watermark: str | None) -> Source:
    """The source with the rule that its watermark implies, before all others so that late rows are blamed on it.

    Args:
        source: The source.
        watermark: Newest event time of all earlier batches, ISO 8601, or ``None``.

    Example:
        >>> from raylake.data import Csv
        >>> clicks = Source("clicks", Csv("*.csv"), event_time="at", lateness="10m")
        >>> refuse_late(clicks, "2026-01-01T12:00:00+00:00").expectations[0].arguments[0].isoformat()
        '2026-01-01T11:50:00'
    """
    if watermark is None or source.lateness is None or source.late == "keep" or source.event_time is None:
        return source
    bound = datetime.fromisoformat(watermark).astimezone(UTC).replace(tzinfo=None) - duration(source.lateness)
    rule = InTime("late", (source.event_time,), (bound,), source.late)
    return replace(source, expectations=(rule, *source.expectations))


def newest_event(files: Sequence[NewFile], column: str | None, before: str | None) -> str | None:
    """The watermark after a batch: the newest event time in its files' statistics, or the one before.

    Statistics round up to milliseconds; one is taken off, so that the watermark never runs ahead of the events.
    """
    if column is None:
        return before
    found = [json.loads(file.stats).get("maxValues", {}).get(column) for file in files]
    moments = [_moment(text) - timedelta(milliseconds=1) for text in found if isinstance(text, str)]
    known = [] if before is None else [datetime.fromisoformat(before)]
    return max([*moments, *known]).isoformat() if moments or known else None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
