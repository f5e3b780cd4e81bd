"""Models to serve in tests: an in-memory stand-in, and a real XGBoost folder registered without Ray Train."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost

from raylake import data, registry
from raylake.core import Workspace
from raylake.features import FeatureSet, FeatureView, materialise
from raylake.registry import ModelVersion
from raylake.train import Signature
from raylake.train.signature import to_matrix

COLUMNS = {"distance": pa.float64(), "seats": pa.int64(), "origin": pa.string()}
ROW: dict[str, Any] = {"distance": 1400.0, "seats": 180, "origin": "JFK"}


@dataclass(frozen=True)
class PlainSignature:
    """As `raylake.train.Signature`, of any Arrow schema."""

    schema: pa.Schema

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def to_dict(self) -> dict[str, Any]:
        return {"columns": [{"name": f.name, "type": str(f.type)} for f in self.schema]}


@dataclass
class StandIn:
    """A model that answers `constant + distance`; nulls count as zero."""

    constant: float = 0.0
    schema: pa.Schema = field(default_factory=lambda: pa.schema(list(COLUMNS.items())))
    feature_set: FeatureSet | None = None
    nullable: tuple[str, ...] = ("seats",)
    calls: list[int] = field(default_factory=list)

    @property
    def signature(self) -> PlainSignature:
        return PlainSignature(self.schema)

    @property
    def reference(self) -> pa.Table:
        rows = [{name: ROW.get(name) for name in self.schema.names} for _ in range(3)]
        rows[2] |= dict.fromkeys(self.nullable)
        return pa.Table.from_pylist(rows, schema=self.schema)

    def predict(self, features: pa.Table) -> np.ndarray:
        self.calls.append(features.num_rows)
        return features["distance"].fill_null(0).to_numpy() + self.constant


WEATHER = FeatureView("weather", "origin", event_time="observed_at", table="weather", columns=["temp", "wind"])
FEATURES = FeatureSet(
    "delay", [WEATHER], passthrough=["distance", "carrier"], event_time="scheduled_at", types={"distance": "float64"}
)
INPUTS = pa.schema(
    [("distance", pa.float64()), ("carrier", pa.string()), ("temp", pa.float64()), ("wind", pa.float64())]
)
NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
LIVE_ROW = {"scheduled_at": "2013-07-01T12:00:00Z", "origin": "JFK", "distance": 1400.0, "carrier": "AA"}


def frame(rows: int, seed: int = 0) -> pa.Table:
    """Input columns of the real model."""
    draw = np.random.default_rng(seed)
    columns = {
        "distance": draw.uniform(100, 3000, rows),
        "carrier": draw.choice(["AA", "B6", "UA"], rows),
        "temp": draw.normal(50, 20, rows),
        "wind": draw.uniform(0, 40, rows),
    }
    return pa.table(columns).cast(INPUTS)


def store_weather(ws: Workspace, temp: float = 60.0) -> None:
    """Write weather and make it visible online."""
    rows = {"origin": ["JFK", "EWR"], "observed_at": [NOON, NOON], "temp": [temp, 55.0], "wind": [10.0, 12.0]}
    schema = pa.schema(
        [
            ("origin", pa.string()),
            ("observed_at", pa.timestamp("us", tz="UTC")),
            ("temp", pa.float64()),
            ("wind", pa.float64()),
        ]
    )
    data.write(ws, "weather", pa.table(rows, schema=schema), mode="overwrite")
    materialise(ws, WEATHER)


def make_folder(folder: Path, level: float) -> Path:
    """A real XGBoost model folder whose scores are all `level`, whatever it is asked; so an answer names its model."""
    from raylake.train.folder import Description, write_info, write_recipe, write_reference

    folder.mkdir(parents=True)
    table = frame(200)
    fitted = data.Recipe([data.Ordinal(["carrier"])]).fit(table)
    prepared = fitted.apply(table)
    labels = np.full(200, level)
    matrix = xgboost.DMatrix(to_matrix(prepared, prepared.column_names), labels)
    options = {"objective": "reg:squarederror", "base_score": level, "max_depth": 4, "nthread": 1}
    xgboost.train(options, matrix, 20).save_model(folder / "model.ubj")
    write_recipe(folder, fitted)
    write_reference(folder, table.append_column("score", pa.array(labels)))
    bound = FEATURES.bind(
        pa.schema([("scheduled_at", pa.timestamp("us", tz="UTC")), ("origin", pa.string()), *list(INPUTS)[:2]]),
        "scheduled_at",
    )
    about = Description(
        "xgboost",
        Signature.of(INPUTS, "late", "regression"),
        tuple(prepared.column_names),
        run="none",
        trainer={},
        training="none",
        feature_set=bound.to_dict(),
    )
    write_info(folder, about)
    return folder


def register_level(ws: Workspace, folder: Path, level: float, *, alias: str | None = None) -> ModelVersion:
    """Register the model of `make_folder` as the next version of ``delay``."""
    return registry.register_artifact(
        ws, registry.put_folder(ws, make_folder(folder, level)), name="delay", alias=alias
    )


def damage(ws: Workspace, digest: str) -> None:
    """Flip a byte of the largest file of a stored folder."""
    manifest = json.loads(registry.get_bytes(ws, digest))
    files = manifest.get("files", manifest)
    largest = max(files.values(), key=lambda facts: facts["size"])
    path = Path(registry.locate(ws, largest["sha256"]))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(content))
