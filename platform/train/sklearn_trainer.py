"""`Sklearn`: any estimator or pipeline of scikit-learn as a trainer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core import ConfigError
from .blueprint import blueprint, build
from .trainer import Loop

_PREPARES = ("sklearn.pipeline:Pipeline", "sklearn.compose._column_transformer:ColumnTransformer")


@dataclass(frozen=True, slots=True, init=False)
class Sklearn:
    """An estimator or pipeline of scikit-learn; its parameters are kept, nothing that it learned.

    A pipeline gets the columns of the training set as a pandas frame, by name, with text as text, and prepares them
    itself; an estimator alone gets numbers without missing values, scaled and one-hot (unless the Spec has a recipe).
    ``random_state`` and ``n_jobs`` that were left open are set from the Spec: several workers share the estimator's own
    parallel work (trees of a forest, folds of a search) through Ray's joblib backend.

    Attributes:
        estimator: The blueprint, as JSON text; `build` makes the estimator.

    Raises:
        ConfigError: No estimator, or one with parameters that cannot be stored.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> trainer = Sklearn(LogisticRegression(C=0.1))
        >>> trainer.updated(C=2.0).build()
        LogisticRegression(C=2.0)
        >>> trainer == Sklearn(LogisticRegression(C=0.1))
        True
    """

    kind: ClassVar[str] = "sklearn"
    flavour: ClassVar[str] = ""
    worker_loop: ClassVar[Loop] = Loop("sklearn_loop:train_sklearn")

    estimator: str

    def __init__(self, estimator: Any) -> None:
        text = estimator if isinstance(estimator, str) else blueprint(estimator)
        object.__setattr__(self, "estimator", text)

    @property
    def takes(self) -> str:
        """``columns`` for a pipeline, ``dense`` for an estimator alone."""
        return "columns" if json.loads(self.estimator).get("class") in _PREPARES else "dense"

    def build(self) -> Any:
        """The unfitted estimator."""
        return build(self.estimator)

    def task(self) -> str | None:
        """Regression for regressors; ``None`` for classifiers, whose labels tell.

        Raises:
            ConfigError: Neither a classifier nor a regressor.
        """
        from sklearn.base import is_classifier, is_regressor

        estimator = self.build()
        if is_regressor(estimator):
            return "regression"
        if is_classifier(estimator):
            return None
        raise ConfigError(f"{type(estimator).__name__} is neither a classifier nor a regressor: raylake trains these")

    def check(self, task: str) -> None:
        """Raise ConfigError unless the estimator suits `task`."""
        if task == "regression" and self.task() is None:
            raise ConfigError(
                f"{type(self.build()).__name__} is a classifier, and the label holds numbers: use a regressor, or "
                "Spec(task='multiclass') for numbers that are classes"
            )

    def updated(self, **changes: Any) -> Sklearn:
        """A copy with other parameters, named as in ``set_params``: ``step__parameter`` inside a pipeline.

        Raises:
            ConfigError: The estimator has no such parameter.
        """
        try:
            return Sklearn(self.build().set_params(**changes))
        except ValueError as error:
            raise ConfigError(str(error).replace("\n", " ")) from error

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return {"kind": self.kind, "estimator": json.loads(self.estimator)}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Sklearn:
        """The inverse of `to_dict`."""
        return cls(json.dumps(found["estimator"], sort_keys=True))
