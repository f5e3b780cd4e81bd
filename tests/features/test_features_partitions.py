"""The join on Ray gives what the join in process gives, whatever the blocks and partitions."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from feature_cases import STAMP, at

from raylake.core import ConfigError, SchemaMismatch, Workspace
from raylake.features import join_as_of, join_as_of_dataset

NAMES: dict[str, Any] = {
    "keys": ["k", "n"], "label_time": "t", "event_time": "e", "created_time": "c", "columns": ["x", "s"], "ttl": "5h",
}  # fmt: skip


def _tables(rows: int) -> tuple[pa.Table, pa.Table]:
    dice = random.Random(3)
    moment = lambda: dice.choice([None, *(at(h) for h in range(24))])  # noqa: E731
    keys = {
        "k": pa.array([dice.choice(["a", "b", "ü", None]) for _ in range(rows)]),
        "n": pa.array([dice.choice([1, 2, -3, None]) for _ in range(rows)], pa.int64()),
    }
    labels = pa.table(keys | {"t": pa.array([moment() for _ in range(rows)], STAMP), "row": list(range(rows))})
    values = pa.table(
        {name: column.take(pa.array(dice.sample(range(rows), rows))) for name, column in keys.items()}
        | {"e": pa.array([moment() for _ in range(rows)], STAMP), "c": pa.array([moment() for _ in range(rows)], STAMP)}
        | {"x": [dice.random() for _ in range(rows)], "s": [dice.choice(["yes", None]) for _ in range(rows)]}
    )
    return labels, values


def _blocks(table: pa.Table, count: int) -> Any:
    import ray

    size = -(-table.num_rows // count)
    return ray.data.from_arrow([table.slice(i * size, size).combine_chunks() for i in range(count)])


@pytest.mark.parametrize(("left", "right", "partitions"), [(1, 1, None), (3, 2, 4), (4, 3, 1), (1, 5, 7)])
def test_same_answer_in_the_same_order(ray_ws: Workspace, left: int, right: int, partitions: int | None) -> None:
    labels, values = _tables(300)
    joined = join_as_of_dataset(ray_ws, _blocks(labels, left), _blocks(values, right), partitions=partitions, **NAMES)
    found = pa.concat_tables(__import__("ray").get(joined.to_arrow_refs()))
    expected = join_as_of(labels, values, **NAMES)
    assert expected["x"].null_count < 300
    assert found.to_pydict() == expected.to_pydict() and found.schema.equals(expected.schema)


def test_a_narrow_and_a_wide_key_meet_in_the_same_partition(ray_ws: Workspace) -> None:
    labels, values = _tables(200)
    narrow = labels.set_column(1, "n", labels["n"].cast(pa.int16())).set_column(0, "k", labels["k"].dictionary_encode())
    joined = join_as_of_dataset(ray_ws, _blocks(narrow, 2), _blocks(values, 2), partitions=5, **NAMES)
    found = pa.concat_tables(__import__("ray").get(joined.to_arrow_refs()))
    assert found["x"].to_pylist() == join_as_of(labels, values, **NAMES)["x"].to_pylist()


def test_what_cannot_be_right_is_refused_before_a_task_starts(ray_ws: Workspace) -> None:
    labels, values = _tables(10)
    with pytest.raises(SchemaMismatch, match="'y' is missing"):
        join_as_of_dataset(ray_ws, _blocks(labels, 1), _blocks(values, 1), **(NAMES | {"columns": ["y"]}))
    with pytest.raises(ConfigError, match="partitions 0"):
        join_as_of_dataset(ray_ws, _blocks(labels, 1), _blocks(values, 1), partitions=0, **NAMES)
