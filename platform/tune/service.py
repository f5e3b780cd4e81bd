"""Ask and tell: a study whose trials run anywhere, in any language. All of it is in the registry.

As in Vizier (Golovin et al., 2017): a client asks for parameters, tries them however it likes, and reports what came of
it. Each trial is a registry run, so a server that is killed loses nothing, and studies are listed like all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from ..core import ConfigError, Conflict, NotFound, Workspace, exclusive
from ..registry import Run, finish_run, log_metrics, metric_history, runs, start_run
from ..registry import run as run_of
from ..registry import trials as trials_of
from .goal import Goal, as_tuple
from .memory import remember
from .pruning import falls_behind
from .tree import Space, check_dimensions, propose, space_from_dict, space_to_dict

_SERVICE, _CLIENT = "ask_tell", "client"
_PATIENCE_SECONDS = 30.0
MOST_SUGGESTIONS = 1_000


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Parameters to try.

    Attributes:
        trial: Id of the trial's run; `tell` takes it.
        params: Values by name.
        client: Who asked.
    """

    trial: str
    params: Mapping[str, Any]
    client: str


@dataclass(frozen=True, slots=True)
class Told:
    """A trial after a report.

    Attributes:
        trial: The trial's run.
        stop: Whether it has fallen behind and need not go on; only with a pruner.
    """

    trial: Run
    stop: bool


def open_study(
    ws: Workspace,
    name: str,
    space: Space,
    *,
    metric: str | Sequence[str],
    mode: str | Sequence[str] = "max",
    trials: int = 100,
    sampler: str = "tpe",
    pruner: str = "none",
    seed: int = 0,
) -> Run:
    """Open a study whose trials are run by whoever asks.

    Opening it again with the same definition returns the one that is open: clients need not agree who begins.

    Args:
        ws: The workspace.
        name: Its name, unique among the open ones.
        space: What may be proposed, see `search`.
        metric: What the clients will report; several for a Pareto front.
        mode: ``max`` or ``min`` for each metric.
        trials: How many trials are handed out in all.
        sampler: Who proposes: ``tpe``, ``gp``, ``cmaes``, ``nsga2``, ``random`` or ``grid``.
        pruner: ``median`` tells clients to stop trials that fall behind, ``none`` does not.
        seed: Seed of the proposals.

    Returns:
        The study's run; its id is what `ask` takes.

    Raises:
        ConfigError: The space, the sampler or another argument is not valid.
        Conflict: A study of this name is open with another definition.

    Example:
        >>> import tempfile
        >>> from raylake import tune
        >>> lake = Workspace.open(tempfile.mkdtemp())
        >>> study = open_study(lake, "ovens", {"heat": tune.real(150, 250)}, metric="crunch", trials=3)
        >>> (suggestion,) = ask(lake, study.id)
        >>> tell(lake, suggestion.trial, {"crunch": 0.7}).trial.status
        'finished'
    """
    modes = as_tuple(mode)
    metrics = as_tuple(metric)
    goal = Goal(metrics, modes * len(metrics) if len(modes) == 1 else modes, trials, sampler, pruner, seed)
    if pruner == "asha" or (pruner != "none" and len(metrics) > 1):
        raise ConfigError(f"pruner {pruner!r} is not for this study: use median with one metric, or none")
    if not space:
        raise ConfigError("the search space is empty: name at least one parameter")
    check_dimensions(space)
    params = {"space": space_to_dict(space), **goal.to_dict()}
    with exclusive(ws, "studies", patience=_PATIENCE_SECONDS):
        for known in runs(ws, kind="study", status="running", limit=None):
            if known.name == name and known.tags.get(_SERVICE):
                if dict(known.params) == params:
                    return known
                raise Conflict(f"study {name!r} is open with another definition: end it, or choose another name")
        return start_run(ws, "study", name, params=params, tags={_SERVICE: True})


def ask(ws: Workspace, study: str, *, count: int = 1, client: str = "") -> list[Suggestion]:
    """Parameters to try next.

    Args:
        ws: The workspace.
        study: Id of the study's run.
        count: How many.
        client: Name of who asks. Its trials without a result come first: a client that was restarted gets them again.

    Returns:
        At most `count`; fewer, or none, when the study has handed out all its trials.

    Raises:
        NotFound: No such study.
        Conflict: The study has ended.
        ConfigError: `count` is not between 1 and 1,000.

    Example:
        >>> import tempfile
        >>> from raylake import tune
        >>> lake = Workspace.open(tempfile.mkdtemp())
        >>> study = open_study(lake, "ovens", {"heat": tune.choice(150, 180)}, metric="crunch", sampler="grid")
        >>> [suggestion.params["heat"] for suggestion in ask(lake, study.id, count=3)]
        [150, 180]
    """
    if not isinstance(count, int) or not 1 <= count <= MOST_SUGGESTIONS:
        raise ConfigError(f"count={count!r} is not valid: ask for 1 to {MOST_SUGGESTIONS:,}")
    with _alone(ws, study):
        found = _study(ws, study)
        if found.status != "running":
            raise Conflict(f"study {found.name!r} has ended ({found.status}): open another one")
        past = trials_of(ws, found.id)
        mine = [trial for trial in past if client and trial.tags.get(_CLIENT) == client and trial.status == "running"]
        handed = [Suggestion(trial.id, dict(trial.params), client) for trial in mine[:count]]
        return handed + _fresh(ws, found, past, count - len(handed), client)


def tell(
    ws: Workspace,
    trial: str,
    metrics: Mapping[str, float] | None = None,
    *,
    step: int | None = None,
    status: Literal["running", "finished", "failed", "stopped"] | None = None,
    error: str = "",
) -> Told:
    """Report what came of a trial.

    A final report that is repeated with the same figures changes nothing, so a client may retry.

    Args:
        ws: The workspace.
        trial: Id of the trial's run.
        metrics: Figures, those of the study among them when the trial is finished.
        step: How far the trial is; a report with a step and no status is not final.
        status: ``running`` for a report on the way, ``finished`` (default without a step), ``failed``, ``stopped``.
        error: Why it failed.

    Raises:
        NotFound: No such trial.
        Conflict: The trial has ended with other figures.
        ConfigError: A finished trial without the study's metrics.
        DataError: A metric is not a number.

    Example:
        >>> import tempfile
        >>> from raylake import tune
        >>> lake = Workspace.open(tempfile.mkdtemp())
        >>> study = open_study(lake, "ovens", {"heat": tune.real(150, 250)}, metric="crunch")
        >>> (suggestion,) = ask(lake, study.id)
        >>> tell(lake, suggestion.trial, {"crunch": 0.2}, step=1).trial.status
        'running'
    """
    figures = {name: float(value) for name, value in (metrics or {}).items()}
    found = run_of(ws, trial)
    parent = _study(ws, found.parent or "")
    goal = Goal.from_dict(parent.params)
    final = status or ("finished" if step is None else "running")
    if final == "running":
        log_metrics(ws, found.id, figures, step=step or 0)
        return Told(run_of(ws, trial), _behind(ws, goal, found))
    if final == "finished" and (missing := [name for name in goal.metrics if name not in figures]):
        raise ConfigError(f"the report of trial {trial} lacks {', '.join(missing)}: a finished trial has the metrics")
    if found.status != "running":
        if found.status == final and all(found.metrics.get(name) == value for name, value in figures.items()):
            return Told(found, False)
        raise Conflict(f"trial {trial} has ended ({found.status}) with other figures: {dict(found.metrics)}")
    return Told(finish_run(ws, found.id, status=final, metrics=figures, error=error), False)


def close_study(ws: Workspace, study: str) -> Run:
    """End a study: its open trials are stopped, and it hands out no more.

    Returns:
        The study's run, with the best value of each metric.

    Raises:
        NotFound: No such study.
        Conflict: It has ended already.

    Example:
        >>> import tempfile
        >>> from raylake import tune
        >>> lake = Workspace.open(tempfile.mkdtemp())
        >>> study = open_study(lake, "ovens", {"heat": tune.real(150, 250)}, metric="crunch")
        >>> _ = tell(lake, ask(lake, study.id)[0].trial, {"crunch": 0.2})
        >>> close_study(lake, study.id).metrics
        {'best_crunch': 0.2}
    """
    with _alone(ws, study):
        found = _study(ws, study)
        goal = Goal.from_dict(found.params)
        best: dict[str, float] = {}
        for trial in trials_of(ws, found.id):
            if trial.status == "running":
                finish_run(ws, trial.id, status="stopped", error="the study was closed")
            elif trial.status == "finished":
                for name, mode in zip(goal.metrics, goal.modes, strict=True):
                    better = max if mode == "max" else min
                    best[f"best_{name}"] = better(trial.metrics[name], best.get(f"best_{name}", trial.metrics[name]))
        return finish_run(ws, found.id, metrics=best)


def _fresh(ws: Workspace, study: Run, past: Sequence[Run], count: int, client: str) -> list[Suggestion]:
    goal = Goal.from_dict(study.params)
    space = space_from_dict(study.params["space"])
    count = min(count, goal.trials - len(past))
    if count <= 0:
        return []
    optuna_study = remember(space, goal, past, at=len(past))
    if goal.sampler == "grid":
        from optuna.trial import TrialState

        count = min(count, len(optuna_study.get_trials(states=[TrialState.WAITING])))
    made = []
    for _ in range(count):
        trial = optuna_study.ask()
        params = propose(space, trial)
        run = start_run(ws, "trial", study.name, params=params, tags={_CLIENT: client}, parent=study.id)
        made.append(Suggestion(run.id, params, client))
    return made


def _behind(ws: Workspace, goal: Goal, trial: Run) -> bool:
    if goal.pruner != "median" or trial.parent is None:
        return False
    others = [
        metric_history(ws, other.id, goal.metric)
        for other in trials_of(ws, trial.parent)
        if other.id != trial.id and other.status == "finished"
    ]
    return falls_behind(metric_history(ws, trial.id, goal.metric), others, larger_is_better=goal.sign > 0)


def _alone(ws: Workspace, study: str) -> AbstractContextManager[None]:
    """Two servers on one machine must not propose from the same past."""
    return exclusive(ws, f"study-{_study(ws, study).id}", patience=_PATIENCE_SECONDS)


def _study(ws: Workspace, study: str) -> Run:
    found = run_of(ws, study)
    if found.kind != "study" or not found.tags.get(_SERVICE):
        raise NotFound(f"study {study!r} is not known: `raylake tune studies` lists those that take suggestions")
    return found
