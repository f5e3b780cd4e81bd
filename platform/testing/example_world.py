"""The small world that the examples in docstrings speak of: a trained, registered, deployed and asked model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from .. import data, features, monitor, pipelines, registry, serve, train
from ..core import Workspace
from .learnable import FEATURES, label_frame

JULY = (datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC))
MOMENT = "scheduled_at"


@dataclass(frozen=True, slots=True)
class ExampleWorld:
    """What the examples in docstrings speak of: each field is a name that they use.

    Attributes:
        ws: A workspace with a table ``flights``.
        training: 500 labelled flights of January 2013.
        spec: What was fitted on them.
        run: Its finished run; registered as ``flight-delay@champion``.
        endpoint: The deployed endpoint ``flight-delay``; it answered 100 flights of July, whose labels are known.
        renderer: A rendering process to share between reports.
        doubling: A pipeline of two steps; it answers four times its parameter.
        doubled: Its finished run for 3.
    """

    ws: Workspace
    training: features.TrainingSet
    spec: train.Spec
    run: registry.Run
    endpoint: serve.Endpoint
    renderer: monitor.Renderer
    doubling: pipelines.Pipeline
    doubled: pipelines.PipelineRun


@pipelines.step
def double(x: int) -> int:
    """Twice a number."""
    print(f"doubling {x}")  # noqa: T201  (an example of a step that has a log)
    return 2 * x


@pipelines.pipeline
def doubling(start: int = 1) -> object:
    """Four times a number."""
    return double(double(start))


def make_world(folder: Path) -> ExampleWorld:
    """Build the world; Ray must be connected."""
    ws = Workspace.open(folder, ray_address="local", http_port=0, registry_url="", online_url="")
    data.write(ws, "flights", _flights(500))
    training = features.training_set(
        ws,
        "flights",
        labels="flights",
        label="late",
        event_time=MOMENT,
        feature_set=features.FeatureSet("flights", [], passthrough=FEATURES),
    )
    spec = train.Spec(train.XGBoost(rounds=20, max_depth=3), training, name="flight-delay")
    run = train.fit(ws, spec)
    registry.register(ws, run, name="flight-delay", alias="champion")
    endpoint = serve.deploy(ws, "flight-delay@champion", autoscale=serve.Autoscale(1, 1))
    _ask(endpoint, _flights(100, seed=1, start=JULY[0]))
    doubled = pipelines.run(ws, doubling, start=3)
    return ExampleWorld(ws, training, spec, run, endpoint, monitor.Renderer(), doubling, doubled)


def _flights(rows: int, **options: Any) -> pa.Table:
    frame = label_frame(rows, **options)
    return frame.rename_columns([MOMENT if name == "at" else name for name in frame.column_names])


def _ask(endpoint: serve.Endpoint, flights: pa.Table) -> None:
    ids = [f"flight-{number}" for number in range(flights.num_rows)]
    rows = flights.select([MOMENT, *FEATURES]).to_pylist()
    body = {"ids": ids, "rows": [{**row, MOMENT: row[MOMENT].isoformat()} for row in rows]}
    httpx.post(endpoint.predict_url, json=body, timeout=30).raise_for_status()
    serve.wait_captured(endpoint.ws, endpoint.name, len(ids))
    known = pa.array([JULY[1]] * len(ids), pa.timestamp("us", tz="UTC"))
    monitor.add_labels(endpoint.ws, endpoint.name, pa.table({"id": ids, "label": flights["late"], "known_at": known}))
