"""Search spaces: what a parameter may be. Frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True, slots=True)
class Integer:
    """Whole numbers from `low` to `high`, both included; see `integer`."""

    low: int
    high: int
    log: bool = False

    def distribution(self) -> BaseDistribution:
        """Optuna's value."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log)

    def suggest(self, trial: Any, key: str) -> int:
        """What an Optuna trial proposes under `key`."""
        return int(trial.suggest_int(key, self.low, self.high, log=self.log))


@dataclass(frozen=True, slots=True)
class Real:
    """Numbers from `low` to `high`; see `real`."""

    low: float
    high: float
    log: bool = False

    def distribution(self) -> BaseDistribution:
        """Optuna's value."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log)

    def suggest(self, trial: Any, key: str) -> float:
        """What an Optuna trial proposes under `key`."""
        return float(trial.suggest_float(key, self.low, self.high, log=self.log))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `values`; see `choice`."""

    values: tuple[Any, ...]

    def distribution(self) -> BaseDistribution:
        """Optuna's value."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def suggest(self, trial: Any, key: str) -> Any:
        """What an Optuna trial proposes under `key`."""
        return trial.suggest_categorical(key, self.values)


Domain = Integer | Real | Choice


def integer(low: int, high: int, *, log: bool = False) -> Integer:
    """Whole numbers from `low` to `high`, both included; `log` searches orders of magnitude.

    Raises:
        ConfigError: Not whole numbers, `low` above `high`, or `log` from below 1.

    Example:
        >>> integer(3, 9)
        Integer(low=3, high=9, log=False)
    """
    if not all(isinstance(bound, int) and not isinstance(bound, bool) for bound in (low, high)):
        raise ConfigError(f"integer({low!r}, {high!r}) is not valid: give whole numbers, or use tune.real")
    _check_bounds("integer", low, high, log, smallest=1)
    return Integer(low, high, log)


def real(low: float, high: float, *, log: bool = False) -> Real:
    """Numbers from `low` to `high`; `log` searches orders of magnitude.

    Raises:
        ConfigError: `low` above `high`, a bound that is not finite, or `log` from 0 or below.

    Example:
        >>> real(0.3, 0.02)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: real(0.3, 0.02) is not valid: the lower bound comes first
    """
    _check_bounds("real", low, high, log, smallest=math.ulp(0.0))
    return Real(float(low), float(high), log)


def choice(*values: Any) -> Choice:
    """One of `values` (text, numbers, booleans or ``None``).

    Raises:
        ConfigError: No value, or one of another type.

    Example:
        >>> choice("depthwise", "lossguide")
        Choice(values=('depthwise', 'lossguide'))
    """
    if not values:
        raise ConfigError("choice() is not valid: give at least one value")
    strange = [value for value in values if not isinstance(value, str | int | float | bool | None)]
    if strange:
        raise ConfigError(f"choice({strange[0]!r}) is not valid: use text, numbers, booleans or None")
    return Choice(tuple(values))


def contains(domain: Domain, value: Any) -> bool:
    """Whether `value` can be proposed by `domain`.

    Example:
        >>> contains(integer(3, 9), 6), contains(real(0.0, 1.0), 2.0), contains(choice("a"), "a")
        (True, False, True)
    """
    if isinstance(domain, Choice):
        return value in domain.values
    whole = isinstance(value, int) and not isinstance(value, bool)
    number = whole or (isinstance(domain, Real) and isinstance(value, float))
    return number and domain.low <= value <= domain.high


def _check_bounds(kind: str, low: float, high: float, log: bool, *, smallest: float) -> None:
    text = f"{kind}({low!r}, {high!r}{', log=True' if log else ''})"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"{text} is not valid: bounds are finite numbers")
    if low > high:
        raise ConfigError(f"{text} is not valid: the lower bound comes first")
    if log and low < smallest:
        raise ConfigError(f"{text} is not valid: a logarithmic scale starts above 0")
