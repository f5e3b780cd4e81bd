"""Models that were trained elsewhere, as model folders of ours."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..core import ConfigError, DataError, Workspace
from ..data import FittedRecipe
from ..registry import put_folder
from .complete import REFERENCE_ROWS, as_column
from .evaluate import check_task
from .flavours import SKLEARN_FILE, flavour_of
from .flavours.sklearn_flavour import plain_classes
from .folder import Description, write_info, write_recipe, write_reference
from .model import LoadedModel, load_model
from .signature import Signature


def store_model(
    ws: Workspace,
    model: Any,
    rows: pa.Table,
    *,
    task: str,
    label: str = "prediction",
    classes: Sequence[int | str] = (),
    recipe: FittedRecipe | None = None,
    options: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> str:
    """Store a model that was trained outside of `fit`, in its framework's safe format.

    It is loaded again and predicts `rows` before anything is stored.

    Args:
        ws: The workspace.
        model: A fitted estimator of scikit-learn, a booster of XGBoost or LightGBM, a torch or Lightning module, an
            ONNX model (``onnx.load(path)``), or a function marked with `predictor`.
        rows: Some input rows (at most 20,000 are kept, for drift reports): they give the signature.
        task: ``binary``, ``multiclass`` or ``regression``.
        label: What it predicts.
        classes: Labels in the order of the probabilities; default the model's own, else 0 and 1, or 0, 1, 2, ...
        recipe: Preparation between `rows` and the model.
        options: What the flavour must be told: arguments of a torch module's class or of a function; ``output`` and
            ``activation`` of an ONNX model; ``trusted`` to store an estimator that only ``trusted=True`` loads again.
        metrics: Metrics to record with it.

    Returns:
        Digest of the stored folder, for `registry.register_artifact`.

    Raises:
        ConfigError: No flavour stores the model safely; the message says what to do.
        DataError, SchemaMismatch: `rows` are none, or do not fit the model.

    Example:
        >>> from raylake.train import open_model
        >>> from sklearn.linear_model import LogisticRegression
        >>> rows = pa.table({"distance": [100.0, 2000.0, 300.0, 2500.0]})
        >>> model = LogisticRegression().fit(rows.to_pandas(), [0, 1, 0, 1])
        >>> digest = store_model(ws, model, rows, task="binary", label="late")
        >>> open_model(ws, digest).predict(rows).round().tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    check_task(task)
    if not rows.num_rows:
        raise DataError("0 rows to store a model with: give at least one row that it can predict")
    with tempfile.TemporaryDirectory(prefix="raylake-store-") as name:
        folder = Path(name) / "model"
        folder.mkdir()
        settings = dict(options or {})
        flavour = flavour_of(model)
        facts = flavour.save(model, folder, settings)
        named = _classes(model, task, classes)
        signature = Signature.of(rows.schema, label, task, named)
        columns = tuple(rows.column_names if recipe is None else recipe.output_columns)
        about = Description(flavour.name, signature, columns, "", {}, "", facts=facts, metrics=dict(metrics or {}))
        write_recipe(folder, recipe)
        sample = rows.slice(0, REFERENCE_ROWS)
        write_reference(folder, sample)
        write_info(folder, about)
        trusted = bool(settings.get("trusted")) and facts["file"] == SKLEARN_FILE
        _finish(folder, about, load_model(folder, trusted=trusted), sample)
        return put_folder(ws, folder)


def _classes(model: Any, task: str, classes: Sequence[int | str]) -> tuple[int | str, ...]:
    if task == "regression":
        if classes:
            raise ConfigError(f"classes={tuple(classes)!r} are for classifiers, and the task is regression")
        return ()
    if classes:
        return tuple(classes)
    found = getattr(model, "classes_", None)
    if found is not None:
        return plain_classes(found)
    if task == "binary":
        return (0, 1)
    raise ConfigError("classes=() of a multiclass model: name the classes in the order of its probabilities")


def _finish(folder: Path, about: Description, model: LoadedModel, sample: pa.Table) -> None:
    scores = model.predict(sample)
    write_reference(folder, sample.append_column("score", pa.array(as_column(scores))))
    write_info(folder, about)
