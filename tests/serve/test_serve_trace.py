"""From a prediction's id back to files, tables, features, run and code."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from serve_models import LIVE_ROW, ROW, StandIn, register_level, store_weather

from raylake import data, registry, serve
from raylake.core import Node, NotFound, Workspace
from raylake.features import FeatureSet, FeatureView, TrainingSet, training_set
from raylake.registry import ModelVersion
from raylake.serve.capture import Answered, to_table
from raylake.serve.decoder import Request
from raylake.serve.predictor import Predictor
from raylake.serve.replica import capture_writer
from raylake.train.environment import environment

SEEN = datetime(2013, 1, 1, 6, tzinfo=UTC)


@pytest.fixture
def made(ws: Workspace, tmp_path: Path) -> tuple[TrainingSet, ModelVersion]:
    """Raw file, table, view, training set, run and model, by the code that really makes them."""
    (tmp_path / "weather.csv").write_text("origin,seen,temp\nJFK,2013-01-01T06:00:00Z,39.5\n")
    source = data.Source("weather", data.Csv(str(tmp_path / "weather.csv")), key=["origin", "seen"])
    data.ingest(ws, source)
    view = FeatureView("weather", "origin", event_time="seen", table="weather", columns=["temp"], ttl="3h")
    flights = pa.table({"origin": ["JFK"], "at": [SEEN], "late": [True]})
    labels = data.write(ws, "flights", flights)
    wanted = FeatureSet("delay", [view])
    training = training_set(ws, "late", labels=labels, label="late", event_time="at", feature_set=wanted)
    tags = {"environment": environment(Path(__file__).parent)}
    run = registry.start_run(ws, "train", "xgboost", inputs=[training.node], tags=tags)
    run = registry.finish_run(ws, run.id, metrics={"auc": 0.7}, artifact=registry.put_bytes(ws, b"model"))
    model = registry.register(ws, run, name="delay", alias="champion")
    registry.record_deployment(ws, "delays", model, target="delay@champion")
    return training, model


def capture(ws: Workspace, request_id: str, number: int, *, version: int = 1, ids: list[str] | None = None) -> None:
    """Answer two rows and write them to the log, as a replica does: one commit."""
    predictor = Predictor(StandIn(constant=number), None, "delay", version)
    columns = {name: [value] * 2 for name, value in ROW.items()}
    request = Request(columns, 2, **({} if ids is None else {"ids": ids}))
    answered = Answered(predictor.predict([request])[0], predictor, request_id, 1_700_000_000.0 + number, 0.002)
    capture_writer(ws, "delays")(to_table([answered]), (f"replica-{request_id}", number))
    data.sync_table(ws, "predictions.delays")


def test_from_an_id_to_files_and_code(ws: Workspace, made: tuple[TrainingSet, ModelVersion]) -> None:
    training, model = made
    capture(ws, "aaaa-1", 1)
    found = serve.trace(ws, "aaaa-1#1")
    assert (found.prediction.id, found.prediction.endpoint) == ("aaaa-1#1", "delays")
    assert found.prediction.value == ROW["distance"] + 1
    assert found.prediction.inputs["origin"] == "JFK" and "model" not in found.prediction.inputs
    assert found.prediction.log == Node("table", "predictions.delays", "1")
    assert found.model == model
    assert found.run is not None and found.run.id == model.run_id
    assert found.training == (training.node,)
    assert {node.kind for node in found.features} == {"feature-set", "view"}
    assert [node.name for node in found.feature_tables] == ["features.weather"]
    assert {str(node) for node in found.tables} == {"table:main.weather@1", "table:main.flights@1"}
    assert [node.name.rpartition("/")[2] for node in found.files] == ["weather.csv"]
    assert found.code is not None and len(found.code.commit) == 40
    text = repr(found)
    assert "delay@1 (champion)" in text and "training.late@1" in text and found.code.commit in text
    shown = found._repr_html_()
    assert "<svg" in shown and "weather.csv" in shown


def test_a_request_of_one_row_is_found_by_its_request_id(ws: Workspace, made: object) -> None:
    capture(ws, "aaaa-1", 1)
    assert serve.trace(ws, "aaaa-1").prediction.id == "aaaa-1#0"


def test_files_that_cannot_hold_the_id_are_not_opened(ws: Workspace, made: object) -> None:
    for number, prefix in enumerate(("aaaa", "bbbb", "cccc"), 1):
        capture(ws, f"{prefix}-1", number)
    folder = Path(ws.table_url(registry.table_version(ws, "predictions.delays").ref))
    files = sorted(folder.rglob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    for file in (files[0], files[2]):
        file.unlink()
    assert serve.trace(ws, "bbbb-1#0").prediction.value == ROW["distance"] + 2
    with pytest.raises(OSError):
        serve.trace(ws, "aaaa-1#0")


def test_the_answer_given_last_wins(ws: Workspace, made: object) -> None:
    capture(ws, "r1", 5, ids=["mine", "yours"])
    capture(ws, "r2", 9, ids=["mine", "other"])
    assert serve.trace(ws, "mine", endpoint="delays").prediction.request_id == "r2"


def test_a_model_without_a_run(ws: Workspace) -> None:
    raw = Node("table", "main.flights", "3")
    model = registry.register_artifact(ws, "0" * 64, name="delay", inputs=[raw])
    capture(ws, "aaaa-1", 1)
    found = serve.trace(ws, "aaaa-1#0")
    assert (found.model, found.run, found.code) == (model, None, None)
    assert found.tables == (raw,) == found.training


def test_what_is_not_there_is_said(ws: Workspace, made: object) -> None:
    with pytest.raises(NotFound, match="no prediction log"):
        serve.trace(ws, "x")
    with pytest.raises(NotFound, match="'nowhere' has no prediction log"):
        serve.trace(ws, "x", endpoint="nowhere")
    capture(ws, "aaaa-1", 1)
    with pytest.raises(NotFound, match=r"'zzz' is not in the log \(searched: predictions.delays\)"):
        serve.trace(ws, "zzz")


@pytest.mark.slow
def test_an_answer_of_a_running_endpoint(ray_ws: Workspace, tmp_path: Path) -> None:
    store_weather(ray_ws)
    model = register_level(ray_ws, tmp_path / "v1", 0.25, alias="champion")
    endpoint = serve.deploy(ray_ws, "delay@champion", autoscale=serve.Autoscale(1, 1))
    try:
        answer = httpx.post(endpoint.predict_url, json={"rows": [LIVE_ROW]}, timeout=30).json()
        serve.wait_captured(ray_ws, "delay", 1)
    finally:
        serve.shutdown(ray_ws)
    found = serve.trace(ray_ws, answer["id"])
    assert found.model.node == model.node
    assert found.prediction.value == pytest.approx(answer["predictions"][0])
    assert found.prediction.inputs["temp"] == 60.0  # as the model saw it, looked up online
    assert str(Node("endpoint", "delay")) in {str(edge.target) for edge in found.graph.edges}
