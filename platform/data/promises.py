"""What holds for every row of a file, as far as the log tells: its partition and its statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# Other writers cut the statistics of times to milliseconds: the upper bound may lie that much too low.
CUT = timedelta(milliseconds=1)


def file_promise(action: dict[str, Any], schema: pa.Schema, partitions: Iterable[str]) -> pc.Expression:
    """What holds for every row of a file.

    deltalake's own dataset compares with a null bound where a bound is missing, which then excludes every row.
    """
    promise = partition_promise(action.get("partition") or {}, schema, partitions)
    low, high, nulls = (action.get(key) or {} for key in ("min", "max", "null_count"))
    for field in schema:
        least, greatest, missing = low.get(field.name), high.get(field.name), nulls.get(field.name)
        if least is None or greatest is None or missing is None or pa.types.is_nested(field.type):
            continue
        column = pc.field(field.name)
        if pa.types.is_timestamp(field.type) and isinstance(greatest, datetime):
            greatest += CUT
        between = (column >= _typed(least, field.type)) & (column <= _typed(greatest, field.type))
        promise = promise & (between if missing == 0 else between | column.is_null())
    return promise


def partition_promise(values: Mapping[str, Any], schema: pa.Schema, partitions: Iterable[str]) -> pc.Expression:
    """The values of the partition columns, which lie in the log and not in the file."""
    promise = pc.scalar(True)
    for name in partitions:
        value = values.get(name)
        known = pc.field(name).is_null() if value is None else pc.field(name) == _typed(value, schema.field(name).type)
        promise = promise & known
    return promise


def _typed(value: Any, dtype: pa.DataType) -> pa.Scalar:
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    if isinstance(value, str) and not pa.types.is_string(dtype):
        return pa.scalar(value).cast(dtype)
    if isinstance(value, date | datetime) or pa.types.is_string(dtype):
        return pa.scalar(value, dtype)
    return pa.scalar(value).cast(dtype)
