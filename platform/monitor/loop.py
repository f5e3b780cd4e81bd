"""The loop without a person: report, judge, retrain, compare, promote or keep, and say why."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from .. import registry, train
from ..core import Node, Workspace, WorkspaceBusy, exclusive
from ..features import SkewReport
from ..registry import DriftReport, ModelVersion, Run
from ..serve.skew import check_skew
from .attempt import Attempt, Result, begin, carry_out, judged, unfinished
from .drift import Drift
from .figures import Figures, decay, measure, serving_model, trained_until
from .policy import Action, Decision, Evidence, Policy, decide
from .renderer import Renderer
from .reports import publish
from .traffic import Named, endpoint_name
from .truth import scored


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one turn of the loop did.

    Attributes:
        endpoint: Name of the endpoint.
        action: ``keep``, ``promote`` or ``reject``: how it ended.
        sentence: Why, in one sentence with its numbers.
        champion: The version that answered when the turn began.
        trigger: The decision whether to retrain; ``None`` when an interrupted attempt was finished instead.
        decision: The last decision made.
        challenger: The version that was fitted, if any.
        promoted: The version the alias now points at, ``None`` when it stayed.
        run: The attempt's run, if there was one.
        drift: The drift of the window; ``None`` when another monitor was at work.
        reporting: The report while evidently renders; ``None`` when another monitor was at work.
        skew: The window's features beside the offline path; ``None`` when there was nothing to compare.
    """

    endpoint: str
    action: Action
    sentence: str
    champion: ModelVersion
    trigger: Decision | None = None
    decision: Decision | None = None
    challenger: ModelVersion | None = None
    promoted: ModelVersion | None = None
    run: Run | None = None
    drift: Drift | None = None
    reporting: Future[DriftReport] | None = None
    skew: SkewReport | None = None

    @property
    def report(self) -> DriftReport | None:
        """The recorded report; waits until it is rendered."""
        return None if self.reporting is None else self.reporting.result()


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labelled rows that the champion was not trained on.

    Attributes:
        rows: The prediction log with ``label``.
        cutoff: Where training data ends and the comparison begins; ``None`` when there is too little.
        until: End (excluded) of the labelled rows.
        obstacle: Why there is no cut-off, in words.
        since: End of the champion's training data, ``None`` when unknown.
    """

    rows: pa.Table
    cutoff: datetime | None
    until: datetime | None
    obstacle: str
    since: datetime | None


def step(
    ws: Workspace,
    endpoint: str | Named,
    policy: Policy,
    *,
    now: datetime | None = None,
    window: tuple[datetime, datetime] | None = None,
    renderer: Renderer | None = None,
) -> Outcome:
    """One turn of the loop on one endpoint.

    The window is reported. If drift, decay or age calls for it, `policy.retrain` builds a challenger from rows before
    a cut-off; champion and challenger then answer the same newest labelled rows, from the cut-off on, which
    neither was trained on; the alias moves only if the challenger is better beyond doubt. Killed at any point, the
    next turn finishes the attempt that was under way; of two monitors at once one retrains, the other keeps.

    Args:
        ws: The workspace.
        endpoint: The endpoint, or its name.
        policy: When and how.
        now: The present moment; labels known later are not looked at. Default the clock.
        window: Start (included) and end (excluded) of the reported traffic; default `policy.window` before `now`.
        renderer: A rendering process to share between turns.

    Returns:
        The outcome; its report may still be rendering.

    Raises:
        NotFound: The endpoint is unknown or has captured nothing.
        DataError: No traffic in the window.

    Example:
        >>> rules = Policy(drift_share=0.3, min_auc_drop=0.02)
        >>> august = datetime(2013, 8, 1, tzinfo=UTC)
        >>> july = (august - timedelta(days=31), august)
        >>> outcome = step(ws, "flight-delay", rules, now=august, window=july, renderer=renderer)
        >>> outcome.action, outcome.sentence
        ('keep', 'Keep: ...')
        >>> outcome.report.metrics["rows"]
        100
    """
    name = endpoint_name(endpoint)
    moment = now or datetime.now(UTC)
    champion = serving_model(ws, name, policy.alias)
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(ws, f"monitor-{name}"))
        except WorkspaceBusy as busy:
            return Outcome(name, "keep", f"Keep: another monitor is at work on {name!r}: {busy}", champion)
        champion = serving_model(ws, name, policy.alias)  # another monitor may have moved it meanwhile
        period = window or (moment - policy.window, moment)
        figures = measure(ws, name, period, model=champion, thresholds=policy.thresholds, as_of=moment)
        reporting = publish(ws, figures, renderer)
        skew = _skew(ws, figures, policy)
        return replace(_turn(ws, figures, policy, moment), reporting=reporting, skew=skew)


def _skew(ws: Workspace, figures: Figures, policy: Policy) -> SkewReport | None:
    if policy.skew_share is None:
        return None
    features = train.open_model(ws, figures.model, threads=2).feature_set
    return check_skew(ws, figures.endpoint, features, window=figures.window, alert_share=policy.skew_share)


def _turn(ws: Workspace, figures: Figures, policy: Policy, now: datetime) -> Outcome:
    trigger, attempt = assess(ws, figures, policy, now)
    if attempt is not None:
        return _outcome(figures, trigger, carry_out(ws, attempt, policy))
    assert trigger is not None
    return Outcome(figures.endpoint, "keep", trigger.sentence, figures.model, trigger, trigger, drift=figures.drift)


def assess(ws: Workspace, figures: Figures, policy: Policy, now: datetime) -> tuple[Decision | None, Attempt | None]:
    """Decide whether the figures call for a challenger, and begin the attempt if they do.

    Returns:
        The decision, and the attempt that it began; no decision when an earlier attempt was interrupted, which is then
        the one to be finished.
    """
    interrupted = unfinished(ws, figures.endpoint)
    if interrupted is not None:
        return None, interrupted
    labelled = _labelled(ws, figures, policy, now)
    trigger = decide(_evidence(ws, figures, labelled, policy), policy)
    _tell(ws, figures, trigger)
    if trigger.action != "retrain" or labelled.cutoff is None or labelled.until is None:
        return trigger, None
    attempt = begin(
        ws,
        figures.endpoint,
        figures.model,
        cutoff=labelled.cutoff,
        until=labelled.until,
        as_of=now,
        reason=trigger.sentence,
        inputs=(figures.current_node,),
    )
    return trigger, attempt


def _labelled(ws: Workspace, figures: Figures, policy: Policy, now: datetime) -> Labelled:
    """Labelled rows newer than the champion's training data, and where to cut them."""
    since = trained_until(ws, figures.model)
    after = None if since is None else since + timedelta(microseconds=1)
    rows = scored(ws, figures.endpoint, (after, None), as_of=now)
    if not rows.num_rows:
        seen = "" if since is None else f" after {since:%Y-%m-%d}, where the champion's training data ends"
        return Labelled(rows, None, None, f"no label is known of a request{seen}", since)
    times = rows["at"]
    until = pc.max(times).as_py() + timedelta(microseconds=1)
    # at most half of what is new decides, so that there is something new to learn from
    middle = times.take(pc.sort_indices(times))[rows.num_rows // 2].as_py()
    cutoff = max(until - policy.compare_window, middle)
    deciding = rows.filter(pc.greater_equal(times, pa.scalar(cutoff, times.type)))
    return Labelled(rows, cutoff, until, _shortage(ws, figures, deciding, (cutoff, now), policy), since)


def _shortage(
    ws: Workspace, figures: Figures, deciding: pa.Table, moments: tuple[datetime, datetime], policy: Policy
) -> str:
    """Why no challenger can be judged at a cut-off, as of a moment; ``""`` when one can."""
    cutoff, now = moments
    positives = int(pc.sum(deciding["label"]).as_py() or 0)
    rarest = min(positives, deciding.num_rows - positives)
    if deciding.num_rows < policy.min_labels or rarest < policy.min_per_class:
        return (
            f"the newest labelled window has {deciding.num_rows} rows with {positives} positives, too few to "
            f"compare two models (needed: {policy.min_labels}, of each class {policy.min_per_class})"
        )
    earlier = judged(ws, figures.endpoint, figures.model, cutoff, now)
    if earlier is not None:
        return f"a challenger for the cut-off {cutoff:%Y-%m-%d %H:%M} was judged already (run {earlier.id[:8]})"
    return "the policy has no retrain" if policy.retrain is None else ""


def _evidence(ws: Workspace, figures: Figures, labelled: Labelled, policy: Policy) -> Evidence:
    until, since = labelled.until, labelled.since
    rows = labelled.rows
    if until is not None:  # decay is about now, not about the average since the training
        start = pa.scalar(until - policy.window, rows["at"].type)
        rows = rows.filter(pc.greater_equal(rows["at"], start))
    found = decay(_rescored(ws, figures.model, rows), policy.confidence)
    positives = round((found["positive_rate"] or 0) * found["labels"])
    return Evidence(
        drift_share=figures.drift.share,
        drifted=figures.drift.drifted,
        explanation=figures.drift.explain(),
        baseline_auc=figures.metrics["baseline_auc"],
        auc=found["auc"],
        labels=found["labels"],
        positives=positives,
        age=None if until is None or since is None else until - since,
        obstacle=labelled.obstacle,
    )


def _rescored(ws: Workspace, model: ModelVersion, rows: pa.Table) -> pa.Table:
    """The rows with this version's own answers: an earlier version may have answered some of them."""
    if not rows.num_rows:
        return rows
    answers = pa.array(train.open_model(ws, model, threads=2).predict(rows))
    return rows.set_column(rows.column_names.index("prediction"), "prediction", answers)


def _tell(ws: Workspace, figures: Figures, trigger: Decision) -> None:
    """Record what was decided, and raise an alert when the model should be retrained (also if it cannot)."""
    subject = Node("endpoint", figures.endpoint)
    start, end = figures.window
    payload = {
        "action": trigger.action,
        "sentence": trigger.sentence,
        "champion": str(figures.model),
        "window": [start.isoformat(), end.isoformat()],
        "drift_share": figures.drift.share,
        "drifted": list(figures.drift.drifted),
    }
    registry.record_event(ws, "monitor-turn", subject, payload)
    if trigger.action == "retrain" or (trigger.evidence.obstacle and "; but " in trigger.sentence):
        registry.record_alert(ws, severity="warning", subject=subject, message=trigger.sentence, evidence=payload)


def _outcome(figures: Figures, trigger: Decision | None, result: Result) -> Outcome:
    return Outcome(
        endpoint=figures.endpoint,
        action=result.decision.action,
        sentence=result.decision.sentence,
        champion=figures.model,
        trigger=trigger,
        decision=result.decision,
        challenger=result.challenger,
        promoted=result.promoted,
        run=result.run,
        drift=figures.drift,
    )
