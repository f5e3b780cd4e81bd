"""Profiles: right figures, the same in process and on Ray, remembered, and safe to show."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raylake import data, registry
from raylake.core import NotFound, SchemaMismatch, Workspace
from raylake.data import scan

ROWS = 20_000


def _table() -> pa.Table:
    random = np.random.default_rng(11)
    delay = random.exponential(20.0, ROWS)
    start = datetime(2013, 1, 1, tzinfo=UTC)
    return pa.table(
        {
            "id": pa.array([f"f{row:06d}" for row in range(ROWS)]),
            "origin": pa.array(random.choice(["EWR", "JFK", "LGA"], ROWS, p=[0.5, 0.3, 0.2])),
            "delay": pa.array(delay, mask=random.random(ROWS) < 0.25),
            "twice": 2 * delay,
            "hour": pa.array(random.integers(0, 24, ROWS)),
            "year": pa.array([2013] * ROWS),
            "at": pa.array([start + timedelta(hours=int(hour)) for hour in random.integers(0, 8760, ROWS)]),
            "cancelled": pa.array(random.random(ROWS) < 0.01),
        }
    )


def test_figures(ws: Workspace) -> None:
    table = _table()
    found = data.profile(ws, data.write(ws, "flights", table).ref)
    assert found.table == "flights@1" and found.rows == ROWS and list(found.columns) == table.column_names
    delay = found.columns["delay"]
    known = table["delay"].drop_null().to_numpy()
    assert delay.missing == table["delay"].null_count and delay.mean == pytest.approx(known.mean())
    assert delay.low == known.min() and delay.high == known.max()
    assert delay.quantiles["0.5"] == pytest.approx(np.median(known), rel=0.05)
    assert sum(rows for _, _, rows in delay.histogram) == pytest.approx(len(known), abs=20)
    first, third = np.quantile(known, (0.25, 0.75))
    assert delay.outliers == pytest.approx((known > third + 1.5 * (third - first)).mean(), abs=0.01)
    assert found.columns["origin"].top[0][0] == "EWR" and found.columns["origin"].distinct == 3
    assert found.columns["id"].distinct == pytest.approx(ROWS, rel=0.05)
    assert found.columns["hour"].histogram[0][:2] == (0, 2)
    assert found.columns["at"].low.startswith("2013-01-01")
    assert found.correlations[0] == ("twice", "delay", 1.0)


def test_notes_say_what_to_look_at(ws: Workspace) -> None:
    found = data.profile(ws, data.write(ws, "flights", _table()).ref).columns
    assert "constant" in found["year"].notes[0]
    assert "a key" in found["id"].notes[0]
    assert "25% of the values are missing" in found["delay"].notes[0]
    assert "imbalanced" in found["cancelled"].notes[0]
    assert found["origin"].notes == ()


def test_ray_tasks_find_the_same(ray_ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    table = _table()
    for part in range(4):
        version = data.write(ray_ws, "flights", table.slice(part * 5000, 5000))
    here = data.profile(ray_ws, version.ref, record=False)
    monkeypatch.setattr(scan, "INLINE_BYTES", 0)
    monkeypatch.setattr(scan, "_PART_BYTES", 1)
    there = data.profile(ray_ws, version.ref, record=False)
    assert there.rows == here.rows == ROWS and list(there.columns) == list(here.columns)
    for name, column in here.columns.items():
        other = there.columns[name]
        assert (other.missing, other.distinct, other.low, other.high) == (
            column.missing,
            column.distinct,
            column.low,
            column.high,
        )
        assert other.top == column.top


def test_it_is_remembered_with_its_lineage(ws: Workspace, tmp_path: Path) -> None:
    version = data.write(ws, "flights", _table())
    found = data.profile(ws, "flights")
    (run,) = data.profiles(ws, "flights")
    folder = registry.fetch_folder(ws, run.artifact or "", tmp_path / "copy")
    assert json.loads((folder / "profile.json").read_text())["columns"]["hour"]["distinct"] == 24
    assert (folder / "profile.html").read_text() == found.to_html()
    assert [edge.target for edge in registry.downstream(ws, version.node)] == [run.node]
    assert run.metrics["rows"] == ROWS and run.metrics["missing_share"] == pytest.approx(0.25 / 8, rel=0.1)


def test_some_columns_only(ws: Workspace) -> None:
    data.write(ws, "flights", _table())
    assert list(data.profile(ws, "flights", columns=["hour"], record=False).columns) == ["hour"]
    with pytest.raises(SchemaMismatch, match=r"no columns \['speed'\]; it has \['id', 'origin'"):
        data.profile(ws, "flights", columns=["speed"])
    with pytest.raises(NotFound, match="has no version 7"):
        data.profile(ws, "flights@7")
    assert data.profiles(ws, "flights") == []


def test_a_table_without_rows(ws: Workspace) -> None:
    data.write(ws, "empty", pa.table({"n": pa.array([], pa.int64()), "s": pa.array([], pa.string())}))
    found = data.profile(ws, "empty")
    assert found.rows == 0 and found.columns["n"].mean is None and found.columns["s"].distinct == 0
    assert "no values" in found.to_html()


def test_nothing_in_the_data_becomes_markup(ws: Workspace) -> None:
    evil = '<script>alert(1)</script>" onload="x'
    data.write(ws, "evil", pa.table({evil: [evil, evil, "b"], "n": [1, 2, 3]}))
    page = data.profile(ws, "evil").to_html()
    assert "<script" not in page and 'onload="x' not in page and "&lt;script&gt;" in page


def test_page_is_self_contained(ws: Workspace) -> None:
    data.write(ws, "flights", _table())
    page = data.profile(ws, "flights").to_html()
    assert "http" not in page.replace("http-equiv", "") and "src=" not in page and "default-src 'none'" in page
