"""Studies are remembered as registry runs: from these Optuna learns what was tried, in this study or an earlier one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..registry import Run
from .goal import Goal
from .samplers import make_sampler
from .tree import Space, grid, places

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.trial import FrozenTrial

STUDY_NAME = "optuna"


def was_cut_off(trial: Run) -> bool:
    """Whether a trial was interrupted, with its driver or by a person, rather than stopped by a pruner.

    Such a trial says nothing about its parameters, and is run again when its study is resumed.
    """
    return trial.status == "stopped" and bool(trial.error)


def recalled(space: Space, goal: Goal, trial: Run) -> FrozenTrial | None:
    """What Optuna may learn from a trial's run.

    Returns:
        Running trials too, so that nobody proposes the same again. ``None`` for one that was cut off, and for
        parameters that `space` would not propose: then nothing is learned from it.
    """
    from optuna.trial import TrialState, create_trial

    standing = places(space, dict(trial.params))
    if standing is None or was_cut_off(trial):
        return None
    values = [trial.metrics.get(name, math.nan) for name in goal.metrics]
    is_open = trial.status in ("running", "scheduled")
    known = not is_open and trial.status != "failed" and all(math.isfinite(value) for value in values)
    ended = TrialState.COMPLETE if known else TrialState.FAIL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return create_trial(
            state=TrialState.RUNNING if is_open else ended,
            values=values if known else None,
            params={place.key: value for place, value in standing.items()},
            distributions={place.key: place.distribution() for place in standing},
        )


def remember(
    space: Space,
    goal: Goal,
    trials: Iterable[Run] = (),
    *,
    first: Iterable[Mapping[str, Any]] = (),
    at: int = 0,
) -> OptunaStudy:
    """An Optuna study in memory that knows past trials.

    Args:
        space: What may be proposed.
        goal: What is sought.
        trials: Trials so far, of this study or of earlier ones; those that do not fit `space` are passed over.
        first: Parameters that are proposed before anything is sampled; those that do not fit are passed over.
        at: Number of proposals so far: each place in a study has a seed of its own.

    Returns:
        The study, called `STUDY_NAME`.

    Example:
        >>> from raylake.tune import integer
        >>> study = remember({"depth": integer(2, 6)}, Goal(("auc",), ("max",), 5), first=[{"depth": 3}])
        >>> study.ask({"depth": integer(2, 6).distribution()}).params
        {'depth': 3}
    """
    import optuna

    study = optuna.create_study(
        storage=optuna.storages.InMemoryStorage(),
        study_name=STUDY_NAME,
        directions=list(goal.directions),
        sampler=make_sampler(goal.sampler, seed=goal.seed + at, trials=goal.trials),
        pruner=optuna.pruners.NopPruner(),
    )
    past = list(trials)
    study.add_trials([trial for trial in (recalled(space, goal, each) for each in past) if trial is not None])
    tried = [dict(trial.params) for trial in past if not was_cut_off(trial)]
    wanted = [dict(point) for point in first]
    if goal.sampler == "grid":
        wanted += grid(space, goal.trials)
    for point in wanted:
        standing = places(space, point)
        if standing is not None and point not in tried:
            study.enqueue_trial({place.key: value for place, value in standing.items()})
            tried.append(point)
    return study
