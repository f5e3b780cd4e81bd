"""Batches from row groups: the same for any number of workers, seekable, and nothing is held whole."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake import data, train
from raylake.core import ConfigError, DataError, NotFound, Workspace
from raylake.testing.learnable import START, label_frame, make_training
from raylake.train import plan, stream, survey
from raylake.train.plan import _split, make_plan, make_split
from raylake.train.prepared import Reader
from raylake.train.stream import Position, Stream


def cut_up(ws, rows):
    """The training rows of a label frame, in five files."""
    found = make_plan(ws, train.Spec(train.XGBoost(), make_training(ws, rows))).part(training=True)
    whole = data.table(ws, found.table)
    for first in range(0, 1000, 200):
        data.write(ws, "many", whole.slice(first, 200))
    return replace(found, table="many@5", groups=survey.Survey(ws, "many@5").groups(found.chosen))


@pytest.fixture
def pieces(ws, frame):
    """800 training rows."""
    return cut_up(ws, frame(1000))


@pytest.fixture(scope="module")
def pieces_once(tmp_path_factory):
    """As `pieces`, for many examples."""
    return cut_up(Workspace.open(tmp_path_factory.mktemp("stream"), ray_address="local"), label_frame(1000))


def rows_of(batches):
    return [
        tuple(np.append(row, label)) for b in batches for row, label in zip(b.rows.inputs, b.rows.labels, strict=True)
    ]


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_any_number_of_workers_sees_the_same_batches(pieces, workers):
    one = list(Stream(pieces, 64, 7).batches(epochs=2))
    many = [list(Stream(pieces, 64, 7, rank, workers).batches(epochs=2)) for rank in range(workers)]
    assert len({len(part) for part in many}) == 1 and len(one) == len(many[0]) == 2 * 13
    for index, batch in enumerate(one):
        shares = [part[index] for part in many]
        assert {share.position for share in shares} == {batch.position}
        assert sum(len(share.rows) for share in shares) == len(batch.rows) == batch.total
        assert Counter(map(str, rows_of(shares))) == Counter(map(str, rows_of([batch])))


def test_an_epoch_has_every_row_once_in_an_order_of_its_own(pieces):
    found = list(Stream(pieces, 64, 7).batches(epochs=2))
    first, second = (rows_of(b for b in found if b.position.epoch == epoch) for epoch in (0, 1))
    whole = Reader(pieces).span(pieces.groups, 0, pieces.rows)
    stored = [tuple(np.append(row, label)) for row, label in zip(whole.inputs, whole.labels, strict=True)]
    assert Counter(map(str, first)) == Counter(map(str, second)) == Counter(map(str, stored))
    assert len({str(first), str(second), str(stored)}) == 3
    assert str(first) == str(rows_of(Stream(pieces, 64, 7).batches()))
    assert str(first) != str(rows_of(Stream(pieces, 64, 8).batches()))


@settings(deadline=None, max_examples=20)
@given(epoch=st.integers(0, 2), step=st.integers(0, 12), window=st.sampled_from([1, 200, 65_536]))
def test_a_position_is_reached_without_replaying(pieces_once, epoch, step, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "SHUFFLE_ROWS", window)
        whole = list(Stream(pieces_once, 64, 1).batches(epochs=3))
        rest = list(Stream(pieces_once, 64, 1).batches(Position(epoch, step), 3))
    assert [b.position for b in rest] == [b.position for b in whole[13 * epoch + step :]]
    assert str(rows_of(rest)) == str(rows_of(whole[13 * epoch + step :]))


def test_a_reader_keeps_no_more_than_it_may(pieces):
    kept = Reader(pieces, cache=4000)
    small = kept.span(pieces.groups, 0, pieces.rows)
    assert len(kept._kept) == 1
    np.testing.assert_array_equal(small.inputs, Reader(pieces).span(pieces.groups, 0, pieces.rows).inputs)


def test_a_row_group_is_read_once_or_twice_an_epoch_however_small_the_cache(pieces, monkeypatch):
    read = []
    usual = Reader.table
    monkeypatch.setattr(Reader, "table", lambda self, group, columns: read.append(group) or usual(self, group, columns))
    monkeypatch.setattr(stream, "SHUFFLE_ROWS", 64)
    found = Stream(pieces, 64, 7)
    found._reader = Reader(pieces, cache=0, least=9)
    assert len(list(found.batches())) == 13 and len(read) <= 2 * (len(pieces.groups) + 8)


def test_what_cannot_be_shared(pieces):
    with pytest.raises(ConfigError, match=r"batch_size=1 cannot be split over 2 workers: use a multiple of 2"):
        Stream(pieces, 1, 0, 0, 2)
    with pytest.raises(DataError, match="800 rows cannot be shared by 801 workers"):
        Stream(pieces, 8010, 0, 0, 801)


def test_an_error_of_the_reading_thread_arrives(pieces, ws):
    found = Stream(pieces, 64, 0)
    shutil.rmtree(f"{ws.root}/tables/main/many")
    with pytest.raises(NotFound, match="many"):
        list(found.batches())


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 500), min_size=2, max_size=200), st.floats(0.05, 0.9), st.integers(1, 50))
def test_the_split_of_a_large_table_is_that_of_a_small_one(tmp_path_factory, hours, share, few):
    ws = Workspace.open(tmp_path_factory.mktemp("split"), ray_address="local")
    moments = pa.array([START + timedelta(hours=h) for h in hours], pa.timestamp("us", tz="UTC"))
    data.write(ws, "t", pa.table({"at": moments, "y": pa.array([True] * len(hours))}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "FEW_MOMENTS", few)
        patch.setattr(survey, "_BINS", 4)
        looked = survey.Survey(ws, "t@1")
        assert _split(looked, looked.facts("y", "at"), "at", share, "t@1") == make_split(
            pa.chunked_array([moments]), share, "t@1"
        )


def test_a_recipe_is_fitted_in_tasks_beyond_a_size(ray_ws, frame, training, monkeypatch):
    spec = train.Spec(train.MLP(), training(ray_ws, frame(300)))
    here = make_plan(ray_ws, spec)
    monkeypatch.setattr(plan, "INLINE_BYTES", 0)
    there = make_plan(ray_ws, spec)
    assert there.matrix_columns == here.matrix_columns
    np.testing.assert_allclose(there.matrix(here.train), here.matrix(here.train), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("inline", [True, False])
def test_rows_that_a_recipe_leaves_out_are_not_trained_on(ray_ws, frame, training, monkeypatch, inline):
    rows = frame(300)
    twice = pa.concat_tables([rows, rows.slice(0, 100).set_column(2, "wind", pa.array([99.0] * 100))])
    made = training(ray_ws, twice, columns=("distance", "wind"))
    recipe = data.Recipe([data.Validate(["wind"], most=25, on_broken="drop"), data.Deduplicate(["distance"]),
                          data.Scale(["distance"])])  # fmt: skip
    if not inline:
        monkeypatch.setattr(plan, "INLINE_BYTES", 0)
    found = make_plan(ray_ws, train.Spec(train.XGBoost(), made, recipe=recipe))
    whole = data.table(ray_ws, found.table, columns=["distance", "wind", "late", "at"])
    older = whole.filter(found.split.training("at"))
    expected = recipe.training_rows(older)
    assert expected.num_rows < older.num_rows
    assert found.train.select(expected.column_names).equals(expected)
    learned, wanted = (
        json.loads(each.to_json()) for each in (found.recipe, recipe.fit(older.select(["distance", "wind"])))
    )
    if not inline:  # sums of blocks are added in another order: the last bit of a mean may differ
        scaled, scale = (each["steps"][-1].pop("values")["distance"] for each in (learned, wanted))
        assert scaled == pytest.approx(scale, rel=1e-14)
    assert learned == wanted
    part = found.part(training=True)
    assert part.rows == expected.num_rows == len(Reader(part).span(part.groups, 0, part.rows))
    assert sum(len(batch.rows) for batch in Stream(part, 8, 0).batches()) == part.rows // 8 * 8
    looked = survey.Survey(ray_ws, found.table)
    places = np.arange(0, part.rows, 7)
    assert looked.take(["distance"], part.groups, part.chosen, places).equals(
        expected.select(["distance"]).take(pa.array(places))
    )
