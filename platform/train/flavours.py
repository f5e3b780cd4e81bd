"""Model flavours: how a trained model is stored in its framework's own safe format, and read again.

XGBoost is stored as UBJ; PyTorch as safetensors plus the import path of the class. Pickle is neither written nor
read: loading it would run whatever code the file holds.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core import ArtifactCorrupt, ConfigError, SchemaMismatch

XGBOOST_FILE = "model.ubj"
TORCH_FILE = "model.safetensors"


class Predictor(Protocol):
    """A loaded model. Implementations are thread-safe and keep no state between calls."""

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores (n,) of `matrix` (n, columns after the recipe); NaN means missing."""
        ...


class XGBoostPredictor:
    """Trees from a UBJ file.

    Args:
        path: The file.
        threads: Threads of one prediction. One is best for single rows.
        best_only: Use the rounds up to the best one, as XGBoost's scikit-learn classes do after early stopping.

    Attributes:
        columns: Names of the columns, or ``f0``, ``f1``, ... when the file has none.
    """

    def __init__(self, path: Path, threads: int = 1, *, best_only: bool = False) -> None:
        import xgboost

        self._booster = xgboost.Booster({"nthread": threads})
        try:
            self._booster.load_model(str(path))
        except xgboost.core.XGBoostError as error:
            raise ArtifactCorrupt(f"{path.name} is not an XGBoost model: {str(error).splitlines()[0]}") from error
        best = self._booster.attr("best_iteration") if best_only else None
        if best is not None:
            self._booster = self._booster[: int(best) + 1]
        self.columns = tuple(self._booster.feature_names or (f"f{n}" for n in range(self._booster.num_features())))
        self._booster.set_param({"nthread": threads})
        # The first prediction configures the booster, which is not thread-safe; later ones only read it.
        self._booster.inplace_predict(np.zeros((1, self._booster.num_features()), np.float32), validate_features=False)

    @property
    def objective(self) -> str:
        """What it was trained for, such as ``binary:logistic``."""
        learner = json.loads(self._booster.save_config())["learner"]
        return str(learner["objective"]["name"])

    @property
    def outputs(self) -> int:
        """Number of values that a row gets."""
        row = np.zeros((1, len(self.columns)), np.float32)
        return int(np.size(self._booster.inplace_predict(row, validate_features=False)))

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of class 1, or regression values."""
        found = self._booster.inplace_predict(matrix, validate_features=False)
        return np.asarray(found, dtype=np.float64)


class TorchPredictor:
    """A PyTorch module: weights from safetensors, the class by its import path.

    Args:
        path: The safetensors file.
        module: ``package.module:Class``.
        options: Arguments of the class.
        task: ``binary`` applies a sigmoid to the outputs.
    """

    def __init__(self, path: Path, module: str, options: Mapping[str, Any], task: str) -> None:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        self._torch = torch
        self._binary = task == "binary"
        self._model = build_module(module, options)
        try:
            self._model.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as error:
            raise ArtifactCorrupt(f"{path.name} does not hold the weights of {module}: {error}") from error
        self._model.eval()

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of class 1, or regression values."""
        if np.isnan(matrix).any():
            raise SchemaMismatch("a network takes no missing values: add data.Impute for these columns to the recipe")
        with self._torch.inference_mode():
            out = self._model(self._torch.from_numpy(np.ascontiguousarray(matrix))).reshape(len(matrix))
            out = self._torch.sigmoid(out) if self._binary else out
        return np.asarray(out.double().cpu().numpy())


def build_module(path: str, options: Mapping[str, Any]) -> Any:
    """Import ``package.module:Class`` and call it with `options`.

    Raises:
        ConfigError: The module or class cannot be imported, or does not take these arguments.
    """
    module, _, name = path.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return found(**options)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"model class {path!r} cannot be imported ({error}): put its file on PYTHONPATH, or install its package"
        ) from error
    except TypeError as error:
        raise ConfigError(f"model class {path!r} cannot be built from {dict(options)}: {error}") from error


def open_predictor(folder: Path, info: Mapping[str, Any], threads: int) -> Predictor:
    """The predictor of a checked model folder.

    Raises:
        ConfigError: The flavour is not known. Pickled models are refused like that.
    """
    flavour = info["flavour"]
    if flavour == "xgboost":
        return XGBoostPredictor(folder / XGBOOST_FILE, threads)
    if flavour == "torch":
        torch_info = info["torch"]
        return TorchPredictor(
            folder / TORCH_FILE, torch_info["module"], torch_info["options"], info["signature"]["task"]
        )
    raise ConfigError(
        f"model flavour {flavour!r} is not supported: use xgboost or torch. Pickled models are never loaded, "
        "because loading a pickle runs the code in it"
    )
