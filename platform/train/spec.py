"""The specification of a fit: a frozen value that can be stored, compared and run again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ..core import ConfigError, check_name
from ..data import Recipe
from ..features import TrainingSet
from .checkpoints import Checkpoints
from .compute import Compute
from .evaluate import check_task
from .recipe_steps import recipe_to_list
from .torch_trainer import Torch
from .trainer import Trainer
from .trainers import Lightning

Window = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Spec:
    """What to fit, on which rows, with which resources.

    Attributes:
        trainer: `XGBoost`, `LightGBM`, `Sklearn`, `Torch`, `Lightning`, `MLP(...)` or `Function`.
        training: The pinned training set.
        label: Label column; default the training set's.
        recipe: Preparation steps, fitted on the training rows only; ``None`` derives what the trainer needs from
            the column types (codes for text; for networks also imputing and scaling).
        compute: Workers and their resources.
        validation: Share of the newest rows by event time kept for validation (default 0.2), or a window
            ``(start, end)`` of aware datetimes: training takes rows before `start`, validation ``[start, end)``;
            0 trains on everything and records metrics of the training rows as ``train_*``.
        seed: Seed of everything random.
        name: Name of the run; default the training set's.
        task: ``binary``, ``multiclass``, ``regression``, or ``auto`` (binary for bool, 0/1 and two texts, multiclass
            for more texts, regression for other numbers).
        checkpoints: When to save the state, what to keep, how often to go on from there.

    Example:
        >>> from raylake import train
        >>> spec = train.Spec(train.XGBoost(), training)
        >>> spec.target, spec.replace(seed=1).seed
        ('late', 1)
    """

    trainer: Trainer
    training: TrainingSet
    label: str | None = None
    recipe: Recipe | None = field(default=None, kw_only=True)
    compute: Compute = field(default=Compute(), kw_only=True)
    validation: float | Window = field(default=0.2, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    name: str | None = field(default=None, kw_only=True)
    task: str = field(default="auto", kw_only=True)
    checkpoints: Checkpoints = field(default=Checkpoints(), kw_only=True)

    def __post_init__(self) -> None:
        if self.task != "auto":
            check_task(self.task)
        if self.name is not None:
            check_name(self.name, "name of the run")
        _check_validation(self.validation)
        _check_parallel(self.trainer, self.compute)

    @property
    def target(self) -> str:
        """Name of the label column."""
        return self.label or self.training.label

    @property
    def run_name(self) -> str:
        """Name of the run."""
        return self.name or self.training.name

    def replace(self, **changes: Any) -> Spec:
        """A copy with other fields."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description (not the training rows: their pinned table)."""
        return {
            "trainer": self.trainer.to_dict(),
            "training": str(self.training.version),
            "label": self.target,
            "recipe": recipe_to_list(self.recipe),
            "compute": self.compute.to_dict(),
            "validation": _plain(self.validation),
            "seed": self.seed,
            "name": self.run_name,
            "task": self.task,
            "checkpoints": self.checkpoints.to_dict(),
        }


def _plain(validation: float | Window) -> float | list[str]:
    if isinstance(validation, tuple):
        return [moment.isoformat() for moment in validation]
    return validation


def _check_validation(validation: float | Window) -> None:
    if not isinstance(validation, tuple):
        if not 0 <= validation < 1:
            raise ConfigError(f"validation={validation!r} is not valid: use a share of 0 or more and less than 1")
        return
    if len(validation) != 2 or any(moment.tzinfo is None for moment in validation) or validation[0] >= validation[1]:
        raise ConfigError(
            f"validation={validation!r} is not valid: give (start, end), two aware datetimes with start < end"
        )


def _check_parallel(trainer: Trainer, compute: Compute) -> None:
    network = isinstance(trainer, Lightning | Torch)
    if not network and (compute.parallel != "ddp" or compute.precision != "32"):
        raise ConfigError(
            f"parallel={compute.parallel!r}, precision={compute.precision!r} are for networks, not for "
            f"{type(trainer).__name__}: leave them out"
        )
    piped = compute.parallel in ("pipeline", "gpipe")
    if piped and compute.precision != "32":
        raise ConfigError(f"parallel={compute.parallel!r} computes in 32 bits: leave precision out")
    if isinstance(trainer, Lightning) and piped:
        raise ConfigError("Lightning has no pipeline strategy: use train.Torch, or parallel='fsdp' or 'tensor'")
