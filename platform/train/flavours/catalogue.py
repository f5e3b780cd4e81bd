"""All flavours: which one a model is of, and how a model folder is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core import ConfigError
from .function_flavour import FunctionFlavour
from .lightgbm_flavour import LightGBMFlavour
from .onnx_flavour import OnnxFlavour
from .protocol import Flavour, Predictor, Stored, TablePredictor, frameworks
from .sklearn_flavour import SklearnFlavour
from .torch_flavour import TorchFlavour
from .xgboost_flavour import XGBoostFlavour

# XGBoost's and LightGBM's scikit-learn classes are estimators too, so these two come first.
FLAVOURS: Mapping[str, Flavour] = {
    flavour.name: flavour
    for flavour in (
        XGBoostFlavour(), LightGBMFlavour(), TorchFlavour(), OnnxFlavour(), FunctionFlavour(), SklearnFlavour(),
    )
}  # fmt: skip
_PICKLED = re.compile(r"\.(pkl|pickle|joblib|dill|cloudpickle|pt|pth|ckpt)$")


def flavour_of(model: object) -> Flavour:
    """The flavour that stores `model`.

    Raises:
        ConfigError: None does; the message says what to do.

    Example:
        >>> flavour_of(3)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: int is no model that raylake stores: give a fitted ...
    """
    if isinstance(model, str | Path) and _PICKLED.search(str(model)):
        raise ConfigError(
            f"{model} looks like a pickle, and loading a pickle runs whatever code it holds. If you trust everybody "
            "who could write it, load it yourself and store the object, which puts it into its framework's safe format"
        )
    for flavour in FLAVOURS.values():
        if flavour.claims(model):
            return flavour
    hint = ""
    if "torch" in frameworks(model):
        hint = ". torch.export's archives hold pickles: export the program to ONNX (torch.onnx.export)"
    raise ConfigError(
        f"{type(model).__name__} is no model that raylake stores: give a fitted estimator of scikit-learn, a booster "
        f"of XGBoost or LightGBM, a torch module, an ONNX model, or a function marked with train.predictor{hint}"
    )


def open_predictor(
    folder: Path, info: Mapping[str, Any], threads: int, *, trusted: bool = False
) -> Predictor | TablePredictor:
    """The predictor of a checked model folder.

    Raises:
        ConfigError: The flavour is not known. Pickled models are refused like that.
        ArtifactCorrupt: The file is not what the flavour writes.
    """
    name = info["flavour"]
    if name not in FLAVOURS:
        raise ConfigError(
            f"model flavour {name!r} is not supported: use one of {', '.join(FLAVOURS)}. Pickled models are never "
            "loaded, because loading a pickle runs the code in it: load it yourself where you trust it, and store the "
            "object with train.store_model"
        )
    signature = info["signature"]
    stored = Stored(
        facts=info.get("facts") or info.get("torch") or {},
        task=signature["task"],
        classes=len(signature["classes"]),
        columns=tuple(info["matrix_columns"]),
        threads=threads,
        trusted=trusted,
    )
    return FLAVOURS[name].load(folder, stored)
