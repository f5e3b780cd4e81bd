"""A small world to monitor: a year of requests whose concept turns in July, and models fitted in milliseconds."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import xgboost

from raylake import data, registry
from raylake.core import Workspace
from raylake.monitor import auc
from raylake.registry import ModelVersion, Run
from raylake.train.folder import Description, write_info, write_reference
from raylake.train.signature import Signature

INSTANT = pa.timestamp("us", tz="UTC")
INPUTS = ("a", "b", "carrier")
FAKE = """
import json, sys
for line in sys.stdin:
    job = json.loads(line)
    for name in ("html", "json"):
        open(job[name], "w").write("{}")
    print(json.dumps({"skipped": []}), flush=True)
"""


def moment(month: int, day: int = 1) -> datetime:
    return datetime(2013, month, day, tzinfo=UTC)


class World:
    """Requests from January to October 2013; from July on the label follows `b` instead of `a`."""

    endpoint = "delays"

    def __init__(self, ws: Workspace, rows: int = 12_000, *, turn: bool = True, drift: float = 0.0) -> None:
        self.ws = ws
        random = np.random.default_rng(0)
        seconds = np.sort(random.uniform(0, 300 * 86_400, rows))
        at = [moment(1) + timedelta(seconds=float(s)) for s in seconds]
        late = np.array([time >= moment(7) for time in at])
        a, b = random.normal(size=rows), random.normal(size=rows) + drift * late
        logit = np.where(late & turn, 2.0 * (b - drift * late), 2.0 * a)
        self.rows = pa.table(
            {
                "id": [f"r{i}" for i in range(rows)],
                "at": pa.array(at, INSTANT),
                "a": a,
                "b": b,
                "carrier": random.integers(0, 3, rows),
                "label": (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int64),
            }
        )

    def between(self, start: datetime, end: datetime) -> pa.Table:
        at = self.rows["at"].to_numpy()
        first, last = (np.datetime64(time.replace(tzinfo=None), "us") for time in (start, end))
        return self.rows.filter(pa.array((at >= first) & (at < last)))

    def fit(self, rows: pa.Table, name: str, parent: str | None = None) -> Run:
        """A finished run with a real model folder, as `train.fit` leaves it, without Ray."""
        table = data.write(self.ws, f"training.{name}", rows.drop_columns(["id"]), mode="overwrite")
        run = registry.start_run(self.ws, "train", name, inputs=[table.node], parent=parent)
        matrix = np.column_stack([rows[column].to_numpy() for column in INPUTS]).astype(np.float32)
        labels = rows["label"].to_numpy()
        options = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}
        booster = xgboost.train(options, xgboost.DMatrix(matrix, labels), num_boost_round=20)
        scores = booster.inplace_predict(matrix).astype(np.float64)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            booster.save_model(folder / "model.ubj")
            features = rows.select(INPUTS)
            write_reference(folder, features.append_column("score", pa.array(scores)).slice(0, 20_000))
            signature = Signature.of(features.schema, "label", "binary")
            training = f"training.{name}@{table.version}"
            window = (rows["at"][0].as_py(), rows["at"][-1].as_py())
            write_info(folder, Description("xgboost", signature, INPUTS, run.id, {}, training, "at", window))
            artifact = registry.put_folder(self.ws, folder)
        return registry.finish_run(self.ws, run.id, metrics={"auc": auc(scores, labels)}, artifact=artifact)

    def deploy(self, until: datetime) -> ModelVersion:
        """Register and deploy the first champion, trained on everything before `until`."""
        run = self.fit(self.between(moment(1), until), "first")
        version = registry.register(self.ws, run, name="delay", alias="champion")
        registry.record_deployment(self.ws, self.endpoint, version, target="delay@champion")
        return version

    def serve(self, start: datetime, end: datetime, version: ModelVersion) -> None:
        """Capture requests as the endpoint's replicas do."""
        from raylake.train import open_model

        rows = self.between(start, end)
        scores = open_model(self.ws, version).predict(rows)
        count = rows.num_rows
        log = pa.table(
            {
                "id": rows["id"],
                "request_id": rows["id"],
                "at": rows["at"],
                "received_at": rows["at"],
                "model": [version.name] * count,
                "version": pa.array([version.version] * count, pa.int64()),
                **{name: rows[name] for name in INPUTS},
                "prediction": scores,
                "latency_ms": np.ones(count),
            }
        )
        data.write(self.ws, f"predictions.{self.endpoint}", log, record=False)

    def labels(self, start: datetime, end: datetime, known_at: datetime) -> pa.Table:
        rows = self.between(start, end)
        return rows.select(["id", "label"]).append_column("known_at", pa.array([known_at] * rows.num_rows, INSTANT))
