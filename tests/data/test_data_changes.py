"""Merge, SCD2, delete, replace, restore: against simple models in memory, by random sequences."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import ray
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raylake import data, registry
from raylake.core import ConfigError, DataError, NotFound, SchemaMismatch, Workspace

SCHEMA = pa.schema([("id", pa.int64()), ("part", pa.string()), ("n", pa.int64()), ("op", pa.string())])
START = datetime(2024, 1, 1, tzinfo=UTC)
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def rows_of(ws: Workspace, name: str = "t") -> list[dict[str, Any]]:
    return sorted(data.table(ws, name).to_pylist(), key=str)


def batch(*rows: tuple[int, str, int, str]) -> pa.Table:
    return pa.table(list(zip(*rows, strict=True)) if rows else [[], [], [], []], schema=SCHEMA)


rows = st.tuples(
    st.integers(0, 12), st.sampled_from(["a", "b", ""]), st.integers(0, 9), st.sampled_from(["U", "U", "D"])
)
batches = st.lists(rows, max_size=8, unique_by=lambda row: row[0])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("merge"), batches),
        st.tuples(st.just("delete"), st.integers(0, 9)),
        st.tuples(st.just("replace"), st.sampled_from(["a", "b"]), st.lists(st.integers(100, 120), unique=True)),
        st.tuples(st.just("append"), st.lists(st.integers(200, 205), min_size=1, max_size=2)),
        st.tuples(st.just("restore"), st.integers(0, 20)),
        st.tuples(st.just("compact")),
    ),
    min_size=1,
    max_size=8,
)


@QUICK
@given(steps, st.sampled_from([(), ("part",)]))
def test_any_sequence_of_changes_equals_the_model(sequence: list[Any], partition_by: tuple[str, ...]) -> None:
    """The model is a list of rows; a merge is a dictionary's update."""
    home = tempfile.mkdtemp()
    try:
        ws = Workspace.open(home)
        data.write(ws, "t", batch((0, "a", 0, "U")).drop_columns(["op"]), partition_by=partition_by, record=False)
        model = [(0, "a", 0)]
        past = {1: list(model)}
        for step in sequence:
            newest = data.versions(ws, "t")[-1].version
            if step[0] == "merge":
                given_rows = [row if partition_by == () else (row[0], row[1] or "c", *row[2:]) for row in step[1]]
                data.merge(
                    ws, "t", batch(*given_rows), key=["id"], delete_when=[("op", "==", "D")], omit=["op"], record=False
                )
                touched = {row[0] for row in given_rows}
                model = [row for row in model if row[0] not in touched] + [r[:3] for r in given_rows if r[3] == "U"]
            elif step[0] == "delete":
                data.delete(ws, "t", pc.field("n") == step[1], record=False)
                model = [row for row in model if row[2] != step[1]]
            elif step[0] == "replace":
                new = [(number, step[1], number) for number in step[2]]
                fresh = batch(*((*row, "U") for row in new)).drop_columns(["op"])
                data.replace(ws, "t", fresh, [("part", "==", step[1])], record=False)
                model = [row for row in model if row[1] != step[1]] + new
            elif step[0] == "append":
                new = [(number, "a", number) for number in step[1]]
                data.write(ws, "t", batch(*((*row, "U") for row in new)).drop_columns(["op"]), record=False)
                model = model + new
            elif step[0] == "restore":
                wanted = sorted(past)[step[1] % len(past)]
                data.restore(ws, f"t@{wanted}", record=False)
                model = list(past[wanted])
            else:
                data.compact(ws, "t", record=False)
            after = data.versions(ws, "t")[-1]
            assert after.version >= newest and after.rows == len(model)
            past[after.version] = list(model)
            assert sorted((r["id"], r["part"], r["n"]) for r in rows_of(ws)) == sorted(model)
        for version, expected in past.items():
            found = data.table(ws, f"t@{version}").to_pylist()
            assert sorted((r["id"], r["part"], r["n"]) for r in found) == sorted(expected)
    finally:
        shutil.rmtree(home)


states = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.sampled_from(["x", "y"]), st.booleans()), min_size=1, max_size=12
)


def expected_line(events: list[tuple[int, int, str, bool]]) -> list[tuple[int, str, int, int | None]]:
    """Brute force: the newest word on each instant, equal neighbours joined."""
    last = {(key, day): (value, ends) for key, day, value, ends in events}
    line = []
    for key in {key for key, _ in last}:
        days = sorted(day for other, day in last if other == key)
        kept: list[tuple[int, str | None]] = []
        for day in days:
            value = None if last[key, day][1] else last[key, day][0]
            if not kept or kept[-1][1] != value:
                kept.append((day, value))
        for index, (day, value) in enumerate(kept):
            if value is not None:
                line.append((key, value, day, kept[index + 1][0] if index + 1 < len(kept) else None))
    return sorted(line, key=str)


@QUICK
@given(states, st.data())
def test_a_dimension_equals_the_brute_force_time_line(events: list[Any], draw: st.DataObject) -> None:
    """In any order, late, repeated and split into any batches."""
    events = list({(key, day): (key, day, value, ends) for key, day, value, ends in events}.values())
    order = draw.draw(st.permutations(events))
    cut = draw.draw(st.integers(0, len(order)))
    home = tempfile.mkdtemp()
    try:
        ws = Workspace.open(home)
        for part in (order[:cut], order[cut:], order[:cut][::2]):
            if part:
                told = pa.table(
                    {
                        "id": [row[0] for row in part],
                        "value": [row[2] for row in part],
                        "since": [START + timedelta(days=row[1]) for row in part],
                        "ends": [row[3] for row in part],
                    }
                )
                data.scd2(
                    ws,
                    "d",
                    told,
                    key=["id"],
                    effective="since",
                    delete_when=pc.field("ends"),
                    omit=["ends"],
                    record=False,
                )
        found = data.table(ws, "d").to_pylist() if data.exists(ws, "d") else []
        line = [
            (r["id"], r["value"], (r["valid_from"] - START).days, r["valid_to"] and (r["valid_to"] - START).days)
            for r in found
        ]
        assert sorted(line, key=str) == expected_line(events)
        assert all(r["is_current"] == (r["valid_to"] is None) for r in found)
    finally:
        shutil.rmtree(home)
