"""Ground truth: exactly once by id, corrections by time, late and early labels, and the join to the log."""

from __future__ import annotations

import tempfile
from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monitor_world import INSTANT, World, moment

from raylake import data, registry
from raylake.core import DataError, NotFound, SchemaMismatch, Workspace, WorkspaceBusy, exclusive
from raylake.monitor import add_labels, scored, truth


def labels(*rows: tuple[str, int, int]) -> pa.Table:
    """Rows of id, label, day of July on which it became known."""
    return pa.table(
        {
            "id": [row[0] for row in rows],
            "label": [row[1] for row in rows],
            "known_at": pa.array([moment(7) + timedelta(days=row[2]) for row in rows], INSTANT),
        }
    )


def stored(ws: Workspace) -> dict[str, float]:
    return dict(zip(*(truth(ws, "delays")[name].to_pylist() for name in ("id", "label")), strict=True))


def test_repeating_a_batch_or_a_part_of_it_changes_nothing(ws: Workspace) -> None:
    first = add_labels(ws, "delays", labels(("x", 0, 1), ("y", 1, 1)))
    again = add_labels(ws, "delays", labels(("x", 0, 1), ("y", 1, 1)))
    part = add_labels(ws, "delays", labels(("y", 1, 5), ("z", 1, 2)))
    assert again.version == first.version
    assert part.rows == 3
    assert data.table(ws, "truth.delays").num_rows == 3
    counts = [event.payload for event in registry.events(ws, kind="labels-added")]
    assert counts[1] == {"rows": 2, "new": 0, "corrected": 0, "repeated": 2, "ignored": 0}
    assert counts[2] == {"rows": 2, "new": 1, "corrected": 0, "repeated": 1, "ignored": 0}


def test_a_later_correction_wins_and_an_earlier_one_is_ignored(ws: Workspace) -> None:
    add_labels(ws, "delays", labels(("x", 0, 5)))
    add_labels(ws, "delays", labels(("x", 1, 9)))
    add_labels(ws, "delays", labels(("x", 0, 7)))
    assert stored(ws) == {"x": 1}
    assert truth(ws, "delays", as_of=moment(7, 8))["label"].to_pylist() == [0]
    last = registry.events(ws, kind="labels-added")[-1].payload
    assert last["ignored"] == 1


def test_duplicates_inside_one_batch_are_one(ws: Workspace) -> None:
    add_labels(ws, "delays", labels(("x", 0, 1), ("x", 0, 1), ("x", 1, 2)))
    assert stored(ws) == {"x": 1}
    assert data.table(ws, "truth.delays").num_rows == 1


def test_two_labels_of_one_moment_are_refused_and_nothing_is_written(ws: Workspace) -> None:
    with pytest.raises(DataError, match="id 'x' has two different labels known at 2013-07-02"):
        add_labels(ws, "delays", labels(("x", 0, 1), ("x", 1, 1)))
    assert not data.exists(ws, "truth.delays")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.integers(0, 9)), max_size=5),
        min_size=1,
        max_size=4,
    )
)
def test_the_newest_label_of_each_id_is_in_force(batches: list[list[tuple[str, int, int]]]) -> None:
    ws = Workspace.open(tempfile.mkdtemp(), registry_url="", online_url="")
    newest: dict[str, tuple[int, int]] = {}
    for number, batch in enumerate(batches):
        distinct = {row[0]: row for row in batch}
        rows = [(name, label, 10 * number + day) for name, label, day in distinct.values()]
        add_labels(ws, "delays", labels(*rows))
        add_labels(ws, "delays", labels(*rows))
        newest |= {name: (label, day) for name, label, day in rows}
    assert stored(ws) == {name: label for name, (label, _) in newest.items()}
    if newest:
        whole = data.table(ws, "truth.delays")
        keys = zip(whole["id"].to_pylist(), whole["known_at"].to_pylist(), strict=True)
        assert len(set(keys)) == whole.num_rows


def test_labels_before_the_prediction_are_joined_later(ws: Workspace) -> None:
    world = World(ws, rows=600)
    champion = world.deploy(moment(7))
    july = moment(7), moment(8)
    add_labels(ws, "delays", world.labels(*july, known_at=moment(7)))
    with pytest.raises(NotFound):
        scored(ws, "delays")
    world.serve(*july, champion)
    found = scored(ws, "delays", july)
    assert found["id"].to_pylist() == world.between(*july)["id"].to_pylist()
    assert found["label"].to_pylist() == world.between(*july)["label"].to_pylist()
    assert scored(ws, "delays", july, as_of=moment(6)).num_rows == 0
    assert scored(ws, "delays", (moment(8), None)).num_rows == 0


def test_a_request_captured_twice_counts_once(ws: Workspace) -> None:
    world = World(ws, rows=600)
    champion = world.deploy(moment(7))
    july = moment(7), moment(8)
    world.serve(*july, champion)
    world.serve(*july, champion)
    add_labels(ws, "delays", world.labels(*july, known_at=moment(8)))
    assert scored(ws, "delays").num_rows == world.between(*july).num_rows


def test_messages_say_what_is_missing(ws: Workspace) -> None:
    with pytest.raises(SchemaMismatch, match="lack the column 'label'; they have id"):
        add_labels(ws, "delays", pa.table({"id": ["x"]}))
    with pytest.raises(DataError, match="1 labels have no label"):
        add_labels(ws, "delays", pa.table({"id": ["x"], "label": pa.array([None], pa.int8())}))
    with pytest.raises(SchemaMismatch, match="do not fit"):
        add_labels(ws, "delays", pa.table({"id": ["x"], "label": ["late"]}))
    with exclusive(ws, "labels-delays"), pytest.raises(WorkspaceBusy):
        add_labels(ws, "delays", labels(("x", 0, 1)))


def test_booleans_are_labels(ws: Workspace) -> None:
    add_labels(ws, "delays", pa.table({"id": ["x", "y"], "label": [True, False]}))
    assert stored(ws) == {"x": 1.0, "y": 0.0}


def test_a_month_of_27000_labels_is_quick(ws: Workspace) -> None:
    import time

    rows = 27_000
    batch = pa.table({"id": [f"r{i}" for i in range(rows)], "label": [0, 1] * (rows // 2)})
    add_labels(ws, "delays", batch)
    started = time.process_time()
    add_labels(ws, "delays", batch)
    assert time.process_time() - started < 2
