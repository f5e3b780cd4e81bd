"""What the trainers of boosted trees share: rounds, early stopping, and the library's own parameters, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from .trainer import check_positive, freeze


@dataclass(frozen=True, slots=True, init=False)
class Boosted:
    """Gradient-boosted trees of some library; a subclass says which parameters it knows.

    Attributes:
        rounds: Number of boosting rounds (default 100).
        early_stopping: Stop when the validation metric has not improved for so many rounds; ``None`` never stops.
        settings: The library's own parameters as sorted pairs; see `params`.
    """

    kind: ClassVar[str]

    rounds: int
    early_stopping: int | None
    settings: tuple[tuple[str, Any], ...]

    def __init__(self, rounds: int = 100, *, early_stopping: int | None = None, **params: Any) -> None:
        # `settings` arrives here when dataclasses.replace() copies a value.
        merged = {**dict(params.pop("settings", ())), **params}
        for name in merged:
            self.check_parameter(name)
        check_positive(type(self).__name__, "rounds", rounds)
        if early_stopping is not None:
            check_positive(type(self).__name__, "early_stopping", early_stopping)
        object.__setattr__(self, "rounds", rounds)
        object.__setattr__(self, "early_stopping", early_stopping)
        object.__setattr__(self, "settings", tuple(sorted((k, freeze(v)) for k, v in merged.items())))

    @classmethod
    def check_parameter(cls, name: str) -> None:
        """Raise ConfigError unless the library knows the parameter and raylake does not set it."""
        raise NotImplementedError

    @property
    def params(self) -> dict[str, Any]:
        """The library's parameters as a new dict."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.settings}

    def check(self, task: str) -> None:
        """Any task."""

    def updated(self, **changes: Any) -> Self:
        """A copy with other parameters or rounds.

        Example:
            >>> from raylake.train import XGBoost
            >>> XGBoost(50, max_depth=6).updated(max_depth=3, rounds=9)
            XGBoost(rounds=9, early_stopping=None, settings=(('max_depth', 3),))
        """
        given = {"rounds": self.rounds, "early_stopping": self.early_stopping, **self.params, **changes}
        return type(self)(**given)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        extra = {} if self.early_stopping is None else {"early_stopping": self.early_stopping}
        return {"kind": self.kind, "rounds": self.rounds, **extra, **self.params}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**found)
