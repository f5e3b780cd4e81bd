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

from raylake import data
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
    """Batches follow time, and come again in part; within a batch, states stand in any order."""
    events = list({(key, day): (key, day, value, ends) for key, day, value, ends in events}.values())
    border = draw.draw(st.integers(0, 7))
    early = draw.draw(st.permutations([event for event in events if event[1] < border]))
    late = draw.draw(st.permutations([event for event in events if event[1] >= border]))
    home = tempfile.mkdtemp()
    try:
        ws = Workspace.open(home)
        for part in (early, late, early[::2]):
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


def test_a_merge_leaves_files_alone_that_no_key_touches(ws: Workspace) -> None:
    for start in range(0, 100, 10):
        data.write(ws, "t", pa.table({"id": list(range(start, start + 10, 2)), "n": [0] * 5}))
    before = set(DeltaTable(str(Path(ws.root, "tables/main/t"))).file_uris())
    version = data.merge(ws, "t", pa.table({"id": [42, 43, 200], "n": [1, 1, 1]}), key=["id"])
    assert version.metrics == {
        "rows_updated": 1,
        "rows_inserted": 2,
        "rows_deleted": 0,
        "rows_stale": 0,
        "files_rewritten": 1,
    }
    after = set(DeltaTable(ws.table_url(version.ref)).file_uris())
    assert len(before & after) == 9
    assert version.rows == 52


def test_the_newest_word_counts_in_any_order(ws: Workspace) -> None:
    def told(*rows: tuple[int, int, str]) -> pa.Table:
        return pa.table({"id": [r[0] for r in rows], "at": [r[1] for r in rows], "v": [r[2] for r in rows]})

    data.merge(ws, "t", told((1, 5, "old"), (1, 7, "new"), (2, 1, "x")), key=["id"], newest="at")
    late = data.merge(ws, "t", told((1, 6, "late"), (2, 2, "y")), key=["id"], newest="at")
    assert late.metrics["rows_stale"] == 1
    assert [(row["id"], row["v"]) for row in rows_of(ws)] == [(1, "new"), (2, "y")]


def test_a_key_that_is_there_twice_becomes_one_row(ws: Workspace) -> None:
    for _ in range(2):
        data.write(ws, "t", pa.table({"id": [1, 1, 2], "n": [0, 0, 0]}))
    data.merge(ws, "t", pa.table({"id": [1], "n": [9]}), key=["id"])
    assert [(row["id"], row["n"]) for row in rows_of(ws)] == [(1, 9), (2, 0), (2, 0)]


def test_repeated_transactions_change_nothing(ws: Workspace) -> None:
    for mode in range(2):
        one = data.merge(ws, "m", pa.table({"id": [1], "n": [1]}), key=["id"], app=("job", 1))
        two = data.scd2(ws, "s", pa.table({"id": [1], "n": [1]}), key=["id"], app=("job", 1))
        data.write(ws, "d", pa.table({"id": [1, 2]}), app=("job", 1))
        three = data.delete(ws, "d", [("id", "==", 1)], app=("job", 2))
        four = data.replace(ws, "r", pa.table({"id": [1]}), [("id", "==", 1)], app=("job", 1))
        assert [one.version, two.version, three.version, four.version] == [1, 1, 2, 1]
        if mode == 0:
            data.write(ws, "d", pa.table({"id": [1]}))
    assert sorted(row["id"] for row in rows_of(ws, "d")) == [1, 2]


@pytest.mark.parametrize("partition_by", [(), ("s",)])
def test_all_kinds_of_columns_survive_a_rewrite(ws: Workspace, partition_by: tuple[str, ...]) -> None:
    table = pa.table(
        {
            "id": [1, 2, 3],
            "s": ["a/b", None, "é"],
            "f": [float("nan"), 1.5, None],
            "t": pa.array([START, None, START], pa.timestamp("us", "UTC")),
            "list": [[1, None], [], None],
            "inner": [{"x": 1, "y": "a"}, None, {"x": None, "y": None}],
            "raw": [b"\x00", None, b""],
        }
    )
    data.write(ws, "t", table, partition_by=partition_by)
    data.merge(ws, "t", table.slice(1, 1), key=["id"])
    assert str(rows_of(ws)) == str(sorted(table.to_pylist(), key=str))
    told = data.changes(ws, "t", since=1)
    assert told.num_rows == 0, "an equal row is no change"
    data.delete(ws, "t", pc.field("id") == 3)
    assert [(row["id"], row["_change_type"]) for row in data.changes(ws, "t", since=2).to_pylist()] == [(3, "delete")]


def test_schema_evolves_in_a_merge_when_allowed(ws: Workspace) -> None:
    data.write(ws, "t", pa.table({"id": [1, 2]}))
    wider = pa.table({"id": [2], "more": ["x"]})
    with pytest.raises(SchemaMismatch, match="unknown columns"):
        data.merge(ws, "t", wider, key=["id"])
    data.merge(ws, "t", wider, key=["id"], schema_mode="evolve")
    assert rows_of(ws) == [{"id": 1, "more": None}, {"id": 2, "more": "x"}]
    with pytest.raises(SchemaMismatch, match=r"'id' is string but the table has int64"):
        data.merge(ws, "t", pa.table({"id": ["2"], "more": ["x"]}), key=["id"])
    with pytest.raises(SchemaMismatch, match=r"lacks columns \['more'\]"):
        data.merge(ws, "t", pa.table({"id": [2]}), key=["id"])


def test_wrong_batches_are_refused_by_name(ws: Workspace) -> None:
    data.write(ws, "t", pa.table({"id": [1], "f": [1.5]}))
    for bad, key, error, words in (
        (pa.table({"id": [None, 1], "f": [1.0, 2.0]}), ["id"], DataError, "no key"),
        (pa.table({"id": [1, 1], "f": [1.0, 2.0]}), ["id"], DataError, "more than once"),
        (pa.table({"id": [1], "f": [1.0]}), ["f"], SchemaMismatch, "compared exactly"),
        (pa.table({"id": [1], "f": [1.0]}), ["x"], SchemaMismatch, "not in table"),
        (pa.table({"id": [1], "f": [1.0]}), [], ConfigError, "identify a row"),
    ):
        with pytest.raises(error, match=words):
            data.merge(ws, "t", bad, key=key)
    with pytest.raises(SchemaMismatch, match="nothing"):
        data.delete(ws, "t", [("nothing", "==", 1)])
    with pytest.raises(ConfigError, match="no filter"):
        data.delete(ws, "t", None)
    with pytest.raises(DataError, match="does not mean"):
        data.replace(ws, "t", pa.table({"id": [2], "f": [1.0]}), [("id", "==", 1)])
    with pytest.raises(NotFound):
        data.delete(ws, "unknown", [("id", "==", 1)])
    assert data.versions(ws, "t")[-1].version == 1
    assert len(list(Path(ws.root, "tables/main/t").glob("*.parquet"))) == 1


def test_tables_with_rules_of_other_programs_are_refused(ws: Workspace) -> None:
    path = str(Path(ws.root, "tables/main/checked"))
    write_deltalake(path, pa.table({"n": [1]}))
    DeltaTable(path).alter.add_constraint({"positive": "n > 0"})
    with pytest.raises(SchemaMismatch, match="the constraint positive"):
        data.write(ws, "checked", pa.table({"n": [-1]}))
    log = str(Path(ws.root, "tables/main/log"))
    write_deltalake(log, pa.table({"n": [1]}), configuration={"delta.appendOnly": "true"})
    data.write(ws, "log", pa.table({"n": [2]}))
    for change in (
        lambda: data.delete(ws, "log", [("n", "==", 1)]),
        lambda: data.merge(ws, "log", pa.table({"n": [1]}), key=["n"]),
        lambda: data.restore(ws, "log@0"),
    ):
        with pytest.raises(SchemaMismatch, match="appendOnly"):
            change()
    strict = str(Path(ws.root, "tables/main/strict"))
    write_deltalake(strict, pa.table({"n": [1]}, schema=pa.schema([pa.field("n", pa.int64(), nullable=False)])))
    with pytest.raises(SchemaMismatch, match="allows no null"):
        data.write(ws, "strict", pa.table({"n": pa.array([None], pa.int64())}))


def test_files_of_other_programs_with_odd_names_are_changed_too(ws: Workspace) -> None:
    """Partition values with spaces, slashes, percent signs: the log escapes their folders twice."""
    rows = pa.table({"p": ["a b", "a/b", "x%y", "é", None], "n": [1, 2, 3, 4, 5]})
    write_deltalake(str(Path(ws.root, "tables/main/f")), rows, partition_by=["p"])
    data.merge(ws, "f", pa.table({"p": ["a b", "z"], "n": [1, 2]}), key=["n"])
    data.delete(ws, "f", pc.field("p") == "é")
    expected = [("a b", 1), ("x%y", 3), ("z", 2), (None, 5)]
    assert sorted(((row["p"], row["n"]) for row in rows_of(ws, "f")), key=str) == sorted(expected, key=str)
    assert data.vacuum(ws, "f", keep_hours=0) == 3
    assert len(rows_of(ws, "f")) == 4


def test_a_dataset_merges_and_replaces(ray_ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when so much changes that Ray tasks write the files."""
    import importlib

    monkeypatch.setattr(importlib.import_module("raylake.data.rewrite"), "_INLINE_BYTES", 0)
    for start in (0, 100):
        data.write(ray_ws, "t", pa.table({"id": range(start, start + 100), "n": [0] * 100}))
    batch_rows = ray.data.from_arrow([pa.table({"id": [1, 150], "n": [1, 1]}), pa.table({"id": [300], "n": [1]})])
    version = data.merge(ray_ws, "t", batch_rows, key=["id"])
    assert (version.rows, version.metrics["files_rewritten"]) == (201, 2)
    some = ray.data.from_arrow(pa.table({"id": [150, 151], "n": [7, 7]}))
    assert data.replace(ray_ws, "t", some, pc.field("id") >= 150).rows == 152
    table = data.table(ray_ws, "t").sort_by("id")
    assert np.flatnonzero(table["n"].to_numpy()).tolist() == [1, 150, 151]
