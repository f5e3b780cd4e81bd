"""Model folders that MLflow's client wrote, as models of ours: XGBoost, and scikit-learn in the skops format.

What an MLmodel file says is not believed where it matters: file names are checked, the types that a skops file may
hold are skops' own list (never the ``skops_trusted_types`` that the file brings along), and pickles, whatever they
are called, are loaded only for callers who say that they trust them (CVE-2024-37052 to CVE-2024-37060).
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ..core import ArtifactCorrupt, ConfigError, NotFound
from .environment import versions
from .flavours import Predictor, XGBoostPredictor

MLMODEL_FILE = "MLmodel"
FLAVOUR = "mlflow"
_FILE = re.compile(r"[A-Za-z0-9][\w.-]{0,127}")
_LONGEST_MLMODEL = 4 << 20  # bytes; signatures of wide tables are long
_LARGEST_UNPACKED = 4 << 30  # bytes
_MOST_ENTRIES = 100_000
_TYPES = {"double": "double", "float": "float", "long": "int64", "integer": "int32", "boolean": "bool"}


class SklearnPredictor:
    """A scikit-learn estimator.

    Args:
        estimator: The estimator; a classifier must have two classes and `predict_proba`.
        columns: Names of its columns.
        what: What to call it in messages.
    """

    def __init__(self, estimator: Any, columns: tuple[str, ...], what: str) -> None:
        classes = getattr(estimator, "classes_", None)
        if classes is not None and len(classes) != 2:
            raise ConfigError(f"{what} has {len(classes)} classes: raylake serves binary classifiers and regressors")
        if classes is not None and not hasattr(estimator, "predict_proba"):
            raise ConfigError(f"{what} is a classifier without predict_proba: use one that gives probabilities")
        self.binary = classes is not None
        self._estimator = estimator
        self._columns = columns

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of the second class, or regression values."""
        import pandas as pd

        # By name, as the estimator was fitted: a ColumnTransformer inside may look for them.
        frame = pd.DataFrame(matrix.astype(np.float64), columns=list(self._columns))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X has feature names")
            if self.binary:
                return np.asarray(self._estimator.predict_proba(frame), dtype=np.float64)[:, 1]
            return np.asarray(self._estimator.predict(frame), dtype=np.float64).reshape(len(matrix))


def is_mlflow_folder(folder: Path) -> bool:
    """Whether MLflow's client wrote the folder."""
    return (folder / MLMODEL_FILE).is_file()


def open_mlflow(folder: Path, threads: int, *, trusted: bool = False) -> tuple[dict[str, Any], Predictor]:
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
    found = about.get("flavors")
    flavours: dict[str, Any] = found if isinstance(found, dict) else {}
    makers: Mapping[str, Callable[..., tuple[Predictor, tuple[str, ...], bool]]] = {
        "xgboost": _xgboost,
        "sklearn": _sklearn,
    }
    for name, make in makers.items():
        if name in flavours and isinstance(flavours[name], dict):
            columns = _columns(about)
            predictor, names, binary = make(
                folder, flavours[name], tuple(column for column, _ in columns), threads, trusted
            )
            return _info(about, name, columns or tuple((each, "double") for each in names), binary), predictor
    raise ConfigError(
        f"MLflow model with flavours {', '.join(sorted(map(str, flavours))) or 'none'} cannot be served: log it with "
        "mlflow.xgboost.log_model, or with mlflow.sklearn.log_model(..., serialization_format='skops')"
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


def _xgboost(
    folder: Path, flavour: Mapping[str, Any], columns: tuple[str, ...], threads: int, trusted: bool
) -> tuple[Predictor, tuple[str, ...], bool]:
    path = _file(folder, flavour.get("data"), (".ubj", ".json"))
    sklearn_like = ".sklearn." in str(flavour.get("model_class", ""))
    predictor = XGBoostPredictor(path, threads, best_only=sklearn_like)
    objective = predictor.objective
    if objective.startswith(("multi:", "rank:", "survival:")) or predictor.outputs != 1:
        raise ConfigError(f"the model has the objective {objective}: raylake serves binary classifiers and regressors")
    names = columns or predictor.columns
    if len(names) != len(predictor.columns):
        raise ArtifactCorrupt(f"the signature names {len(names)} columns, the model takes {len(predictor.columns)}")
    return predictor, names, objective.startswith("binary:")


def _sklearn(
    folder: Path, flavour: Mapping[str, Any], columns: tuple[str, ...], threads: int, trusted: bool
) -> tuple[Predictor, tuple[str, ...], bool]:
    name, form = flavour.get("pickled_model"), str(flavour.get("serialization_format", "pickle"))
    if form == "skops":
        estimator = _load_skops(_file(folder, name, (".skops",)), trusted=trusted)
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
    return predictor, names, predictor.binary


def _load_skops(path: Path, *, trusted: bool) -> Any:
    _check_zip(path)
    try:
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException
    except ImportError as error:
        raise ConfigError("models in the skops format need skops: pip install skops") from error
    try:
        return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path) if trusted else [])
    except UntrustedTypesFoundException as error:
        raise ConfigError(
            f"{path.name} holds types that are not known to be safe ({_first_line(error)}): log XGBoost or a linear "
            "model; or, if you trust everybody who could write it, open it with train.open_model(..., trusted=True)"
        ) from error
    except (KeyError, ValueError, TypeError, AttributeError, ImportError, OSError) as error:
        raise ArtifactCorrupt(f"{path.name} is not a skops file: {type(error).__name__} {error}") from error


def _check_zip(path: Path) -> None:
    """Refuse an archive that unpacks to more than the machine can hold."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ArtifactCorrupt(f"{path.name} is not a skops file: {error}") from error
    size = sum(entry.file_size for entry in entries)
    if size > _LARGEST_UNPACKED or len(entries) > _MOST_ENTRIES:
        raise ConfigError(
            f"{path.name} unpacks to {size} bytes in {len(entries)} files, more than is loaded "
            f"({_LARGEST_UNPACKED} bytes in {_MOST_ENTRIES} files)"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


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


def _info(about: Mapping[str, Any], flavour: str, columns: tuple[tuple[str, str], ...], binary: bool) -> dict[str, Any]:
    """What the rest of raylake reads of a model, in the shape of ``model.json``."""
    task = "binary" if binary else "regression"
    return {
        "format": 1,
        "flavour": f"{FLAVOUR}-{flavour}",
        "signature": {
            "columns": [{"name": name, "type": kind} for name, kind in columns],
            "label": "prediction",
            "task": task,
            "classes": [0, 1] if binary else [],
        },
        "matrix_columns": [name for name, _ in columns],
        "run": str(about.get("run_id") or ""),
        "trainer": {},
        "training": None,
        "feature_set": None,
        "torch": {},
        "metrics": {},
        "libraries": versions(),
        "files": {},
    }
