"""XGBoost: a booster as a UBJ file, which holds trees and numbers only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import ArtifactCorrupt, ConfigError
from .protocol import Scores, Stored, first_line, frameworks

XGBOOST_FILE = "model.ubj"


class XGBoostFlavour:
    """A `Booster`, or one of XGBoost's scikit-learn classes."""

    name = "xgboost"

    def claims(self, model: object) -> bool:
        """Boosters and XGBoost's scikit-learn classes."""
        return "xgboost" in frameworks(model)

    def save(self, model: Any, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Write ``model.ubj``: the rounds up to the best one, if training stopped early."""
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        best = booster.attr("best_iteration")
        booster = booster if best is None else booster[: int(best) + 1]
        (folder / XGBOOST_FILE).write_bytes(booster.save_raw("ubj"))
        return {"file": XGBOOST_FILE}

    def load(self, folder: Path, stored: Stored) -> XGBoostPredictor:
        """Read ``model.ubj``."""
        return XGBoostPredictor(folder / XGBOOST_FILE, stored.threads)


class XGBoostPredictor:
    """Trees from a UBJ or JSON file.

    Args:
        path: The file.
        threads: Threads of one prediction. One is best for single rows.
        best_only: Use the rounds up to the best one, as XGBoost's scikit-learn classes do after early stopping.

    Attributes:
        columns: Names of the columns, or ``f0``, ``f1``, ... when the file has none.
        booster: XGBoost's own.
    """

    def __init__(self, path: Path, threads: int = 1, *, best_only: bool = False) -> None:
        import xgboost

        self.booster = xgboost.Booster({"nthread": threads})
        with path.open("rb") as file:
            # Both of XGBoost's formats begin so; of anything else its own message may not even be text.
            if file.read(1) != b"{":
                raise ArtifactCorrupt(f"{path.name} is not an XGBoost model: it does not begin with '{{'")
        try:
            self.booster.load_model(str(path))
        except xgboost.core.XGBoostError as error:
            raise ArtifactCorrupt(f"{path.name} is not an XGBoost model: {first_line(error)}") from error
        best = self.booster.attr("best_iteration") if best_only else None
        if best is not None:
            self.booster = self.booster[: int(best) + 1]
        self.columns = tuple(self.booster.feature_names or (f"f{n}" for n in range(self.booster.num_features())))
        self.booster.set_param({"nthread": threads})
        # The first prediction configures the booster, which is not thread-safe; later ones only read it.
        self.booster.inplace_predict(np.zeros((1, self.booster.num_features()), np.float32), validate_features=False)
        if self.objective.startswith(("rank:", "survival:")):
            raise ConfigError(
                f"{path.name} has the objective {self.objective}: raylake takes classifiers and regressors "
                "(binary:…, multi:softprob, reg:…, count:…)"
            )
        if self.objective == "multi:softmax":
            raise ConfigError(
                f"{path.name} has the objective multi:softmax, which gives a class and no probabilities: "
                "train with multi:softprob"
            )

    @property
    def objective(self) -> str:
        """What it was trained for, such as ``binary:logistic``."""
        learner = json.loads(self.booster.save_config())["learner"]
        return str(learner["objective"]["name"])

    @property
    def outputs(self) -> int:
        """Number of values that a row gets."""
        row = np.zeros((1, len(self.columns)), np.float32)
        return int(np.size(self.booster.inplace_predict(row, validate_features=False)))

    def predict(self, matrix: NDArray[np.float32]) -> Scores:
        """Probabilities, or regression values."""
        found = self.booster.inplace_predict(matrix, validate_features=False)
        return np.asarray(found, dtype=np.float64)
