"""One turn of the loop as steps of a pipeline: report, and, when the policy says so, retrain, judge, promote.

Each step can be repeated: what an earlier try recorded is found. The steps hold no CPU of their own, because fitting
starts workers that need them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from .. import pipelines, registry
from ..core import RaylakeError, Workspace, exclusive
from ..pipelines import Pipeline
from ..registry import DriftReport, ModelVersion
from . import attempt as attempts
from .attempt import Attempt
from .figures import Figures, measure, serving_model
from .loop import assess
from .policy import Action, Policy
from .reports import publish
from .traffic import Named, endpoint_name

_TRIES = {"cpus": 0, "retries": 5, "backoff": 2.0}  # another monitor may be at work on the endpoint for a while


@dataclass(frozen=True, slots=True)
class Assessed:
    """Where a turn stands after its first step, and the figures to be reported."""

    turn: Turn
    figures: Figures


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn has come to.

    Attributes:
        endpoint: Name of the endpoint.
        champion: The version that answered when the turn began.
        action: ``keep``, ``retrain`` while a challenger is sought, then ``promote`` or ``reject``.
        sentence: Why, in one sentence with its numbers.
        drift_share: Share of the drifted columns.
        drifted: Their names.
        attempt: Id of the attempt's run, ``""`` when the champion is kept without one.
        promoted: The version the alias now points at, ``None`` when it stayed.
    """

    endpoint: str
    champion: ModelVersion
    action: Action
    sentence: str
    drift_share: float
    drifted: tuple[str, ...]
    attempt: str = ""
    promoted: ModelVersion | None = None


def turn(endpoint: Any, policy: Any, *, due: Any = "", window: Any = None, named: str = "") -> Any:
    """Wire one turn of the loop into the pipeline that is being defined; `step` does the same without a pipeline.

    Args:
        endpoint: Name of the endpoint, or an output that is.
        policy: The `Policy`, or an output that is.
        due: The present moment, ISO 8601; ``""`` is the time at which the step runs.
        window: Start (included) and end (excluded) of the reported traffic; default the policy's before `due`.
        named: Ending of the steps' names, to tell several turns of one pipeline apart.

    Returns:
        An output that is the `Turn` when it has ended.

    Example:
        >>> from raylake import pipelines
        >>> @pipelines.pipeline
        ... def twice(due: str = ""):
        ...     return [turn("delays", Policy(), due=due, named="delays"), turn("gates", Policy(), named="gates")]
        >>> twice.graph.keys[:4]
        ('assess-delays', 'report-delays', 'challenge-delays', 'settle-delays')
    """

    def called(step: pipelines.Step) -> pipelines.Step:
        return step.named(f"{step.name}-{named}") if named else step

    assessed = called(assess_step)(endpoint, policy, due, window)
    called(report_step)(assessed["figures"])
    with pipelines.when(assessed["turn"]["attempt"]):
        challenger = called(challenge_step)(assessed["turn"], policy)
        settled = called(settle_step)(assessed["turn"], challenger, policy)
    return pipelines.either(settled, assessed["turn"])


def watching(endpoint: str | Named, policy: Policy, *, window: tuple[str, str] | None = None) -> Pipeline:
    """A pipeline that takes one turn of the loop, to be run, scheduled and looked at like any other.

    Args:
        endpoint: The endpoint, or its name.
        policy: When and how. Its `retrain` must be importable or picklable.
        window: Fixed start and end of the reported traffic, ISO 8601; default the policy's before the run's time.

    Example:
        >>> from raylake import pipelines
        >>> watch = watching("flight-delay", Policy(drift_share=0.3))
        >>> watch.name, watch.graph.keys
        ('watch-flight-delay', ('assess', 'report', 'challenge', 'settle'))
        >>> made = pipelines.schedule(ws, "watch-flights", watch, pipelines.Cron("0 5 * * *"))
        >>> pipelines.unschedule(ws, "watch-flights")
    """
    name = endpoint_name(endpoint)

    @pipelines.pipeline(name=f"watch-{name}", concurrency=1)
    def watch(due: str = "") -> Any:
        """Report; when the policy says so, retrain, judge, promote."""
        return turn(name, policy, due=due, window=window)

    return watch


@pipelines.step(name="assess", **_TRIES)
def assess_step(
    endpoint: str,
    policy: Policy,
    due: str,
    window: tuple[str, str] | None,
    ws: Workspace,
    context: pipelines.StepContext,
) -> Assessed:
    """Measure a window of traffic, decide whether a challenger is needed, and begin the attempt."""
    now = moment(due)
    start, end = (moment(each) for each in window) if window else (now - policy.window, now)
    with exclusive(ws, f"monitor-{endpoint}"):
        champion = serving_model(ws, endpoint, policy.alias)
        figures = measure(ws, endpoint, (start, end), model=champion, thresholds=policy.thresholds, as_of=now)
        context.reads(figures.current_node)
        trigger, attempt = assess(ws, figures, policy, now)
    turn = Turn(
        endpoint=endpoint,
        champion=champion,
        action="keep" if attempt is None else "retrain",
        sentence="Retrain: an interrupted attempt is finished" if trigger is None else trigger.sentence,
        drift_share=figures.drift.share,
        drifted=figures.drift.drifted,
        attempt="" if attempt is None else attempt.run,
    )
    return Assessed(turn, figures)


@pipelines.step(name="report", **_TRIES)
def report_step(figures: Figures, ws: Workspace) -> DriftReport:
    """Render and record the report of the figures, unless an earlier try did."""
    wanted = (figures.window, figures.model.name, figures.model.version, figures.current_node)
    for known in registry.drift_reports(ws, figures.endpoint):
        if (known.window, known.model, known.version, known.current) == wanted:
            return known
    return publish(ws, figures).result()


@pipelines.step(name="challenge", **_TRIES)
def challenge_step(turn: Turn, policy: Policy, ws: Workspace) -> ModelVersion | None:
    """Fit and register the challenger; ``None`` when that is not possible, which is recorded."""
    attempt = attempts.find(ws, turn.attempt)
    with exclusive(ws, f"monitor-{turn.endpoint}"):
        if (known := attempts.ended(ws, attempt)) is not None:
            return registry.model_version(ws, known["challenger"]) if known["challenger"] else None
        try:
            return attempts.challenge(ws, attempt, policy)
        except RaylakeError as error:
            attempts.give_up(ws, attempt, error)
            return None


@pipelines.step(name="settle", **_TRIES)
def settle_step(turn: Turn, challenger: ModelVersion | None, policy: Policy, ws: Workspace) -> Turn:
    """Compare the two on labels that neither was trained on, and promote the better one."""
    attempt = attempts.find(ws, turn.attempt)
    with exclusive(ws, f"monitor-{turn.endpoint}"):
        if challenger is not None and attempts.ended(ws, attempt) is None:
            _settled(ws, attempt, challenger, policy)
        known = attempts.ended(ws, attempt)
    assert known is not None
    actions: dict[str, Action] = {"promoted": "promote", "rejected": "reject", "kept": "keep"}
    promoted = registry.model_version(ws, known["challenger"]) if known["kind"] == "promoted" else None
    return replace(turn, action=actions[known["kind"]], sentence=known["sentence"], promoted=promoted)


def _settled(ws: Workspace, attempt: Attempt, challenger: ModelVersion, policy: Policy) -> None:
    try:
        decision = attempts.judge(ws, attempt, challenger, policy)
    except RaylakeError as error:
        attempts.give_up(ws, attempt, error)
    else:
        attempts.settle(ws, attempt, challenger, decision, policy)


def moment(text: str) -> datetime:
    """The moment that is written, or the present one for ``""``.

    Example:
        >>> moment("2013-08-01").isoformat()
        '2013-08-01T00:00:00+00:00'
    """
    found = datetime.fromisoformat(text) if text else datetime.now(UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
