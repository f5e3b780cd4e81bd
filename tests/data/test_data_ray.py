"""What runs on Ray: Datasets in and out, large sources, errors from tasks, fits on Datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import ray

from raylake import data
from raylake.core import DataError, ExpectationFailed, SchemaMismatch, SourceError, StorageError, Workspace


def rows(count: int, start: int = 0) -> pa.Table:
    ids = np.arange(start, start + count)
    return pa.table({"id": ids, "word": [f"w{number % 7}" for number in ids], "x": ids / 3})


def test_a_dataset_is_one_version_and_comes_back(ray_ws: Workspace) -> None:
    version = data.write(ray_ws, "big", ray.data.from_arrow([rows(500, at) for at in range(0, 5000, 500)]))
    assert (str(version), version.rows, version.metrics["files"]) == ("big@1", 5000, 1)
    data.write(ray_ws, "big", rows(10, 5000))
    pinned = data.read(ray_ws, "big@1", columns=["id"], filter=pc.field("id") >= 4990)
    assert sorted(row["id"] for row in pinned.take_all()) == list(range(4990, 5000))
    assert data.read(ray_ws, "big").count() == 5010
    assert data.read(ray_ws, "big", filter=[("id", "<", 0)]).count() == 0
    assert data.table(ray_ws, "big").sort_by("id")["x"].to_pylist() == rows(5010)["x"].to_pylist()


def test_a_repeated_dataset_transaction_writes_nothing(ray_ws: Workspace) -> None:
    dataset = ray.data.from_arrow(rows(10))
    first = data.write(ray_ws, "once", dataset, app=("job", 1))
    assert data.write(ray_ws, "once", dataset, app=("job", 1)) == first
    assert data.table(ray_ws, "once").num_rows == 10


def test_datasets_may_be_partitioned_and_overwrite(ray_ws: Workspace) -> None:
    data.write(ray_ws, "parts", ray.data.from_arrow(rows(70)), partition_by=["word"])
    assert data.table(ray_ws, "parts", filter=[("word", "==", "w3")]).num_rows == 10
    assert data.read(ray_ws, "parts", filter=[("word", "==", "w3")]).count() == 10
    assert data.write(ray_ws, "parts", ray.data.from_arrow(rows(7)), mode="overwrite").rows == 7


def test_a_dataset_that_does_not_fit_leaves_nothing(ray_ws: Workspace) -> None:
    data.write(ray_ws, "t", rows(5))
    with pytest.raises(SchemaMismatch, match="'extra'"):
        data.write(ray_ws, "t", ray.data.from_arrow(rows(5).append_column("extra", pa.array([1] * 5))))
    assert data.table(ray_ws, "t").num_rows == 5
    assert len(list(Path(ray_ws.root, "tables/main/t").glob("*.parquet"))) == 1


def failing(batch: pa.Table) -> pa.Table:
    raise ValueError("this row is odd")


def test_errors_of_tasks_are_ours(ray_ws: Workspace) -> None:
    dataset = ray.data.from_arrow(rows(5)).map_batches(failing, batch_format="pyarrow")
    with pytest.raises(DataError, match=r"a function of the Dataset .* failed: ValueError: this row is odd"):
        data.write(ray_ws, "t", dataset)
    assert not data.exists(ray_ws, "t")
    Path(ray_ws.root, "tables/main/blocked").write_text("in the way")
    with pytest.raises(StorageError):
        data.write(ray_ws, "blocked", ray.data.from_arrow(rows(5)))


def grow(batch: pa.Table) -> pa.Table:
    return batch.append_column("more", batch["id"]) if batch["id"][0].as_py() else batch


def test_blocks_that_differ_are_refused(ray_ws: Workspace) -> None:
    blocks = ray.data.from_arrow([rows(5), rows(5, 5)]).map_batches(grow, batch_format="pyarrow", batch_size=None)
    with pytest.raises(SchemaMismatch, match="different columns") as caught:
        data.write(ray_ws, "t", blocks)
    assert type(caught.value) is SchemaMismatch
    assert list(Path(ray_ws.root).rglob("*.parquet")) == []


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source counts as large."""
    import importlib

    monkeypatch.setattr(importlib.import_module("raylake.data.ingest"), "_INLINE_BYTES", -1)


def put(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(["id,miles", *lines]) + "\n")


def test_a_large_source_is_read_by_tasks(ray_ws: Workspace, tmp_path: Path, large: None) -> None:
    for number in range(6):
        put(tmp_path, f"{number}.csv", f"{number},1", f"x{number},2", f"{number},3")
    source = data.Source(
        "trips", data.Csv(str(tmp_path / "*.csv")), schema={"id": "int64", "miles": "int64"}, key=["id"]
    )
    version = data.ingest(ray_ws, source)
    assert (version.rows, version.metrics["rows_quarantined"], version.metrics["files"]) == (6, 12, 1)
    assert data.ingest(ray_ws, source) == version
    assert data.table(ray_ws, "quarantine.trips").num_rows == 12


def test_a_task_that_fails_leaves_no_file(ray_ws: Workspace, tmp_path: Path, large: None) -> None:
    put(tmp_path, "a.csv", "1,1")
    (tmp_path / "b.csv").write_bytes(b"id,miles\n\xe9,1\n")
    schema = {"id": "string", "miles": "int64"}
    source = data.Source("trips", data.Csv(str(tmp_path / "*.csv")), schema=schema)
    with pytest.raises(SourceError, match=r"b\.csv") as caught:
        data.ingest(ray_ws, source)
    assert type(caught.value) is SourceError
    (tmp_path / "b.csv").unlink()
    put(tmp_path, "c.csv", "1,x")
    with pytest.raises(ExpectationFailed, match="not a valid int64"):
        data.ingest(ray_ws, source, quarantine=False)
    assert list(Path(ray_ws.root).rglob("*.parquet")) == []


def test_fits_on_a_dataset_and_on_a_table_agree(ray_ws: Workspace) -> None:
    generator = np.random.default_rng(1)
    x = np.where(generator.random(400) < 0.2, np.nan, generator.normal(size=400))
    table = pa.table(
        {"x": pa.array(x, from_pandas=True), "y": generator.integers(0, 5, 400), "w": ["a", "b", None, "c"] * 100}
    )
    recipe = data.Recipe(
        [
            data.Impute(["x"], "median"),
            data.Scale(["x", "y"]),
            data.Impute(["w"], "most_frequent"),
            data.OneHot(["w"]),
        ]
    )
    one = recipe.fit(table)
    other = recipe.fit(ray.data.from_arrow([table.slice(at, 100) for at in range(0, 400, 100)]))
    assert one.output_columns == other.output_columns
    assert one.steps[0] == other.steps[0] and one.steps[2:] == other.steps[2:]
    left, right = (fitted.apply(table) for fitted in (one, other))
    for name in one.output_columns:
        np.testing.assert_allclose(left[name].to_numpy(), right[name].to_numpy(), rtol=1e-6, atol=1e-7)


def test_every_kind_of_summary_merges_over_the_blocks_of_a_dataset(ray_ws: Workspace) -> None:
    generator = np.random.default_rng(2)
    table = pa.table(
        {
            "plane": pa.array([["a", "b", None, "c"][at] for at in generator.integers(0, 4, 400)]),
            "x": pa.array(
                np.where(generator.random(400) < 0.2, np.nan, generator.lognormal(size=400)), from_pandas=True
            ),
            "y": generator.normal(size=400),
            "late": generator.integers(0, 2, 400),
        }
    )
    recipe = data.Recipe(
        [
            data.Impute(["x"], "median", by="plane"),
            data.Clip(["x", "y"]),
            data.YeoJohnson(["x"]),
            data.Scale(["x", "y"], "robust"),
            data.TargetEncode(["plane"], "late"),
        ]
    )
    one = recipe.fit(table)
    other = recipe.fit(ray.data.from_arrow([table.slice(at, 90) for at in range(0, 400, 90)]))
    assert one.to_json() == other.to_json()
    assert one.input_columns == ("plane", "x", "y")
