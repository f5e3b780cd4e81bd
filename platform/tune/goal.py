"""What a study is after: metrics, directions, how many trials, who proposes and who stops them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..core import ConfigError
from .samplers import check_sampler

PRUNERS = ("asha", "median", "none")
MODES = ("max", "min")
_LARGER_IS_BETTER = frozenset({"auc", "accuracy", "r2", "f1_macro"})


@dataclass(frozen=True, slots=True)
class Goal:
    """See `search` for the meaning of each field.

    Attributes:
        metrics: One metric, or several for a Pareto front.
        modes: ``max`` or ``min`` for each.
        trials: Trials in all.
        sampler: Who proposes.
        pruner: Who stops trials that fall behind.
        seed: Seed of the proposals.

    Example:
        >>> Goal(("auc",), ("max",), 20).directions
        ('maximize',)
    """

    metrics: tuple[str, ...]
    modes: tuple[str, ...]
    trials: int
    sampler: str = "tpe"
    pruner: str = "asha"
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.trials, int) or self.trials < 1:
            raise ConfigError(f"trials={self.trials!r} is not valid: use 1 or more")
        if not self.metrics or len(set(self.metrics)) != len(self.metrics):
            raise ConfigError(f"metrics {self.metrics!r} are not valid: name at least one, each once")
        strange = [mode for mode in self.modes if mode not in MODES]
        if strange or len(self.modes) != len(self.metrics):
            raise ConfigError(f"mode {(strange or list(self.modes))[0]!r} is not known: use max or min, one a metric")
        if self.pruner not in PRUNERS:
            raise ConfigError(f"pruner {self.pruner!r} is not known: use one of {', '.join(PRUNERS)}")
        check_sampler(self.sampler, len(self.metrics))

    @property
    def metric(self) -> str:
        """The first metric, by which the best trial is chosen."""
        return self.metrics[0]

    @property
    def sign(self) -> int:
        """1 if more of the first metric is better, else -1."""
        return 1 if self.modes[0] == "max" else -1

    @property
    def directions(self) -> tuple[Literal["maximize", "minimize"], ...]:
        """Optuna's words for `modes`."""
        return tuple("maximize" if mode == "max" else "minimize" for mode in self.modes)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy; a single metric stands alone."""
        one = len(self.metrics) == 1
        return {
            "metric": self.metric if one else list(self.metrics),
            "mode": self.modes[0] if one else list(self.modes),
            **{name: getattr(self, name) for name in ("trials", "sampler", "pruner", "seed")},
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Goal:
        """The inverse of `to_dict`."""
        return cls(
            as_tuple(found["metric"]),
            as_tuple(found["mode"]),
            int(found["trials"]),
            str(found.get("sampler", "tpe")),
            str(found.get("pruner", "asha")),
            int(found.get("seed", 0)),
        )


def as_tuple(value: str | Sequence[str]) -> tuple[str, ...]:
    """One word or several, as a tuple.

    Example:
        >>> as_tuple("auc"), as_tuple(["auc", "seconds"])
        (('auc',), ('auc', 'seconds'))
    """
    return (value,) if isinstance(value, str) else tuple(value)


def usual_mode(metric: str) -> str:
    """What is better for one of `evaluate`'s metrics.

    Example:
        >>> usual_mode("auc"), usual_mode("rmse")
        ('max', 'min')
    """
    return "max" if metric in _LARGER_IS_BETTER else "min"
