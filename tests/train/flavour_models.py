"""Models of importable classes and functions, as a user's own package would have them."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytorch_lightning as pl
import torch

from raylake import train


class Net(torch.nn.Module):
    def __init__(self, inputs: int, width: int = 4, outputs: int = 1) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(inputs, width), torch.nn.Tanh(), torch.nn.Linear(width, outputs)
        )
        self.outputs = outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.layers(x)
        return found if self.outputs > 1 else found.squeeze(-1)


class LitNet(pl.LightningModule):
    def __init__(self, inputs: int, width: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = Net(inputs, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@train.predictor
def by_rule(rows: pa.Table, threshold: float = 1500.0) -> pa.ChunkedArray:
    late = pc.greater(rows["distance"], threshold)
    return pc.if_else(pc.or_(late, pc.equal(rows["carrier"], "UA")), 0.9, 0.1)


def unmarked(rows: pa.Table) -> list[float]:
    return [0.5] * rows.num_rows


def fit_forest(task: train.FitTask, trees: int = 5) -> object:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    from raylake.train.flavours import to_frame

    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["carrier"]), remainder="passthrough")
    model = make_pipeline(encode, RandomForestClassifier(trees, random_state=task.seed))
    model.fit(to_frame(task.train), task.labels.astype(np.int64))
    for step in range(3):
        task.report(progress=step)
    return model


def fit_rule(task: train.FitTask, threshold: float) -> object:
    return by_rule, {"options": {"threshold": threshold}}


def fit_nothing(task: train.FitTask) -> object:
    return {"not": "a model"}


def fit_freely(task: train.FitTask) -> object:
    return by_rule, {"options": {"threshold": float(np.random.default_rng().uniform(500, 2500))}}


def fit_talking(task: train.FitTask) -> object:
    print(f"fitting {task.train.num_rows} rows")
    logging.getLogger("flavour_models").warning("watch out")
    for step in range(3):
        task.report(progress=step)
    return by_rule
