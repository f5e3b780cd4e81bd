"""Spaces whose parameters depend on each other: what is proposed, and how past proposals are recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core import ConfigError
from .space import Choice, Domain, Integer, Real, choice, contains, integer, real

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_SEPARATOR = "="
_SCALARS = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Branch:
    """One of several values, each with parameters of its own; see `branch`."""

    options: tuple[tuple[Any, tuple[tuple[str, Dimension], ...]], ...]

    @property
    def values(self) -> tuple[Any, ...]:
        """The values to choose from."""
        return tuple(value for value, _ in self.options)

    def below(self, value: Any) -> dict[str, Dimension]:
        """The parameters that exist when `value` is chosen; LookupError if it is none of the values."""
        for option, inner in self.options:
            if option == value and type(option) is type(value):
                return dict(inner)
        raise LookupError(value)


Dimension = Domain | Branch
Space = Mapping[str, Dimension]


def branch(options: Mapping[Any, Space]) -> Branch:
    """One of the keys of `options`; what hangs below the chosen key is searched too, to any depth.

    Raises:
        ConfigError: No option, an option that is no text, number, boolean or ``None``, or a domain that is none.

    Example:
        >>> grow = branch({"depthwise": {"max_depth": integer(2, 8)}, "lossguide": {"max_leaves": integer(8, 64)}})
        >>> grow.values, list(grow.below("lossguide"))
        (('depthwise', 'lossguide'), ['max_leaves'])
    """
    if not options:
        raise ConfigError("branch({}) is not valid: give at least one option")
    for value, inner in options.items():
        if not isinstance(value, _SCALARS):
            raise ConfigError(f"branch option {value!r} is not valid: use text, numbers, booleans or None")
        check_dimensions(inner)
    return Branch(tuple((value, tuple(inner.items())) for value, inner in options.items()))


def check_dimensions(space: Space) -> None:
    """Raise unless every value of `space` is a domain.

    Raises:
        ConfigError: One is not, a name holds ``=``, or two parameters that can exist at once have one name.

    Example:
        >>> check_dimensions({"depth": (3, 9)})
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: space['depth'] = (3, 9) is not a domain: use tune.integer, tune.real, ...
    """
    for name, domain in space.items():
        if not isinstance(name, str) or not name or _SEPARATOR in name:
            raise ConfigError(f"name {name!r} of a parameter is not valid: use text without {_SEPARATOR!r}")
        if not isinstance(domain, Integer | Real | Choice | Branch):
            raise ConfigError(
                f"space[{name!r}] = {domain!r} is not a domain: use tune.integer, tune.real, tune.choice or tune.branch"
            )
    _check_apart(space)


def _check_apart(space: Space) -> None:
    """Parameters that can exist at the same time must differ in name."""
    owners: dict[str, str] = {}
    for name, domain in space.items():
        for each in _names(name, domain):
            if each in owners:
                raise ConfigError(
                    f"parameter {each!r} stands below both {owners[each]!r} and {name!r}, which can be chosen at once: "
                    "give it two names"
                )
        owners |= dict.fromkeys(_names(name, domain), name)


def _names(name: str, domain: Dimension) -> set[str]:
    below = domain.options if isinstance(domain, Branch) else ()
    return {name}.union(*(_names(key, each) for _, inner in below for key, each in inner))


@dataclass(frozen=True, slots=True)
class Place:
    """A parameter where it stands in the tree.

    Attributes:
        key: What the sampler calls it: below a branch, the way there and the name.
        name: The parameter's own name.
        domain: What it may be.
    """

    key: str
    name: str
    domain: Domain

    def distribution(self) -> BaseDistribution:
        """Optuna's value."""
        return self.domain.distribution()


def walk(space: Space, choose: Callable[[Place], Any], way: str = "") -> dict[str, Any]:
    """Choose a value for each parameter that exists, from the top down.

    Args:
        space: The tree.
        choose: Called with each place once; what it returns decides which branch is taken.
        way: The way to this part of the tree.

    Returns:
        Values by the parameters' own names.

    Example:
        >>> space = {"booster": branch({"gbtree": {}, "dart": {"rate_drop": real(0, 1)}}), "max_depth": integer(2, 6)}
        >>> walk(space, lambda place: {"booster": "dart", "booster=dart.rate_drop": 0.5, "max_depth": 3}[place.key])
        {'booster': 'dart', 'rate_drop': 0.5, 'max_depth': 3}
    """
    found: dict[str, Any] = {}
    for name, domain in space.items():
        key = f"{way}{name}"
        if isinstance(domain, Branch):
            found[name] = value = choose(Place(key, name, Choice(domain.values)))
            found |= walk(domain.below(value), choose, f"{key}{_SEPARATOR}{value}.")
        else:
            found[name] = choose(Place(key, name, domain))
    return found


def propose(space: Space, trial: Any) -> dict[str, Any]:
    """The values that an Optuna trial suggests for the parameters that exist.

    Example:
        >>> from optuna.trial import FixedTrial
        >>> propose({"max_depth": integer(2, 6)}, FixedTrial({"max_depth": 3}))
        {'max_depth': 3}
    """
    return walk(space, lambda place: place.domain.suggest(trial, place.key))


def places(space: Space, params: Mapping[str, Any]) -> dict[Place, Any] | None:
    """Where each of `params` stands in `space`; ``None`` when the space cannot have proposed them.

    Example:
        >>> space = {"max_depth": integer(2, 6)}
        >>> [place.key for place in places(space, {"max_depth": 3})], places(space, {"max_depth": 9})
        (['max_depth'], None)
    """
    found: dict[Place, Any] = {}

    def choose(place: Place) -> Any:
        value = params[place.name]
        if not contains(place.domain, value):
            raise LookupError(place.name)
        found[place] = value
        return value

    try:
        named = walk(space, choose)
    except LookupError:
        return None
    return found if named.keys() == set(params) else None


def grid(space: Space, most: int) -> list[dict[str, Any]]:
    """Every combination, the last parameter turning fastest.

    Args:
        space: Choices, branches and whole numbers.
        most: The most combinations that are made.

    Raises:
        ConfigError: A real domain, which has no finite grid, or more than `most` combinations.

    Example:
        >>> grid({"a": integer(1, 2), "b": choice("x", "y")}, 10)
        [{'a': 1, 'b': 'x'}, {'a': 1, 'b': 'y'}, {'a': 2, 'b': 'x'}, {'a': 2, 'b': 'y'}]
    """
    found = []
    for point in _points(list(space.items())):
        found.append(point)
        if len(found) > most:
            raise ConfigError(f"the grid has more than {most} points: raise trials, or give fewer values")
    return found


def _points(dimensions: list[tuple[str, Dimension]]) -> Iterator[dict[str, Any]]:
    if not dimensions:
        yield {}
        return
    (name, domain), rest = dimensions[0], dimensions[1:]
    for value in _values(name, domain):
        inner = list(domain.below(value).items()) if isinstance(domain, Branch) else []
        for point in _points([*inner, *rest]):
            yield {name: value, **point}


def _values(name: str, domain: Dimension) -> Iterator[Any]:
    if isinstance(domain, Real):
        raise ConfigError(
            f"space[{name!r}] = {domain!r} has no finite grid: use tune.choice or tune.integer, or another sampler"
        )
    if isinstance(domain, Integer):
        yield from range(domain.low, domain.high + 1)
    else:
        yield from domain.values


def space_to_dict(space: Space) -> dict[str, Any]:
    """A JSON-able copy.

    Example:
        >>> space_to_dict({"lr": real(0.01, 0.1, log=True)})
        {'lr': {'kind': 'real', 'low': 0.01, 'high': 0.1, 'log': True}}
    """
    return {name: _to_dict(domain) for name, domain in space.items()}


def space_from_dict(found: Mapping[str, Any]) -> dict[str, Dimension]:
    """The inverse of `space_to_dict`, checked as if it were written in Python.

    Raises:
        ConfigError: An unknown kind, a missing field, or a domain that is not valid.

    Example:
        >>> space_from_dict({"depth": {"kind": "integer", "low": 2, "high": 6}})
        {'depth': Integer(low=2, high=6, log=False)}
    """
    space = {name: _from_dict(name, given) for name, given in found.items()}
    check_dimensions(space)
    return space


def _to_dict(domain: Dimension) -> dict[str, Any]:
    if isinstance(domain, Branch):
        options = [{"value": value, "space": space_to_dict(dict(inner))} for value, inner in domain.options]
        return {"kind": "branch", "options": options}
    if isinstance(domain, Choice):
        return {"kind": "choice", "values": list(domain.values)}
    kind = "integer" if isinstance(domain, Integer) else "real"
    return {"kind": kind, "low": domain.low, "high": domain.high, "log": domain.log}


def _from_dict(name: str, given: Any) -> Dimension:
    try:
        kind = given["kind"]
        if kind == "branch":
            return branch({option["value"]: space_from_dict(option.get("space", {})) for option in given["options"]})
        if kind == "choice":
            return choice(*given["values"])
        if kind in ("integer", "real"):
            make = integer if kind == "integer" else real
            return make(given["low"], given["high"], log=bool(given.get("log", False)))
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"domain {name!r} = {given!r} is not valid: {type(error).__name__} {error}") from error
    raise ConfigError(f"domain {name!r} has kind {kind!r}: use integer, real, choice or branch")
