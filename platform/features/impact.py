"""How much each column tells about the label: the measures, as tasks that run here or on Ray.

Mutual information (Kraskov and others 2004, Ross 2014) and permutation importance (Breiman 2001) are scikit-learn's;
gain and SHAP values (Lundberg and others 2020, TreeSHAP) XGBoost's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core import DataError
from .dtypes import type_name

Matrix = np.ndarray[Any, np.dtype[Any]]
Scores = np.ndarray[Any, np.dtype[np.float64]]
METHODS = ("mutual_information", "permutation", "gain", "shap")
MOST_CLASSES = 20
COLUMNS_PER_TASK = 4
ROWS_PER_TASK = 20_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of a training set as numbers, in the order of event time.

    Attributes:
        columns: Names of the features.
        inputs: float32 (rows, columns); text as the number of its value, NaN where missing.
        discrete: bool (columns,): text and boolean columns.
        label: (rows,): class 0, 1, ... or float64.
        classes: Number of classes; 0 for regression.
    """

    columns: tuple[str, ...]
    inputs: Matrix
    discrete: Matrix
    label: Matrix
    classes: int

    @property
    def newest(self) -> int:
        """Where the newest quarter begins: models are fitted before and judged from here."""
        return len(self.label) * 3 // 4

    @property
    def scoring(self) -> str:
        """scikit-learn's name of the score that models are judged by."""
        return {0: "r2", 2: "roc_auc"}.get(self.classes, "neg_log_loss")


def sample_of(rows: pa.Table, columns: Sequence[str], label: str, event_time: str, most: int, seed: int) -> Sample:
    """Up to `most` rows with a label, drawn at random.

    Raises:
        DataError: Fewer than 20 rows have a label, or it has one value only.
    """
    rows = rows.filter(pc.is_valid(rows[label]))
    if rows.num_rows > most:
        chosen = np.sort(np.random.default_rng(seed).choice(rows.num_rows, most, replace=False))
        rows = rows.take(pa.array(chosen))
    rows = rows.sort_by(event_time)
    distinct = pc.count_distinct(rows[label]).as_py()
    if rows.num_rows < 20 or distinct < 2:
        raise DataError(
            f"label {label!r} has {rows.num_rows} rows of {distinct} values: ranking needs 20 rows and two values"
        )
    kind = type_name(rows.schema.field(label).type)
    classes = distinct if distinct == 2 or (kind in ("string", "bool", "int64") and distinct <= MOST_CLASSES) else 0
    target = _codes(rows[label]) if classes else rows[label].cast(pa.float64()).to_numpy()
    return Sample(
        tuple(columns),
        np.column_stack([_numbers(rows[name]) for name in columns]),
        np.array([type_name(rows.schema.field(name).type) in ("string", "bool") for name in columns]),
        target,
        classes,
    )


def scores_of(sample: Sample, method: str, repeats: int, seed: int, run: Callable[..., list[Any]]) -> Scores:
    """Scores (repeats or 1, columns) by one of `METHODS`.

    Args:
        sample: The rows.
        method: The measure.
        repeats: How often ``permutation`` shuffles each column.
        seed: Of all that is drawn.
        run: Calls a function with the sample and each of some arguments, here or in tasks.
    """
    if method == "mutual_information":
        parts = [slice(at, at + COLUMNS_PER_TASK) for at in range(0, len(sample.columns), COLUMNS_PER_TASK)]
        return np.concatenate(run(_information, sample, [(part, seed) for part in parts]))[None, :]
    model = fitted(sample, seed)
    if method == "permutation":
        return np.stack(run(_permuted, sample, [(model, seed + number) for number in range(repeats)]))
    if method == "gain":
        return np.asarray(model.feature_importances_, dtype=np.float64)[None, :]
    starts = range(sample.newest, len(sample.label), ROWS_PER_TASK)
    found = run(_shap, sample, [(model, slice(at, at + ROWS_PER_TASK)) for at in starts])
    return np.asarray(sum(total for total, _ in found) / sum(count for _, count in found))[None, :]


def fitted(sample: Sample, seed: int) -> Any:
    """Boosted trees on the oldest three quarters of the rows.

    Raises:
        DataError: The oldest rows have one class only.
    """
    import xgboost

    options = {"n_estimators": 100, "max_depth": 6, "tree_method": "hist", "importance_type": "gain", "n_jobs": 1}
    make = xgboost.XGBClassifier if sample.classes else xgboost.XGBRegressor
    label = sample.label[: sample.newest]
    for part in (label, sample.label[sample.newest :]):
        if sample.classes and len(np.unique(part)) < sample.classes:
            raise DataError("some class is missing among the oldest or the newest rows: rank on a longer time")
    return make(random_state=seed, **options).fit(sample.inputs[: sample.newest], label)


def score(sample: Sample, seed: int) -> float:
    """`Sample.scoring` of boosted trees on the newest quarter."""
    from sklearn.metrics import get_scorer

    newest = slice(sample.newest, None)
    return float(get_scorer(sample.scoring)(fitted(sample, seed), sample.inputs[newest], sample.label[newest]))


def _information(sample: Sample, part: slice, seed: int) -> Scores:
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    inputs = sample.inputs[:, part].astype(np.float64)
    missing = np.isnan(inputs)
    counts = np.maximum((~missing).sum(axis=0), 1)
    inputs = np.where(missing, np.nansum(inputs, axis=0) / counts, inputs)  # it cannot be told otherwise
    measure = mutual_info_classif if sample.classes else mutual_info_regression
    found = measure(inputs, sample.label, discrete_features=sample.discrete[part], random_state=seed, n_jobs=1)
    # The estimator adds noise to tell equal values apart, and finds a little information in a constant.
    return np.where(np.ptp(inputs, axis=0) > 0, found, 0.0)


def _permuted(sample: Sample, model: Any, seed: int) -> Scores:
    from sklearn.inspection import permutation_importance

    newest = slice(sample.newest, None)
    found = permutation_importance(
        model, sample.inputs[newest], sample.label[newest], scoring=sample.scoring, n_repeats=1, random_state=seed
    )
    return np.asarray(found.importances_mean, dtype=np.float64)


def _shap(sample: Sample, model: Any, rows: slice) -> tuple[Scores, int]:
    """Sum of the absolute SHAP values per column over some rows (and classes), and the number of rows."""
    import xgboost

    inputs = sample.inputs[rows]
    found = np.abs(model.get_booster().predict(xgboost.DMatrix(inputs), pred_contribs=True))[..., :-1]
    return found.sum(axis=tuple(range(found.ndim - 1))).astype(np.float64), len(inputs)


def _codes(column: pa.ChunkedArray) -> Matrix:
    """The number of each value among the sorted values; NaN for null."""
    values = np.unique(np.asarray(column.drop_null().to_pylist()))
    places = pc.index_in(column, pa.array(values.tolist(), column.type))
    return np.asarray(places.to_numpy(), dtype=np.float64 if column.null_count else np.int64)


def _numbers(column: pa.ChunkedArray) -> Matrix:
    kind = type_name(column.type)
    if kind == "string":
        return _codes(column.cast(pa.string())).astype(np.float32)
    if kind in ("timestamp", "date"):
        column = column.cast(pa.timestamp("us", tz="UTC") if kind == "timestamp" else pa.date32())
        column = column.cast(pa.int64() if kind == "timestamp" else pa.int32())
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float32)
