"""Model folders that MLflow's client wrote, as models of ours: XGBoost, LightGBM, ONNX, scikit-learn as skops.

What an MLmodel file says is not believed where it matters: file names are checked, the types that a skops file may
hold are skops' own list (never the ``skops_trusted_types`` that the file brings along), and pickles, whatever they
are called, are loaded only for callers who say that they trust them (CVE-2024-37052 to CVE-2024-37060).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..core import ArtifactCorrupt, ConfigError, NotFound
from .environment import versions
from .flavours import (
    LightGBMPredictor,
    Predictor,
    SklearnPredictor,
    Stored,
    TablePredictor,
    XGBoostPredictor,
)
from .flavours.onnx_flavour import describe_onnx, open_onnx
from .flavours.sklearn_flavour import plain_classes
from .flavours.skops_file import load_skops

MLMODEL_FILE = "MLmodel"
FLAVOUR = "mlflow"
_FILE = re.compile(r"[A-Za-z0-9][\w.-]{0,127}")
_LONGEST_MLMODEL = 4 << 20  # bytes; signatures of wide tables are long
_TYPES = {"double": "double", "float": "float", "long": "int64", "integer": "int32", "boolean": "bool"}


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that was read, and what is known of it.

    Attributes:
        predictor: The model.
        columns: Its input columns.
        task: ``binary``, ``multiclass`` or ``regression``.
        classes: The labels of several classes.
    """

    predictor: Predictor | TablePredictor
    columns: tuple[str, ...]
    task: str
    classes: tuple[int | str, ...] = ()


def is_mlflow_folder(folder: Path) -> bool:
    """Whether MLflow's client wrote the folder."""
    return (folder / MLMODEL_FILE).is_file()


def open_mlflow(
    folder: Path, threads: int, *, trusted: bool = False
) -> tuple[dict[str, Any], Predictor | TablePredictor]:
    """What ``model.json`` would say, and the predictor, of a folder that MLflow's client wrote.

    Args:
        folder: The folder.
        threads: Threads of one prediction.
        trusted: Load pickles too, which run whatever code they hold, and skops files with any type.

    Raises:
        ConfigError: A flavour, format or kind of model that cannot be served safely, with what to do instead.
        ArtifactCorrupt: The folder is damaged.
        NotFound: A file is missing.
    """
    about = _read(folder)
    named = about.get("flavors")
    flavours: dict[str, Any] = named if isinstance(named, dict) else {}
    makers: Mapping[str, Callable[..., Opened]] = {
        "xgboost": _xgboost,
        "lightgbm": _lightgbm,
        "sklearn": _sklearn,
        "onnx": _onnx,
    }
    for name, make in makers.items():
        if name in flavours and isinstance(flavours[name], dict):
            columns = _columns(about)
            found = make(folder, flavours[name], tuple(column for column, _ in columns), threads, trusted)
            named = columns or tuple((each, "double") for each in found.columns)
            return _info(about, name, named, found), found.predictor
    raise ConfigError(
        f"MLflow model with flavours {', '.join(sorted(map(str, flavours))) or 'none'} cannot be served: log it with "
        "mlflow.xgboost, mlflow.lightgbm or mlflow.onnx, or with "
        "mlflow.sklearn.log_model(..., serialization_format='skops')"
    )


def _read(folder: Path) -> dict[str, Any]:
    path = folder / MLMODEL_FILE
    if path.stat().st_size > _LONGEST_MLMODEL:
        raise ArtifactCorrupt(f"{MLMODEL_FILE} has more than {_LONGEST_MLMODEL} bytes: log the model again")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ArtifactCorrupt(f"{MLMODEL_FILE} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict):
        raise ArtifactCorrupt(f"{MLMODEL_FILE} holds a {type(found).__name__}, expected a mapping: log the model again")
    return found


def _columns(about: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Named input columns of the signature; none when it has none, or describes tensors."""
    signature = about.get("signature") or {}
    try:
        inputs = json.loads(signature.get("inputs") or "[]")
        named = all("name" in column and column.get("type") != "tensor" for column in inputs)
        if not inputs or not named:
            return ()
        unknown = sorted({str(column["type"]) for column in inputs} - _TYPES.keys())
        if unknown:
            raise ConfigError(
                f"the model's signature has columns of type {', '.join(unknown)}: raylake serves MLflow models of "
                f"numbers ({', '.join(_TYPES)}); encode the others before the model"
            )
        return tuple((str(column["name"]), _TYPES[column["type"]]) for column in inputs)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ArtifactCorrupt(
            f"the signature in {MLMODEL_FILE} cannot be read: {error}. Log the model again"
        ) from error


def _xgboost(folder: Path, flavour: Mapping[str, Any], columns: tuple[str, ...], threads: int, trusted: bool) -> Opened:
    path = _file(folder, flavour.get("data"), (".ubj", ".json"))
    predictor = XGBoostPredictor(path, threads, best_only=".sklearn." in str(flavour.get("model_class", "")))
    objective = predictor.objective
    task = "multiclass" if objective.startswith("multi:") else _binary(objective.startswith("binary:"))
    classes = predictor.outputs if task == "multiclass" else 0
    return Opened(predictor, _fitting(columns, predictor.columns), task, tuple(range(classes)))


def _lightgbm(
    folder: Path, flavour: Mapping[str, Any], columns: tuple[str, ...], threads: int, trusted: bool
) -> Opened:
    predictor = LightGBMPredictor(_file(folder, flavour.get("data"), (".lgb", ".txt")), threads)
    objective = predictor.objective
    task = "multiclass" if objective.startswith("multiclass") else _binary(objective.startswith("binary"))
    classes = predictor.outputs if task == "multiclass" else 0
    return Opened(predictor, _fitting(columns, predictor.columns), task, tuple(range(classes)))


def _onnx(folder: Path, flavour: Mapping[str, Any], columns: tuple[str, ...], threads: int, trusted: bool) -> Opened:
    if not columns:
        raise ConfigError(
            "the ONNX model has no signature that names its columns: log it with mlflow.onnx.log_model(..., "
            "input_example=a data frame)"
        )
    path = _file(folder, flavour.get("data"), (".onnx",))
    task, classes, facts = describe_onnx(path)
    return Opened(open_onnx(path, Stored(facts, task, len(classes), columns, threads)), columns, task, classes)


def _fitting(columns: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    if columns and len(columns) != len(own):
        raise ArtifactCorrupt(f"the signature names {len(columns)} columns, the model takes {len(own)}")
    return columns or own


def _binary(binary: bool) -> str:
    return "binary" if binary else "regression"


def _sklearn(folder: Path, flavour: Mapping[str, Any], columns: tuple[str, ...], threads: int, trusted: bool) -> Opened:
    name, form = flavour.get("pickled_model"), str(flavour.get("serialization_format", "pickle"))
    if form == "skops":
        estimator = load_skops(_file(folder, name, (".skops",)), trusted=trusted)
    elif trusted:
        estimator = _load_pickle(_file(folder, name, (".pkl",)))
    else:
        raise ConfigError(
            f"the model is pickled ({form}), and loading a pickle runs whatever code it holds. Log it with "
            "mlflow.sklearn.log_model(..., serialization_format='skops'); or, if you trust everybody who could write "
            "it, open it yourself with train.open_model(..., trusted=True)"
        )
    count = int(getattr(estimator, "n_features_in_", len(columns)))
    names = columns or tuple(map(str, getattr(estimator, "feature_names_in_", [f"f{n}" for n in range(count)])))
    predictor = SklearnPredictor(estimator, names, type(estimator).__name__)
    task = "multiclass" if len(predictor.classes) > 2 else _binary(bool(predictor.classes))
    return Opened(predictor, names, task, plain_classes(predictor.classes) if task == "multiclass" else ())


def _load_pickle(path: Path) -> Any:
    import cloudpickle

    with path.open("rb") as file:
        return cloudpickle.load(file)


def _file(folder: Path, name: Any, endings: tuple[str, ...]) -> Path:
    if not isinstance(name, str) or not _FILE.fullmatch(name) or not name.endswith(endings):
        raise ConfigError(f"model file {name!r:.100} in {MLMODEL_FILE} is refused: expected *{' or *'.join(endings)}")
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise NotFound(f"model file {name} is missing in {folder}: log the model again")
    return path


def _info(
    about: Mapping[str, Any], flavour: str, columns: tuple[tuple[str, str], ...], found: Opened
) -> dict[str, Any]:
    """What the rest of raylake reads of a model, in the shape of ``model.json``."""
    return {
        "format": 1,
        "flavour": f"{FLAVOUR}-{flavour}",
        "signature": {
            "columns": [{"name": name, "type": kind} for name, kind in columns],
            "label": "prediction",
            "task": found.task,
            "classes": [0, 1] if found.task == "binary" else list(found.classes),
        },
        "matrix_columns": [name for name, _ in columns],
        "run": str(about.get("run_id") or ""),
        "trainer": {},
        "training": None,
        "feature_set": None,
        "facts": {},
        "metrics": {},
        "libraries": versions(),
        "files": {},
    }
