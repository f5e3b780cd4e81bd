"""How much a search may take, besides its number of trials."""

from __future__ import annotations

from dataclasses import dataclass

from ..core import ConfigError


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a search; whichever is reached first ends it, and the best trial so far is fitted.

    Attributes:
        seconds: Wall time of the trials.
        cpu_seconds: Threads of a trial times its time, of all trials together.
        patience: Trials in a row that need not improve the best value.

    Example:
        >>> Budget(seconds=600, patience=20)
        Budget(seconds=600, cpu_seconds=None, patience=20)
    """

    seconds: float | None = None
    cpu_seconds: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "cpu_seconds", "patience"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
                raise ConfigError(f"Budget({name}={value!r}) is not valid: use a number above 0, or None for no limit")

    def to_dict(self) -> dict[str, float | int | None]:
        """A JSON-able copy."""
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "patience": self.patience}
