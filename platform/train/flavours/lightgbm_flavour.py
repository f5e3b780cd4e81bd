"""LightGBM: a booster in LightGBM's own text format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import ArtifactCorrupt
from .protocol import Scores, Stored, first_line, frameworks

LIGHTGBM_FILE = "model.txt"


class LightGBMFlavour:
    """A `Booster`, or one of LightGBM's scikit-learn classes."""

    name = "lightgbm"

    def claims(self, model: object) -> bool:
        """Boosters and LightGBM's scikit-learn classes."""
        return "lightgbm" in frameworks(model)

    def save(self, model: Any, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Write ``model.txt``: the rounds up to the best one, if training stopped early."""
        booster = getattr(model, "booster_", model)
        (folder / LIGHTGBM_FILE).write_text(booster.model_to_string(), encoding="utf-8")
        return {"file": LIGHTGBM_FILE}

    def load(self, folder: Path, stored: Stored) -> LightGBMPredictor:
        """Read ``model.txt``."""
        return LightGBMPredictor(folder / LIGHTGBM_FILE, stored.threads)


class LightGBMPredictor:
    """Trees from a text file.

    Args:
        path: The file.
        threads: Threads of one prediction.

    Attributes:
        columns: Names of the columns.
        booster: LightGBM's own.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        import lightgbm

        text = path.read_text(encoding="utf-8", errors="replace")
        # LightGBM's parser trusts its input beyond the first line.
        if not text.startswith("tree\n"):
            raise ArtifactCorrupt(f"{path.name} is not a LightGBM model: it does not begin with 'tree'")
        try:
            self.booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise ArtifactCorrupt(f"{path.name} is not a LightGBM model: {first_line(error)}") from error
        self.columns = tuple(self.booster.feature_name())
        self._threads = threads

    @property
    def objective(self) -> str:
        """What it was trained for, such as ``binary sigmoid:1``."""
        found = self.booster.params.get("objective") or self.booster.dump_model(num_iteration=1).get("objective")
        return str(found or "regression")

    @property
    def outputs(self) -> int:
        """Number of values that a row gets."""
        return int(self.booster.num_model_per_iteration())

    def predict(self, matrix: NDArray[np.float32]) -> Scores:
        """Probabilities, or regression values."""
        if not len(matrix):
            return np.zeros((0, 1))[:, 0]
        found = self.booster.predict(matrix, num_threads=self._threads)
        return np.asarray(found, dtype=np.float64)
