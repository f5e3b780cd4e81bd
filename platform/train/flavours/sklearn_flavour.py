"""scikit-learn: estimators and pipelines through skops."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...core import ConfigError, SchemaMismatch
from .protocol import Scores, Stored, frameworks
from .skops_file import dump_skops, load_skops

if TYPE_CHECKING:
    import pandas as pd

SKLEARN_FILE = "model.skops"


class SklearnFlavour:
    """A fitted estimator or pipeline of scikit-learn."""

    name = "sklearn"

    def claims(self, model: object) -> bool:
        """Fitted estimators of scikit-learn, and classes that derive from its bases."""
        return "sklearn" in frameworks(model) and hasattr(model, "predict")

    def save(self, model: Any, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Write ``model.skops``."""
        check_estimator(model, type(model).__name__)
        content, unknown = dump_skops(model)
        if unknown and not options.get("trusted"):
            raise ConfigError(
                f"{type(model).__name__} holds {', '.join(unknown)}, which raylake would refuse to load, because a "
                f"file could misuse them{_instead(unknown)}. Use another estimator, or export it to ONNX; or store it "
                "with options={'trusted': True} and load it with trusted=True wherever it is used"
            )
        (folder / SKLEARN_FILE).write_bytes(content)
        return {"file": SKLEARN_FILE}

    def load(self, folder: Path, stored: Stored) -> SklearnPredictor:
        """Read ``model.skops``."""
        model = load_skops(folder / SKLEARN_FILE, trusted=stored.trusted)
        return SklearnPredictor(model, stored.columns, type(model).__name__)


class SklearnPredictor:
    """A scikit-learn estimator.

    Args:
        estimator: The estimator; a classifier must have `predict_proba`.
        columns: Names of its columns.
        what: What to call it in messages.

    Attributes:
        classes: Its classes; none for a regressor.
        estimator: scikit-learn's own.
    """

    def __init__(self, estimator: Any, columns: tuple[str, ...], what: str) -> None:
        check_estimator(estimator, what)
        self.classes = tuple(np.asarray(getattr(estimator, "classes_", ())).tolist())
        self.estimator = estimator
        self._columns = columns

    def predict_table(self, rows: pa.Table) -> Scores:
        """Probabilities of the second class or of all, or regression values."""
        if not rows.num_rows:
            return np.zeros((0, len(self.classes)) if len(self.classes) > 2 else 0)
        frame = to_frame(rows.select(list(self._columns)))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X has feature names", category=UserWarning)
            try:
                if not self.classes:
                    return np.asarray(self.estimator.predict(frame), dtype=np.float64).reshape(len(frame))
                found = np.asarray(self.estimator.predict_proba(frame), dtype=np.float64)
            except ValueError as error:
                raise SchemaMismatch(f"the estimator does not take these rows: {error}") from error
        return found if len(self.classes) > 2 else found[:, 1]


def check_estimator(estimator: Any, what: str) -> None:
    """Raise ConfigError unless `estimator` gives probabilities or values."""
    classes = getattr(estimator, "classes_", None)
    if classes is not None and len(classes) < 2:
        raise ConfigError(f"{what} has {len(classes)} classes: a classifier needs two or more")
    if classes is not None and not hasattr(estimator, "predict_proba"):
        raise ConfigError(f"{what} is a classifier without predict_proba: use one that gives probabilities")


def plain_classes(classes: Any) -> tuple[int | str, ...]:
    """Classes of an estimator as whole numbers and text.

    Example:
        >>> plain_classes([False, True]), plain_classes([1.0, 2.0])
        ((0, 1), (1, 2))
    """
    found = np.asarray(classes).tolist()
    return tuple(each if isinstance(each, str) else int(each) for each in found)


def to_frame(rows: pa.Table) -> pd.DataFrame:
    """The columns as scikit-learn takes them, the same whatever the batch: numbers and booleans as floats, NaN where
    missing; text as text.

    Example:
        >>> to_frame(pa.table({"a": [1, None], "c": ["x", "y"], "b": [True, False]})).dtypes.astype(str).tolist()
        ['float64', 'str', 'float64']
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_boolean(kind):
            columns[name] = column.cast(pa.uint8()).cast(pa.float64()).to_numpy()
        elif pa.types.is_float32(kind):
            columns[name] = column.to_numpy()
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            columns[name] = column.cast(pa.float64(), safe=False).to_numpy()
        elif pa.types.is_null(kind):
            columns[name] = np.full(len(column), np.nan)
        elif pa.types.is_temporal(kind):
            columns[name] = column.to_pandas()
        else:
            columns[name] = pd.array(column.cast(pa.string()).to_pylist(), dtype="str")
    return pd.DataFrame(columns, copy=False)


def _instead(unknown: list[str]) -> str:
    searches = any(name.endswith(("KDTree", "BallTree")) for name in unknown)
    return " (nearest neighbours: choose algorithm='brute')" if searches else ""
