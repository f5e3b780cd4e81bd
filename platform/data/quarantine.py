"""Rows that cannot be accepted: kept as JSON beside the reason."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from .arrow_types import UTC_MICROSECONDS

QUARANTINE_SCHEMA = pa.schema(
    [("reason", pa.string()), ("row", pa.string()), ("source_file", pa.string()), ("ingested_at", UTC_MICROSECONDS)]
)


def rejected(rows: pa.Table, reasons: list[str], file: str) -> pa.Table:
    """The rows as they go to quarantine, one reason each.

    Example:
        >>> out = rejected(pa.table({"n": ["x"]}), ["n: 'x' is not a valid int64"], "a.csv")
        >>> out["row"].to_pylist(), out["source_file"].to_pylist()
        (['{"n":"x"}'], ['a.csv'])
    """
    texts = [orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS).decode() for row in rows.to_pylist()]
    return _table(reasons, texts, file)


def rejected_lines(broken: tuple[tuple[str, str], ...], file: str) -> pa.Table:
    """Lines that are not rows, as they go to quarantine."""
    texts = [orjson.dumps({"line": text}).decode() for _, text in broken]
    return _table([reason for reason, _ in broken], texts, file)


def take_failing(rows: pa.Table, mask: pa.Array | pa.ChunkedArray) -> tuple[pa.Table, pa.Table]:
    """Split rows into (kept, failing)."""
    return rows.filter(pc.invert(mask)), rows.filter(mask)


def _table(reasons: list[str], texts: list[str], file: str) -> pa.Table:
    now = datetime.now(UTC)
    count = len(texts)
    return pa.table([reasons, texts, [file] * count, [now] * count], schema=QUARANTINE_SCHEMA)
