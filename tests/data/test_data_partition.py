"""Splits: shares, strata, time and groups; the same in any order of rows; lineage."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake import data, registry
from raylake.core import ConfigError, DataError, NotFound, SchemaMismatch, Workspace
from raylake.data.partition import SplitBy, part_of_rows

PARTS = {"train": 0.7, "valid": 0.2, "test": 0.1}
visits = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["a", "b", None]), st.integers(0, 9)), max_size=80)


def frame(rows: list[tuple[Any, ...]]) -> pa.Table:
    group, stratum, hour = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    start = datetime(2024, 1, 1)
    return pa.table(
        {
            "id": pa.array(range(len(rows)), pa.int64()),
            "group": pa.array(group, pa.int64()),
            "stratum": pa.array(stratum, pa.string()),
            "at": pa.array([start + timedelta(hours=h) for h in hour], pa.timestamp("us")),
        }
    )


def by(**chosen: Any) -> SplitBy:
    return SplitBy(**{"key": (), "stratify": None, "time": None, "group": None, "seed": 0, **chosen})


@settings(max_examples=40, deadline=None)
@given(visits, st.randoms(use_true_random=False), st.integers(0, 5))
def test_parts_follow_the_rule_whatever_the_order(rows: list[Any], random: Any, seed: int) -> None:
    table, shares = frame(rows), list(PARTS.values())
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = table.take(pa.array(order, pa.int64()))
    for way in ({}, {"key": ("id",)}, {"stratify": "stratum"}, {"time": "at"}, {"group": "group"}):
        chosen = by(**way, seed=seed)
        places = part_of_rows(table, shares, chosen)
        assert np.array_equal(part_of_rows(shuffled, shares, chosen), places[order])
        assert set(places.tolist()) <= {0, 1, 2}
        found = list(zip(places.tolist(), rows, strict=True))
        if "group" in way:
            assert len({(part, row[0]) for part, row in found}) == len({row[0] for row in rows})
        if "time" in way:
            by_time = sorted(found, key=lambda item: item[1][2])
            assert [part for part, _ in by_time] == sorted(places.tolist())
            assert len({(part, row[2]) for part, row in found}) == len({row[2] for row in rows})
        if "stratify" in way:
            for stratum, count in Counter(row[1] for row in rows).items():
                own = Counter(part for part, row in found if row[1] == stratum)
                assert all(abs(own[part] - share * count) <= 1 for part, share in enumerate(shares))


def test_shares_seeds_and_growth() -> None:
    table = pa.table({"id": range(20_000)})
    places = part_of_rows(table, [0.7, 0.2, 0.1], by(key=("id",)))
    np.testing.assert_allclose(np.bincount(places) / 20_000, [0.7, 0.2, 0.1], atol=0.01)
    assert np.array_equal(part_of_rows(table.slice(0, 500), [0.7, 0.2, 0.1], by(key=("id",))), places[:500])
    other = part_of_rows(table, [0.7, 0.2, 0.1], by(key=("id",), seed=1))
    assert 0.4 < (other == places).mean() < 0.65  # 0.54 by chance


def test_parts_become_tables_with_lineage(tmp_path: Path) -> None:
    ws = Workspace.open(str(tmp_path))
    rows = pa.table({"id": range(200), "patient": [f"p{i % 20}" for i in range(200)]})
    first = data.write(ws, "clinic.visits", rows)
    data.write(ws, "clinic.visits", pa.table({"id": [999], "patient": ["new"]}))
    made = data.split(ws, "clinic.visits@1", PARTS, key="id")
    assert sum(version.rows for version in made.values()) == 200
    tables = [data.table(ws, f"clinic.visits_{part}") for part in PARTS]
    assert sorted(pa.concat_tables(tables)["id"].to_pylist()) == list(range(200))
    for version in made.values():
        assert [edge.source for edge in registry.upstream(ws, version.node)] == [first.node]
    again = data.split(ws, "clinic.visits@1", PARTS, key="id")
    assert again["train"].version == made["train"].version + 1
    assert data.table(ws, "clinic.visits_train").equals(tables[0])


def test_a_mask_holds_the_keys_and_the_part(tmp_path: Path) -> None:
    ws = Workspace.open(str(tmp_path))
    data.write(ws, "visits", pa.table({"id": range(50), "x": [0.5] * 50}))
    made = data.split(ws, "visits", PARTS, key=["id"], mask="visits_parts")
    assert {part: str(version) for part, version in made.items()} == dict.fromkeys(PARTS, "visits_parts@1")
    mask = data.table(ws, "visits_parts")
    assert mask.column_names == ["id", "part"] and mask.num_rows == 50
    apart = data.split(ws, "visits", PARTS, key=["id"])
    assert Counter(mask["part"].to_pylist()) == {part: version.rows for part, version in apart.items()}


def test_a_part_may_be_empty(tmp_path: Path) -> None:
    ws = Workspace.open(str(tmp_path))
    data.write(ws, "few", pa.table({"id": [1]}))
    made = data.split(ws, "few", {"train": 0.5, "test": 0.5}, key="id")
    assert sorted(version.rows for version in made.values()) == [0, 1]
    assert data.table(ws, "few_train").column_names == ["id"]


def test_mistakes_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    ws = Workspace.open(str(tmp_path))
    data.write(ws, "visits", pa.table({"id": [1, 2], "at": pa.nulls(2, pa.timestamp("us"))}))
    halves = {"train": 0.5, "test": 0.5}
    cases: list[tuple[type[Exception], str, Any]] = [
        (ConfigError, "sum of 1", lambda: data.split(ws, "visits", {"train": 0.8, "test": 0.1})),
        (ConfigError, "above 0", lambda: data.split(ws, "visits", {"train": 1.5, "test": -0.5})),
        (ConfigError, "stratify and time", lambda: data.split(ws, "visits", halves, stratify="id", time="at")),
        (ConfigError, "mask= needs key=", lambda: data.split(ws, "visits", halves, mask="m")),
        (SchemaMismatch, "'nope'", lambda: data.split(ws, "visits", halves, group="nope")),
        (DataError, "'at' is null in 2 rows", lambda: data.split(ws, "visits", halves, time="at")),
        (NotFound, "gone", lambda: data.split(ws, "gone", halves)),
    ]
    for kind, said, call in cases:
        with pytest.raises(kind, match=said):
            call()
    assert not data.exists(ws, "visits_train")


def test_splitting_names_its_settings(tmp_path: Path) -> None:
    ws = Workspace.open(str(tmp_path))
    data.write(ws, "visits", pa.table({"id": range(10)}))
    data.split(ws, "visits", {"train": 0.5, "test": 0.5}, key="id", seed=4)
    version = data.versions(ws, "visits_train")[-1]
    assert version.operation == "split"
    from deltalake import DeltaTable

    stored = json.dumps(DeltaTable(ws.table_url(version.ref)).history(1), default=str)
    assert "seed" in stored and "train" in stored


@pytest.mark.parametrize("how", [{}, {"key": "id"}, {"stratify": "stratum"}, {"time": "at"}, {"group": "who"}])
def test_a_streamed_table_splits_like_one_in_memory(
    ws: Workspace, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raylake.data.scan._BATCH_ROWS", 64)
    draw = np.random.default_rng(0)
    for start in range(0, 3000, 1000):
        part = pa.table(
            {
                "id": np.arange(start, start + 1000),
                "stratum": draw.choice(["a", "b"], 1000),
                "at": pa.array(draw.integers(0, 50, 1000)).cast(pa.timestamp("us", "UTC")),
                "who": draw.integers(0, 40, 1000),
            }
        )
        data.write(ws, "visits", part)
    made = data.split(ws, "visits", PARTS, **how)
    whole = data.table(ws, "visits")
    options = {"stratify": None, "time": None, "group": None, **{k: v for k, v in how.items() if k != "key"}}
    chosen = SplitBy(key=(how["key"],) if "key" in how else (), seed=0, **options)
    places = part_of_rows(whole, list(PARTS.values()), chosen)
    for number, version in enumerate(made.values()):
        rows = data.table(ws, version.ref)["id"].to_pylist()
        assert rows == whole.filter(pa.array(places == number))["id"].to_pylist()


def test_an_empty_table_splits_into_empty_ones(ws: Workspace) -> None:
    data.write(ws, "visits", frame([]))
    how: dict[str, Any]
    for how in ({}, {"stratify": "stratum"}, {"time": "at"}, {"group": "group"}):
        made = data.split(ws, "visits", PARTS, **how)
        assert [version.rows for version in made.values()] == [0, 0, 0]
