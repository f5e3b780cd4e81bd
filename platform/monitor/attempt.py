"""One attempt to replace a champion: fit, register, compare, decide, move the alias. Every stage can be repeated.

The attempt is a run of kind ``monitor`` in the registry. What it needs to go on after a kill is written before it is
used: its cut-off when it starts, the challenger's run when it is fitted. Everything else is computed again from pinned
data with a fixed seed, so a second try reaches the same decision. The alias moves with ``expected=``, so of two
monitors on two machines one wins and the other keeps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from .. import registry, train
from ..core import ConfigError, Conflict, Node, RaylakeError, SchemaMismatch, Workspace
from ..registry import ModelVersion, Run
from .compare import Comparison, compare
from .figures import trained_until
from .policy import Decision, Evidence, Policy, decide
from .truth import scored

KIND, TRAINED = "monitor", "monitor-trained"
ENDS = ("promoted", "rejected", "kept")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an attempt is about; stored as the parameters of its run.

    Attributes:
        run: Id of the attempt's run.
        endpoint: Name of the endpoint.
        champion: The version to beat.
        cutoff: Training uses event times before it, the comparison those from it on.
        until: End (excluded) of the comparison's window.
        as_of: The comparison uses labels known at this moment.
    """

    run: str
    endpoint: str
    champion: ModelVersion
    cutoff: datetime
    until: datetime
    as_of: datetime

    @property
    def subject(self) -> Node:
        """The endpoint in the lineage graph."""
        return Node("endpoint", self.endpoint)


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended.

    Attributes:
        decision: What was decided, and why.
        challenger: The fitted version; ``None`` when the fit failed.
        promoted: The version the alias was moved to, ``None`` when it stayed.
        run: The attempt's finished run.
    """

    decision: Decision
    challenger: ModelVersion | None
    promoted: ModelVersion | None
    run: Run


def begin(
    ws: Workspace,
    endpoint: str,
    champion: ModelVersion,
    *,
    cutoff: datetime,
    until: datetime,
    as_of: datetime,
    reason: str,
    inputs: tuple[Node, ...],
) -> Attempt:
    """Record a new attempt."""
    moments = {"cutoff": cutoff, "until": until, "as_of": as_of}
    params = {"champion": str(champion), **{name: at.isoformat() for name, at in moments.items()}, "reason": reason}
    run = registry.start_run(ws, KIND, endpoint, params=params, inputs=(champion.node, *inputs))
    return Attempt(run.id, endpoint, champion, cutoff, until, as_of)


def unfinished(ws: Workspace, endpoint: str) -> Attempt | None:
    """The attempt that was interrupted, if there is one."""
    found = registry.runs(ws, kind=KIND, name=endpoint, status="running")
    return _attempt(ws, found[0]) if found else None


def judged(ws: Workspace, endpoint: str, champion: ModelVersion, cutoff: datetime, as_of: datetime) -> Run | None:
    """The finished attempt against this champion with a cut-off as late as this one, or one as of this moment or later.

    What was decided about a moment is not decided again against the champion that came of it: a turn that is repeated,
    as by a schedule that runs a past month once more, makes no further challenger.
    """
    for run in registry.runs(ws, kind=KIND, name=endpoint, status="finished", limit=None):
        moments = {name: datetime.fromisoformat(run.params[name]) for name in ("cutoff", "as_of")}
        same = run.params["champion"] == str(champion) and moments["cutoff"] >= cutoff
        if same or moments["as_of"] >= as_of:
            return run
    return None


def carry_out(ws: Workspace, attempt: Attempt, policy: Policy) -> Result:
    """Take an attempt from wherever it stands to its end."""
    try:
        challenger = challenge(ws, attempt, policy)
        decision = judge(ws, attempt, challenger, policy)
    except RaylakeError as error:
        return give_up(ws, attempt, error)
    return settle(ws, attempt, challenger, decision, policy)


def challenge(ws: Workspace, attempt: Attempt, policy: Policy) -> ModelVersion:
    """Fit and register the challenger; what was fitted before an interruption is found."""
    fitted = _fitted(ws, attempt, policy)
    return registry.register(ws, fitted, name=attempt.champion.name, description=f"challenger of {attempt.champion}")


def judge(ws: Workspace, attempt: Attempt, challenger: ModelVersion, policy: Policy) -> Decision:
    """Compare champion and challenger on the labels that neither was trained on."""
    return decide(_evidence(ws, attempt, challenger, policy), policy)


def settle(ws: Workspace, attempt: Attempt, challenger: ModelVersion, decision: Decision, policy: Policy) -> Result:
    """Carry out what was decided: move the alias or leave it, and record why."""
    promoted = None
    if decision.action == "promote":
        try:
            promoted = _promote(ws, attempt, challenger, policy)
        except Conflict as error:
            decision = Decision("keep", f"Keep: {error}", decision.evidence)
    return _finished(ws, attempt, decision, challenger, promoted)


def find(ws: Workspace, run_id: str) -> Attempt:
    """The attempt of a run.

    Raises:
        NotFound: The run is unknown.
    """
    return _attempt(ws, registry.run(ws, run_id))


def ended(ws: Workspace, attempt: Attempt) -> Mapping[str, Any] | None:
    """What was recorded of an attempt that has ended, in another process or before an interruption; else ``None``.

    Returns:
        ``{"kind", "sentence", "challenger"}``: `kind` is ``promoted``, ``rejected`` or ``kept``.
    """
    run = registry.run(ws, attempt.run)
    if run.status == "running":
        return None
    for kind in ENDS:
        for event in registry.events(ws, kind=f"monitor-{kind}", subject=attempt.subject, limit=None):
            if event.payload.get("attempt") == attempt.run:
                return {"kind": kind, **{name: event.payload[name] for name in ("sentence", "challenger")}}
    return {"kind": "kept", "sentence": f"Keep: no challenger could be judged: {run.error}", "challenger": ""}


def _attempt(ws: Workspace, run: Run) -> Attempt:
    moments = {name: datetime.fromisoformat(run.params[name]) for name in ("cutoff", "until", "as_of")}
    champion = registry.model_version(ws, run.params["champion"])
    return Attempt(run.id, run.name, champion, **moments)


def _fitted(ws: Workspace, attempt: Attempt, policy: Policy) -> Run:
    """The challenger's finished run: the one recorded before an interruption, or a new one."""
    for event in registry.events(ws, kind=TRAINED, subject=attempt.subject, limit=None):
        if event.payload["attempt"] == attempt.run:
            return registry.run(ws, event.payload["run"])
    children = registry.runs(ws, parent=attempt.run)
    done = [run for run in children if run.status == "finished" and run.artifact]
    for run in children:
        if run.status == "running":  # its process was killed: nobody else will end it
            registry.finish_run(ws, run.id, status="stopped", error="the monitor was interrupted")
    fitted = done[0] if done else _fit(ws, attempt, policy)
    registry.record_event(
        ws, TRAINED, attempt.subject, {"attempt": attempt.run, "run": fitted.id, "cutoff": attempt.cutoff.isoformat()}
    )
    return fitted


def _fit(ws: Workspace, attempt: Attempt, policy: Policy) -> Run:
    if policy.retrain is None:
        raise ConfigError("the policy has no `retrain`: give a callable (ws, cutoff) -> train.Spec")
    built = policy.retrain(ws, attempt.cutoff)
    return built if isinstance(built, Run) else train.fit(ws, built, parent=attempt.run)


def _evidence(ws: Workspace, attempt: Attempt, challenger: ModelVersion, policy: Policy) -> Evidence:
    seen = trained_until(ws, challenger)
    if seen is not None and seen >= attempt.cutoff:
        raise SchemaMismatch(
            f"challenger {challenger} was trained on rows up to {seen:%Y-%m-%d %H:%M}, after the cut-off "
            f"{attempt.cutoff:%Y-%m-%d %H:%M}: `retrain` must use only rows before its cut-off"
        )
    window = scored(ws, attempt.endpoint, (attempt.cutoff, attempt.until), as_of=attempt.as_of)
    return Evidence(comparison=compared(ws, attempt.champion, challenger, window, policy))


def compared(
    ws: Workspace, champion: ModelVersion, challenger: ModelVersion, rows: pa.Table, policy: Policy
) -> Comparison:
    """Score the captured features with both versions and compare them on the labels."""
    if not rows.num_rows:
        return Comparison.undecided(0, 0, policy.confidence)
    old, new = (train.open_model(ws, version, threads=2).predict(rows) for version in (champion, challenger))
    labels = rows["label"].to_numpy()
    return compare(
        np.asarray(old),
        np.asarray(new),
        labels,
        confidence=policy.confidence,
        resamples=policy.resamples,
        seed=policy.seed,
    )


def _promote(ws: Workspace, attempt: Attempt, challenger: ModelVersion, policy: Policy) -> ModelVersion:
    name = attempt.champion.name
    current = registry.model_version(ws, f"{name}@{policy.alias}")
    if current.version == challenger.version:  # moved before an interruption
        return current
    return registry.set_alias(ws, name, policy.alias, challenger.version, expected=attempt.champion.version)


def _finished(
    ws: Workspace, attempt: Attempt, decision: Decision, challenger: ModelVersion, promoted: ModelVersion | None
) -> Result:
    comparison = decision.evidence.comparison
    figures = asdict(comparison) if comparison else {}
    payload = {
        "attempt": attempt.run,
        "champion": str(attempt.champion),
        "challenger": str(challenger),
        "sentence": decision.sentence,
        "comparison": _plain(figures),
    }
    done = {"promote": "promoted", "reject": "rejected"}.get(decision.action, "kept")
    _once(ws, f"monitor-{done}", attempt, payload)
    metrics = {name: value for name, value in figures.items() if not math.isnan(value)}
    run = registry.finish_run(ws, attempt.run, metrics=metrics, outputs=[challenger.node])
    return Result(decision, challenger, promoted, run)


def give_up(ws: Workspace, attempt: Attempt, error: RaylakeError) -> Result:
    """End an attempt that cannot be carried out: the champion stays, and an alert says why."""
    sentence = f"Keep: no challenger of {attempt.champion} could be judged: {error}"
    registry.record_alert(
        ws, severity="error", subject=attempt.subject, message=sentence, evidence={"attempt": attempt.run}
    )
    run = registry.finish_run(ws, attempt.run, status="failed", error=str(error))
    return Result(Decision("keep", sentence, Evidence()), None, None, run)


def _once(ws: Workspace, kind: str, attempt: Attempt, payload: Mapping[str, Any]) -> None:
    """Record an event of this attempt unless it was recorded before an interruption."""
    known = registry.events(ws, kind=kind, subject=attempt.subject, limit=None)
    if not any(event.payload.get("attempt") == attempt.run for event in known):
        registry.record_event(ws, kind, attempt.subject, payload)


def _plain(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in figures.items()}
