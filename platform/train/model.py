"""A trained model, loaded: signature, recipe, feature set and a thread-safe `predict`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..core import ArtifactCorrupt, InvalidName, NotFound, Ref, SchemaMismatch, Workspace
from ..data import FittedRecipe
from ..data import table as read_table
from ..features import FeatureSet
from ..registry import ModelVersion, fetch_folder, model_version
from .flavours import Predictor, TablePredictor, open_predictor
from .mlflow_folder import is_mlflow_folder, open_mlflow
from .signature import Signature, to_matrix

INFO_FILE = "model.json"
RECIPE_FILE = "recipe.json"
REFERENCE_FILE = "reference.parquet"
FORMAT = 1
_HEX = frozenset("0123456789abcdef")


class LoadedModel:
    """A model in memory. Thread-safe: all methods only read.

    Attributes:
        info: Contents of ``model.json``.
        signature: Input columns and types, label, task.
        recipe: Preparation applied before the model, or ``None``.
        matrix_columns: Columns of the matrix that the model itself takes (after the recipe), in order.
        predictor: The framework's own model, as its flavour loaded it.

    Example:
        >>> model = open_model(ws, "flight-delay@champion")
        >>> model.signature.names
        ('distance', 'wind', 'carrier', 'night')
        >>> model.predict(read_table(ws, "flights")).shape
        (500,)
    """

    def __init__(
        self,
        info: Mapping[str, Any],
        predictor: Predictor | TablePredictor,
        recipe: FittedRecipe | None,
        reference: bytes,
    ) -> None:
        self.info = dict(info)
        self.signature = Signature.from_dict(info["signature"])
        self.recipe = recipe
        self.matrix_columns = tuple(info["matrix_columns"])
        self.predictor = predictor
        self._reference = reference

    @property
    def feature_set(self) -> FeatureSet | None:
        """The feature set that the model was trained on, or ``None`` when it had none."""
        found = self.info.get("feature_set")
        return None if found is None else FeatureSet.from_dict(found)

    @property
    def reference(self) -> pa.Table:
        """Seeded sample of the training set (at most 20,000 rows): input columns before the recipe, and ``score``.

        Without rows for a model that MLflow's client logged: it brings no sample.
        """
        if not self._reference:
            return self.signature.schema.append(pa.field("score", pa.float64())).empty_table()
        return pq.read_table(pa.BufferReader(self._reference))

    def predict(self, features: pa.Table) -> NDArray[np.float64]:
        """Scores of the rows of `features`.

        Args:
            features: All input columns of the signature; others are ignored.

        Returns:
            (n,): probability of the second class (``binary``) or the value (``regression``); (n, classes):
            probabilities in the order of `signature.classes` (``multiclass``).

        Raises:
            SchemaMismatch: A column is missing or has a type that does not fit, or the model gives another shape.
        """
        prepared = self.prepare(features)
        if isinstance(self.predictor, TablePredictor):
            return self._shaped(self.predictor.predict_table(prepared), prepared.num_rows)
        return self.predict_matrix(to_matrix(prepared, self.matrix_columns))

    def prepare(self, features: pa.Table) -> pa.Table:
        """The input columns of `features`, cast to the signature's types, after the recipe."""
        chosen = self.signature.select(features)
        return chosen if self.recipe is None else self.recipe.apply(chosen)

    def matrix(self, features: pa.Table) -> NDArray[np.float32]:
        """The float32 (n, len(matrix_columns)) matrix of `features` after the recipe; NaN where missing.

        Raises:
            SchemaMismatch: The model takes text as it is, which no matrix holds.
        """
        return to_matrix(self.prepare(features), self.matrix_columns)

    def predict_matrix(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores, as `predict`'s, of a float32 matrix (n, len(matrix_columns)) that already went through the recipe.

        Raises:
            SchemaMismatch: The matrix has another shape.

        This is the fast way for single rows.
        """
        if matrix.ndim != 2 or matrix.shape[1] != len(self.matrix_columns):
            raise SchemaMismatch(
                f"matrix {matrix.shape} does not fit: the model takes (rows, {len(self.matrix_columns)}) "
                f"with the columns {', '.join(self.matrix_columns)}"
            )
        if isinstance(self.predictor, TablePredictor):
            rows = pa.table({name: matrix[:, index] for index, name in enumerate(self.matrix_columns)})
            return self._shaped(self.predictor.predict_table(rows), len(matrix))
        return self._shaped(self.predictor.predict(matrix), len(matrix))

    def _shaped(self, scores: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
        outputs = self.signature.outputs
        expected = (rows,) if outputs == 1 else (rows, outputs)
        if not rows:
            return scores.reshape(expected)
        if scores.shape != expected:
            raise SchemaMismatch(
                f"the model gave {scores.shape} for {rows} rows, and its signature says {self.signature.task} with "
                f"classes {self.signature.classes}, so {expected}: store it with the task and the classes it has"
            )
        return scores


def load_model(folder: Path, *, threads: int = 1, trusted: bool = False) -> LoadedModel:
    """Load a model folder; every file's hash is checked against ``model.json``.

    A folder that MLflow's client wrote is loaded too, if it holds XGBoost, LightGBM, ONNX, or scikit-learn in the skops
    format.

    Args:
        folder: The folder; nothing of it is needed afterwards.
        threads: Threads of one prediction (default 1, best for single rows).
        trusted: Load MLflow's pickled models too, which run whatever code they hold, and any type in skops files.

    Raises:
        NotFound: No model folder.
        ArtifactCorrupt: A file is missing or changed.
        ConfigError: An unknown flavour, or a class that cannot be imported.

    Example:
        >>> load_model(Path("/nowhere"))
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: no model in /nowhere: model.json is missing
    """
    if is_mlflow_folder(Path(folder)) and not (Path(folder) / INFO_FILE).exists():
        return LoadedModel(*open_mlflow(Path(folder), threads, trusted=trusted), None, b"")
    info = _read_info(Path(folder))
    for name, facts in info["files"].items():
        _check_file(Path(folder), name, facts["sha256"])
    recipe = None
    if RECIPE_FILE in info["files"]:
        recipe = FittedRecipe.from_json((folder / RECIPE_FILE).read_text())
    reference = (folder / REFERENCE_FILE).read_bytes()
    return LoadedModel(info, open_predictor(Path(folder), info, threads, trusted=trusted), recipe, reference)


def open_model(ws: Workspace, ref: str | ModelVersion, *, threads: int = 1, trusted: bool = False) -> LoadedModel:
    """Load a model of the registry.

    Args:
        ws: The workspace.
        ref: ``name``, ``name@version``, ``name@alias``, a ModelVersion, or the digest of a model's artifact.
        threads: Threads of one prediction.
        trusted: Load MLflow's pickled models too, which run whatever code they hold, and any type in skops files.

    Raises:
        NotFound: No such model, version or alias.
        ConfigError: The flavour is unknown, or the model is pickled and not `trusted`.
        ArtifactCorrupt: A stored file is missing or changed.

    Example:
        >>> open_model(ws, "flight-delay@champion").signature.label
        'late'
    """
    digest = _digest(ws, ref)
    with tempfile.TemporaryDirectory(prefix="raylake-model-") as folder:
        return load_model(fetch_folder(ws, digest, Path(folder) / "model"), threads=threads, trusted=trusted)


def predict_table(
    ws: Workspace, model: str | ModelVersion | LoadedModel, rows: pa.Table | Ref | str
) -> NDArray[np.float64]:
    """Score all rows of a table: `rows` is a ``pa.Table`` or a reference such as ``training.flights@3``.

    Returns:
        float64 (n,), or (n, classes) for several classes; see `LoadedModel.predict`.

    Raises:
        NotFound: No such model or table.
        SchemaMismatch: The table lacks columns of the model.

    Example:
        >>> predict_table(ws, "flight-delay@champion", "training.flights").shape
        (500,)
    """
    loaded = model if isinstance(model, LoadedModel) else open_model(ws, model)
    if not isinstance(rows, pa.Table):
        rows = read_table(ws, rows, columns=list(loaded.signature.names))
    return loaded.predict(rows)


def _digest(ws: Workspace, ref: str | ModelVersion) -> str:
    if not isinstance(ref, str):
        return ref.artifact
    if len(ref) == 64 and set(ref) <= _HEX:
        return ref
    return model_version(ws, ref).artifact


def _read_info(folder: Path) -> dict[str, Any]:
    path = folder / INFO_FILE
    if not path.is_file():
        raise NotFound(f"no model in {folder}: {INFO_FILE} is missing")
    try:
        info: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ArtifactCorrupt(f"{path} is not JSON: {error}. Register the model again") from error
    if info.get("format") != FORMAT:
        raise ArtifactCorrupt(
            f"{path} has format {info.get('format')!r}, and this raylake reads {FORMAT}: upgrade raylake"
        )
    return info


def _check_file(folder: Path, name: str, expected: str) -> None:
    if "/" in name or "\\" in name or name.startswith("."):
        raise InvalidName(f"file name {name!r} in {INFO_FILE} is not valid: a model's files lie in its own folder")
    path = folder / name
    if not path.is_file():
        raise ArtifactCorrupt(f"{name} is missing in the model folder {folder}: fetch the model again")
    actual = sha256(path.read_bytes()).hexdigest()
    if actual != expected:
        raise ArtifactCorrupt(
            f"{name} has hash {actual[:12]}…, and {INFO_FILE} says {expected[:12]}…: the file was changed or damaged; "
            "fetch the model again"
        )
