"""What differs: runs, model versions, tables; as values, text, HTML, frames."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raylake import registry
from raylake.core import DataError, Node, NotFound, Workspace

ENVIRONMENT = {"git": {"commit": "a" * 40, "dirty": False}, "libraries": {"xgboost": "3.1"}, "python": "3.11.7"}


def model_folder(folder: Path, columns: list[list[str]]) -> Path:
    folder.mkdir()
    info = {"signature": {"columns": columns, "label": "late", "task": "binary"}, "flavour": "xgboost"}
    (folder / "model.json").write_text(json.dumps(info))
    return folder


def fitted(ws: Workspace, version: int, **options: Any) -> registry.Run:
    """A run on a version of the training table."""
    raw = Node("table", "main.flights", str(version))
    training = Node("table", "training.late", str(version))
    registry.add_lineage(ws, [raw], [training])
    tags = {"environment": options.pop("environment", ENVIRONMENT), "owner": "ann"}
    params = {"trainer": {"depth": options.pop("depth", 4)}, "seed": 0}
    run = registry.start_run(ws, "train", "x", params=params, inputs=[training], tags=tags)
    return registry.finish_run(ws, run.id, **options)


def test_runs(ws: Workspace) -> None:
    newer = {**ENVIRONMENT, "git": {"commit": "b" * 40, "dirty": True}, "libraries": {"xgboost": "3.2"}}
    one = fitted(ws, 1, metrics={"auc": 0.7, "nan": math.nan})
    other = fitted(ws, 2, depth=6, metrics={"auc": 0.75, "nan": math.nan, "rows": 9.0}, environment=newer)
    found = registry.compare(ws, one, other.id)
    assert found.part("parameter") == {"trainer.depth": (4, 6)}
    assert found.part("metric") == {"auc": (0.7, 0.75), "rows": (None, 9.0)}
    assert found.part("data") == {"table:training.late": ("1", "2")}
    assert found.part("code") == {"commit": ("a" * 40, "b" * 40), "dirty": (False, True)}
    assert found.part("library") == {"xgboost": ("3.1", "3.2")}
    assert found.part("tag") == {} == found.part("environment")
    assert found.differences[0].change == pytest.approx(0.05)
    assert registry.compare(ws, one, one).differences == ()


def test_model_versions(ws: Workspace, tmp_path: Path) -> None:
    columns = [["distance", "double"], ["carrier", "string"]]
    for version in (1, 2):
        folder = model_folder(tmp_path / str(version), columns[: version + 0] if version == 1 else columns)
        run = fitted(ws, version, artifact=registry.put_folder(ws, folder), metrics={"auc": 0.7})
        registry.register(ws, run, name="delay", alias="champion")
    found = registry.compare(ws, "delay@1", "delay@champion")
    assert (found.kind, found.a, found.b) == ("model", "delay@1", "delay@2")
    assert found.part("schema") == {"carrier": (None, "string")}
    assert found.part("data") == {"table:training.late": ("1", "2"), "table:main.flights": ("1", "2")}
    assert found.part("model")["aliases"] == (None, "champion")
    assert found.part("metric") == {}


def test_tables(ws: Workspace) -> None:
    first = registry.record_table(ws, "flights", 1, rows=10, schema={"id": "int64", "x": "int64"}, operation="ingest")
    schema = {"id": "int64", "x": "double", "new": "string"}
    registry.record_table(ws, "flights", 2, rows=15, schema=schema, operation="ingest", metrics={"rows_written": 5})
    registry.add_lineage(ws, [Node("file", "a.csv")], [first.node])
    found = registry.compare(ws, "flights@1", "flights")
    assert found.part("table")["rows"] == (10, 15)
    assert found.part("schema") == {"x": ("int64", "double"), "new": (None, "string")}
    assert found.part("metric") == {"rows_written": (None, 5)}
    assert found.part("data") == {"file:a.csv": ("used", None)}


def test_of_one_kind_only(ws: Workspace) -> None:
    table = registry.record_table(ws, "delay", 1, rows=1, schema={}, operation="write")
    model = registry.register_artifact(ws, "0" * 64, name="delay")
    assert registry.compare(ws, "delay@1", model.node).kind == "model"
    assert registry.compare(ws, table.node, "table:main.delay@1").kind == "table"
    with pytest.raises(DataError, match=r"write model:name@3 or table:main.name@3"):
        registry.compare(ws, model, table)
    with pytest.raises(DataError, match="cannot be compared"):
        registry.compare(ws, "endpoint:delays", "endpoint:delays")
    for unknown in ("nothing", "f" * 32, "delay@7"):
        with pytest.raises(NotFound):
            registry.compare(ws, unknown, model)


def test_views(ws: Workspace) -> None:
    one = fitted(ws, 1, metrics={"auc": 0.7, "<b>": 1.0})
    other = fitted(ws, 1, metrics={"auc": 0.8, "<b>": 2.0})
    found = registry.compare(ws, one, other)
    assert "2 differences" in str(found) and "+0.1" in str(found)
    assert "<b>" not in found._repr_html_() and "&lt;b&gt;" in found._repr_html_()
    frame = found.to_pandas()
    changes = dict(zip(frame["name"], frame["change"].round(6), strict=True))
    assert changes == {"auc": 0.1, "<b>": 1.0}
    console = Console(width=100, record=True, file=(Path(ws.root) / "out").open("w"))
    console.print(found)
    assert "[" not in str(found.part("metric").get("missing", ""))
    assert "0.8" in console.export_text()


def test_lists_as_frames_load_pandas_only_then(ws: Workspace) -> None:
    fitted(ws, 1, metrics={"auc": 0.7})
    frame = registry.to_pandas(registry.runs(ws))
    assert frame.loc[0, "metrics.auc"] == 0.7 and frame.loc[0, "inputs"] == ["table:training.late@1"]
    assert registry.to_pandas([]).empty
    with pytest.raises(DataError, match="is no record"):
        registry.to_pandas(["x"])


def test_every_record_shows_itself_and_escapes(ws: Workspace) -> None:
    nasty = "<script>alert(1)</script>"
    raw = registry.record_table(ws, "flights", 1, rows=1, schema={nasty: nasty}, operation=nasty, source=nasty)
    run = registry.start_run(ws, "fit", nasty, params={nasty: [nasty]}, tags={"a": {nasty: nasty}}, inputs=[raw.node])
    run = registry.finish_run(ws, run.id, artifact="0" * 64, error=nasty)
    model = registry.register(ws, run, name="m", alias="champion", description=nasty)
    shown = [
        raw, run, model, registry.models(ws)[0], registry.upstream(ws, model.node)[0],
        registry.record_event(ws, nasty, Node("file", nasty), {nasty: nasty}),
        registry.record_alert(ws, severity="info", subject=Node("file", nasty), message=nasty),
        registry.record_deployment(ws, "e", model, target=nasty, url=nasty),
    ]  # fmt: skip
    for record in shown:
        page = record._repr_html_()
        assert "<script" not in page, type(record)
        assert type(record).__name__ in page
