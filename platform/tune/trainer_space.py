"""A space against the trainer whose parameters it names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from ..core import ConfigError
from ..train import Lightning, XGBoost
from ..train.trainer import Trainer
from .space import Choice, Domain
from .tree import Branch, Space, check_dimensions, places, walk

Searchable = XGBoost | Lightning


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


def check_space(space: Space, trainer: Searchable) -> None:
    """Raise unless every name of `space` is a parameter of `trainer`, and every value a domain.

    Raises:
        ConfigError: An empty space, an unknown parameter, or a value that is no domain.

    Example:
        >>> from raylake.tune import integer
        >>> check_space({"max_dept": integer(3, 9)}, XGBoost())
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: XGBoost has no parameter 'max_dept': did you mean 'max_depth'? ...
    """
    if not space:
        raise ConfigError(
            "the search space is empty: name at least one parameter, such as max_depth=tune.integer(3, 9)"
        )
    check_dimensions(space)
    if isinstance(trainer, Lightning):
        _check_names({name for name, _ in domains(space)}, {"max_epochs", "batch_size", *trainer.options})
    for name, domain in domains(space):
        trainer.updated(**{name: domain.values[0] if isinstance(domain, Choice) else domain.low})


def domains(space: Space) -> Iterator[tuple[str, Domain]]:
    """Every parameter of the tree and what it may be; the same name may come in several branches.

    Example:
        >>> from raylake.tune import branch, integer
        >>> [name for name, _ in domains({"booster": branch({"gbtree": {"max_depth": integer(2, 6)}})})]
        ['booster', 'max_depth']
    """
    for name, domain in space.items():
        if isinstance(domain, Branch):
            yield name, Choice(domain.values)
            for value in domain.values:
                yield from domains(domain.below(value))
        else:
            yield name, domain


def given_point(space: Space, trainer: Searchable) -> list[dict[str, Any]]:
    """The parameters that the trainer has already, if the space could propose them: they are tried first."""
    given = dict(trainer.params if isinstance(trainer, XGBoost) else trainer.options)
    try:
        point = walk(space, lambda place: given[place.name])
    except LookupError:
        return []
    return [point] if places(space, point) is not None else []


def most_rounds(space: Space, trainer: Searchable) -> int:
    """The largest number of rounds or epochs that a trial may take."""
    name = "rounds" if isinstance(trainer, XGBoost) else "max_epochs"
    found = [domain for other, domain in domains(space) if other == name]
    return max((_largest(domain) for domain in found), default=int(getattr(trainer, name)))


def _largest(domain: Domain) -> int:
    return int(max(domain.values)) if isinstance(domain, Choice) else int(domain.high)


def _check_names(names: set[str], known: set[str]) -> None:
    for name in sorted(names - known):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"the trainer has no parameter {name!r}: {hint}It has {', '.join(sorted(known))}")
