"""A small, learnable training set, made through the feature layer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from raylake import features
from raylake.core import Workspace

START = datetime(2013, 1, 1, tzinfo=UTC)
FEATURES = ("distance", "wind", "carrier", "night")


def label_frame(rows: int, seed: int = 0) -> pa.Table:
    """Rows an hour apart, shuffled; `late` depends on all features, `minutes` is its continuous cousin."""
    draw = np.random.default_rng(seed)
    distance, wind = draw.uniform(100, 3000, rows), draw.normal(10, 4, rows)
    carrier, night = draw.choice(["AA", "DL", "UA"], rows), draw.random(rows) < 0.3
    minutes = 0.004 * distance + wind + 8 * (carrier == "UA") + 6 * night + draw.normal(0, 3, rows)
    wind[:: max(1, rows // 20)] = np.nan
    frame = pa.table(
        {
            "at": pa.array([START + timedelta(hours=hour) for hour in range(rows)], pa.timestamp("us", tz="UTC")),
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
    feature_set = features.FeatureSet("flights", [], passthrough=columns)
    return features.training_set(ws, "flights", labels=frame, label=label, event_time="at", feature_set=feature_set)


@pytest.fixture
def frame() -> Callable[..., pa.Table]:
    """Builds label rows."""
    return label_frame


@pytest.fixture
def training() -> Callable[..., features.TrainingSet]:
    """Builds a training set from label rows."""
    return make_training
