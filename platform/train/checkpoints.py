"""When a fit saves its state, and what it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..core import ConfigError


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """When to save, what to keep, and how often to go on from there by itself.

    A checkpoint holds weights, optimiser and the position in the data (or the trees so far), so that a run goes on
    with the very next batch. It is written beside the training, under ``<root>/runs``.

    Attributes:
        every: Steps (boosting rounds, batches) between two checkpoints; ``None`` saves by time (default).
        seconds: Seconds between two checkpoints when `every` is ``None`` (default 60).
        keep: How many of the newest to keep (default 2).
        best: A metric that the workers report (``valid_loss``, ``valid_logloss``…): the checkpoint with its best value
            is kept as well. Higher is better for ``auc`` and ``accuracy``, lower for all others.
        retries: How often a run goes on by itself after a worker or node was lost (default 3).

    Raises:
        ConfigError: A number that means nothing.

    Example:
        >>> Checkpoints(every=100).every
        100
    """

    every: int | None = None
    seconds: float = 60.0
    keep: int = 2
    best: str | None = None
    retries: int = 3

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("keep", 1), ("retries", 0)):
            value = getattr(self, name)
            if value is None and name == "every":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"Checkpoints({name}={value!r}) is not valid: use a whole number of {least} or more")
        if not self.seconds > 0:
            raise ConfigError(f"Checkpoints(seconds={self.seconds!r}) is not valid: use a number above 0")

    @property
    def higher_is_better(self) -> bool:
        """Whether `best` is the largest value."""
        return bool(self.best) and str(self.best).endswith(("auc", "accuracy", "r2"))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Checkpoints:
        """The inverse of `to_dict`."""
        return cls(**found)
