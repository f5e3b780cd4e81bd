"""Small training data that a model can learn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from .. import features
from ..core import Workspace

START = datetime(2013, 1, 1, tzinfo=UTC)
FEATURES = ("distance", "wind", "carrier", "night")


def label_frame(rows: int, seed: int = 0, start: datetime = START) -> pa.Table:
    """Rows an hour apart, shuffled; `late` depends on all features, `minutes` is its continuous cousin."""
    draw = np.random.default_rng(seed)
    distance, wind = draw.uniform(100, 3000, rows), draw.normal(10, 4, rows)
    carrier, night = draw.choice(["AA", "DL", "UA"], rows), draw.random(rows) < 0.3
    minutes = 0.004 * distance + wind + 8 * (carrier == "UA") + 6 * night + draw.normal(0, 3, rows)
    wind[:: max(1, rows // 20)] = np.nan
    frame = pa.table(
        {
            "at": pa.array([start + timedelta(hours=hour) for hour in range(rows)], pa.timestamp("us", tz="UTC")),
            "distance": distance,
            "wind": pa.array(wind, from_pandas=True),
            "carrier": carrier,
            "night": night,
            "late": minutes > np.median(minutes) if rows else pa.array([], pa.bool_()),
            "minutes": minutes,
        }
    )
    return frame.take(draw.permutation(rows)) if rows else frame


def make_training(
    ws: Workspace, frame: pa.Table, label: str = "late", columns: tuple[str, ...] = FEATURES
) -> features.TrainingSet:
    """The training set of a label frame, made through the feature layer."""
    feature_set = features.FeatureSet("flights", [], passthrough=columns)
    return features.training_set(ws, "flights", labels=frame, label=label, event_time="at", feature_set=feature_set)
