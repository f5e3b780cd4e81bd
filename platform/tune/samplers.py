"""Who proposes: Optuna's samplers by name."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ..core import ConfigError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SAMPLERS = ("tpe", "gp", "cmaes", "nsga2", "random", "grid")


def check_sampler(name: str, objectives: int) -> str:
    """Return `name` if it can search for so many objectives.

    Raises:
        ConfigError: An unknown sampler, or one that is made for a single objective.

    Example:
        >>> check_sampler("cmaes", 2)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: sampler 'cmaes' takes one metric, not 2: use tpe, nsga2, random or grid
    """
    if name not in SAMPLERS:
        raise ConfigError(f"sampler {name!r} is not known: use one of {', '.join(SAMPLERS)}")
    if objectives > 1 and name in ("gp", "cmaes"):
        raise ConfigError(f"sampler {name!r} takes one metric, not {objectives}: use tpe, nsga2, random or grid")
    return name


def make_sampler(name: str, *, seed: int, trials: int) -> BaseSampler:
    """Optuna's sampler.

    ``tpe``: multivariate Tree-structured Parzen Estimator (Bergstra et al., 2011; Falkner et al., 2018); ``gp``:
    Gaussian process with expected improvement; ``cmaes``: CMA-ES (Hansen, 2016); ``nsga2``: NSGA-II (Deb et al.,
    2002); ``grid`` takes its points in order, so that nothing is left to sample.

    Args:
        name: One of `SAMPLERS`.
        seed: Seed of the proposals.
        trials: Trials of the whole study: a small one begins to model earlier.

    Example:
        >>> type(make_sampler("tpe", seed=1, trials=20)).__name__
        'TPESampler'
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    begin = min(10, max(3, trials // 3))
    samplers: Any = optuna.samplers
    with warnings.catch_warnings():
        # Multivariate sampling is experimental, and the switch for its own warnings is about to go.
        for kind in (optuna.exceptions.ExperimentalWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        if name == "gp":
            found = samplers.GPSampler(seed=seed, n_startup_trials=begin)
        elif name == "cmaes":
            found = samplers.CmaEsSampler(seed=seed, n_startup_trials=begin, warn_independent_sampling=False)
        elif name == "nsga2":
            found = samplers.NSGAIISampler(seed=seed, population_size=max(4, min(50, trials // 3)))
        elif name in ("random", "grid"):
            found = samplers.RandomSampler(seed=seed)
        else:
            # Optuna's default begins with ten random trials, which is more than a small study has in all.
            found = samplers.TPESampler(
                seed=seed, n_startup_trials=begin, constant_liar=True, multivariate=True, group=True,
                warn_independent_sampling=False,
            )  # fmt: skip
    sampler: BaseSampler = found
    return sampler
