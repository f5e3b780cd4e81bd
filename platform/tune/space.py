"""Search spaces: what a parameter may be. Frozen values."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core import ConfigError
from ..train import Lightning, XGBoost
from ..train.trainer import Trainer

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


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `values`; see `choice`."""

    values: tuple[Any, ...]

    def distribution(self) -> BaseDistribution:
        """Optuna's value."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


Domain = Integer | Real | Choice
Searchable = XGBoost | Lightning


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


def searchable(trainer: Trainer) -> Searchable:
    """The trainer, if its parameters can be searched.

    Raises:
        ConfigError: A trainer that does not train in steps that a search can stop.

    Example:
        >>> searchable(XGBoost(5)).rounds
        5
    """
    if not isinstance(trainer, XGBoost | Lightning):
        raise ConfigError(
            f"a search takes train.XGBoost, train.Lightning and train.MLP, not {type(trainer).__name__}: "
            "fit it with train.fit for each of the values"
        )
    return trainer


def check_space(space: Mapping[str, Domain], trainer: XGBoost | Lightning) -> None:
    """Raise unless every name of `space` is a parameter of `trainer`, and every value a domain.

    Raises:
        ConfigError: An empty space, an unknown parameter, or a value that is no domain.

    Example:
        >>> check_space({"max_dept": integer(3, 9)}, XGBoost())
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: XGBoost has no parameter 'max_dept': did you mean 'max_depth'? ...
    """
    if not space:
        raise ConfigError(
            "the search space is empty: name at least one parameter, such as max_depth=tune.integer(3, 9)"
        )
    for name, domain in space.items():
        if not isinstance(domain, Integer | Real | Choice):
            raise ConfigError(
                f"space[{name!r}] = {domain!r} is not a domain: use tune.integer, tune.real or tune.choice"
            )
    if isinstance(trainer, Lightning):
        _check_names(set(space), {"max_epochs", "batch_size", *trainer.options})
    for name, domain in space.items():
        trainer.updated(**{name: _example(domain)})


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


def _check_names(names: set[str], known: set[str]) -> None:
    for name in sorted(names - known):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"the trainer has no parameter {name!r}: {hint}It has {', '.join(sorted(known))}")


def _example(domain: Domain) -> Any:
    return domain.values[0] if isinstance(domain, Choice) else domain.low


def _check_bounds(kind: str, low: float, high: float, log: bool, *, smallest: float) -> None:
    text = f"{kind}({low!r}, {high!r}{', log=True' if log else ''})"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"{text} is not valid: bounds are finite numbers")
    if low > high:
        raise ConfigError(f"{text} is not valid: the lower bound comes first")
    if log and low < smallest:
        raise ConfigError(f"{text} is not valid: a logarithmic scale starts above 0")
