"""What a source read, merged into its table by key instead of appended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pds
from deltalake import DeltaTable

from ..core import Workspace, urls
from .arrow_types import storable_schema
from .commits import Committed
from .file_writer import remove_files
from .keyed import BATCH_ROW, check_key, frame_of, newest_of_each
from .merge import plan_merge
from .promises import partition_promise
from .rewrite import Plan, Rewriting, rewrite
from .scd2 import plan_scd2, states_of
from .source import Source
from .uniqueness import Pending


def commit_keyed(
    ws: Workspace, source: Source, pending: Pending, app: tuple[str, int], facts: Mapping[str, Any]
) -> Committed:
    """Merge the rows of uncommitted files by the source's key, in one commit; the files themselves are removed.

    Of several rows with one key the one with the newest event time counts, without an event time the last one read.

    Args:
        ws: The workspace.
        source: A source whose mode is ``merge`` or ``scd2``.
        pending: The files.
        app: Application transaction (id, version).
        facts: Facts kept beside the commit.
    """
    batch = _read(pending)
    check_key(source.key, pending.schema, pending.url)
    key, evolve = list(source.key), source.schema_mode == "evolve"
    if source.mode == "scd2":
        rows = states_of(
            _last_of_each(batch, [*key, *filter(None, [source.event_time])]), key, source.event_time, (), pending.url
        )
    else:
        newest = source.event_time
        rows = _last_of_each(batch, key) if newest is None else newest_of_each(batch, key, newest, pending.url)
    nothing_ends = np.zeros(rows.num_rows, dtype=bool)

    def make_plan(table: DeltaTable) -> Plan:
        if source.mode == "scd2":
            return plan_scd2(table, pending.url, rows, nothing_ends, key, evolve=evolve)
        return plan_merge(table, pending.url, rows, nothing_ends, key, source.event_time, evolve=evolve)

    creates = storable_schema(rows.schema)
    job = Rewriting(source.ref, "ingest", app, source.schema_mode, {**facts, "key": key}, creates, pending.partitions)
    done = rewrite(ws, job, make_plan)
    remove_files(pending.url, [file.path for file in pending.files])
    return done


def _read(pending: Pending) -> pa.Table:
    store, folder = urls.filesystem(pending.url)
    layout = pds.ParquetFileFormat()
    parts = [
        layout.make_fragment(
            f"{folder}/{file.path}", store, partition_promise(file.partition, pending.schema, pending.partitions)
        )
        for file in pending.files
    ]
    return pds.FileSystemDataset(parts, pending.schema, layout).to_table()


def _last_of_each(batch: pa.Table, key: list[str]) -> pa.Table:
    frame = frame_of(batch, key).with_row_index(BATCH_ROW)
    last = frame.unique(key, keep="last").sort(BATCH_ROW)
    return batch if last.height == batch.num_rows else batch.take(pl.Series(last[BATCH_ROW]).to_arrow())
