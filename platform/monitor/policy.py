"""When to retrain, and when a challenger is better: pure decisions on figures, each told in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from ..core import ConfigError, Workspace
from .compare import Comparison
from .drift import Thresholds

if TYPE_CHECKING:
    from ..registry import Run
    from ..train import Spec

Action = Literal["keep", "retrain", "promote", "reject"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What starts a retraining, and what a challenger must show.

    Attributes:
        retrain: Called with the workspace and a cut-off; returns the `Spec` to fit (or a finished `Run`) that
            uses only rows with an event time BEFORE the cut-off. Without it the monitor only reports.
        drift_share: Share of drifted columns from which on the model is retrained; default 0.3.
        min_auc_drop: Loss of AUC against the model's validation from which on it is retrained; default 0.02.
        max_age: Retrain when the newest label is this much newer than the training data; default never.
        min_labels: Labelled rows a judgement needs; default 1000.
        min_per_class: Labelled rows of each class a judgement needs; default 50.
        compare_window: Length of the newest labelled window that is kept from training and decides; 14 days.
        margin: AUC that a challenger must win by; default 0.
        confidence: Confidence of that win, the mass of the two-sided interval; default 0.95.
        distrust_below: A champion's AUC under this on the deciding window means that the labels are likelier wrong
            than the model (flipped, poisoned): the champion is kept and a person must look; default 0.4.
        window: Length of the reported window when `step` gets none; default 30 days.
        alias: The alias that is moved; default ``champion``.
        resamples: Of the paired bootstrap; default 1000.
        seed: Of the paired bootstrap; default 0.
        thresholds: When a column counts as drifted.
        skew_share: Share of the window's newest requests whose features differ from the offline path from which on
            there is an alert (see `raylake.serve.check_skew`); default 0.05. None: they are not compared.

    Raises:
        ConfigError: A number is outside its range.

    Example:
        >>> Policy(drift_share=0.5).min_labels
        1000
        >>> Policy(confidence=95)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: confidence=95 is not between 0 and 1: write 0.95 for 95 percent
    """

    retrain: Callable[[Workspace, datetime], Spec | Run] | None = None
    drift_share: float = 0.3
    min_auc_drop: float = 0.02
    max_age: timedelta | None = None
    min_labels: int = 1000
    min_per_class: int = 50
    compare_window: timedelta = timedelta(days=14)
    margin: float = 0.0
    confidence: float = 0.95
    distrust_below: float = 0.4
    window: timedelta = timedelta(days=30)
    alias: str = "champion"
    resamples: int = 1000
    seed: int = 0
    thresholds: Thresholds = field(default_factory=Thresholds)
    skew_share: float | None = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ConfigError(f"confidence={self.confidence} is not between 0 and 1: write 0.95 for 95 percent")
        if self.margin < 0 or self.min_auc_drop < 0 or self.drift_share < 0:
            raise ConfigError(
                f"margin={self.margin}, min_auc_drop={self.min_auc_drop}, drift_share={self.drift_share}: "
                "none may be negative"
            )
        if self.min_labels < 1 or self.min_per_class < 1 or self.resamples < 100:
            raise ConfigError(
                f"min_labels={self.min_labels}, min_per_class={self.min_per_class}, "
                f"resamples={self.resamples}: use at least 1, 1 and 100"
            )
        if self.compare_window <= timedelta(0) or self.window <= timedelta(0):
            raise ConfigError("compare_window and window must be longer than zero")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when a decision is made.

    Attributes:
        drift_share: Drifted columns over compared columns in the reported window, 0 to 1.
        drifted: Names of the drifted columns, most drifted first.
        explanation: The drift in words.
        baseline_auc: The champion's AUC at its training, ``None`` when it was not recorded.
        auc: The champion's AUC on the newest labelled rows it was not trained on, ``None`` without labels.
        labels: How many such rows there are.
        positives: How many of them have label 1.
        age: Newest label minus the end of the champion's training data, ``None`` when unknown.
        comparison: Champion against challenger; ``None`` before a challenger exists.
        obstacle: Why nothing can be retrained or compared, in words; empty when nothing is in the way.
    """

    drift_share: float = 0.0
    drifted: tuple[str, ...] = ()
    explanation: str = ""
    baseline_auc: float | None = None
    auc: float | None = None
    labels: int = 0
    positives: int = 0
    age: timedelta | None = None
    comparison: Comparison | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why.

    Attributes:
        action: ``keep`` the champion, ``retrain``, ``promote`` the challenger, or ``reject`` it.
        sentence: The reason with its numbers, one sentence.
        evidence: What it rests on.
    """

    action: Action
    sentence: str
    evidence: Evidence


def decide(evidence: Evidence, policy: Policy | None = None) -> Decision:
    """Decide what to do on the evidence; a pure function.

    Without a comparison the answer is ``keep`` or ``retrain``; with one it is ``promote``, ``reject`` or, when
    there are too few labels to judge, ``keep``. It never answers ``promote`` unless the whole interval of the
    difference lies above the margin, and more of the same evidence never turns a ``promote`` back.

    Example:
        >>> decide(Evidence(drift_share=0.1)).action
        'keep'
        >>> print(decide(Evidence(drift_share=0.6, explanation="12 of 20 columns drifted: temp")).sentence)
        Retrain: 12 of 20 columns drifted: temp, a share of 0.60 (limit 0.30).
        >>> better = Comparison(0.70, 0.72, 0.02, 0.01, 0.03, 0.95, rows=9000, positives=1800)
        >>> print(decide(Evidence(comparison=better)).sentence)
        Promote: on 9,000 labelled rows the challenger's AUC is 0.7200 against 0.7000, a gain of +0.0200 (95% interval
        +0.0100 to +0.0300) that clears the margin of 0.0000.
    """
    rules = policy or Policy()
    if evidence.comparison is not None:
        return _judge(evidence, evidence.comparison, rules)
    return _trigger(evidence, rules)


def _trigger(evidence: Evidence, policy: Policy) -> Decision:
    reasons = [*_drift_reason(evidence, policy), *_decay_reason(evidence, policy), *_age_reason(evidence, policy)]
    if not reasons:
        return Decision("keep", f"Keep: {_calm(evidence, policy)}.", evidence)
    why = "; ".join(reasons)
    if evidence.obstacle:
        return Decision("keep", f"Keep: {why}; but {evidence.obstacle}.", evidence)
    return Decision("retrain", f"Retrain: {why}.", evidence)


def _drift_reason(evidence: Evidence, policy: Policy) -> list[str]:
    if evidence.drift_share < policy.drift_share or not evidence.drift_share:
        return []
    words = evidence.explanation or f"columns {', '.join(evidence.drifted[:3])} drifted"
    return [f"{words}, a share of {evidence.drift_share:.2f} (limit {policy.drift_share:.2f})"]


def _decay_reason(evidence: Evidence, policy: Policy) -> list[str]:
    if evidence.auc is None or evidence.baseline_auc is None or not _enough(evidence, policy):
        return []
    drop = evidence.baseline_auc - evidence.auc
    if not drop >= policy.min_auc_drop:
        return []
    return [
        f"AUC fell from {evidence.baseline_auc:.4f} to {evidence.auc:.4f} on {evidence.labels:,} labelled rows "
        f"(limit {policy.min_auc_drop:.4f})"
    ]


def _age_reason(evidence: Evidence, policy: Policy) -> list[str]:
    if policy.max_age is None or evidence.age is None or evidence.age < policy.max_age:
        return []
    return [f"the training data is {evidence.age.days} days old (limit {policy.max_age.days})"]


def _calm(evidence: Evidence, policy: Policy) -> str:
    words = evidence.explanation or f"a share of {evidence.drift_share:.2f} drifted"
    if evidence.auc is None:
        return f"{words} (limit {policy.drift_share:.2f} of them), and there are no labels to measure decay"
    return (
        f"{words} (limit {policy.drift_share:.2f} of them), and AUC is {evidence.auc:.4f} "
        f"on {evidence.labels:,} labelled rows"
    )


def _enough(evidence: Evidence, policy: Policy) -> bool:
    rarest = min(evidence.positives, evidence.labels - evidence.positives)
    return evidence.labels >= policy.min_labels and rarest >= policy.min_per_class


def _judge(evidence: Evidence, found: Comparison, policy: Policy) -> Decision:
    rarest = min(found.positives, found.negatives)
    if found.rows < policy.min_labels or rarest < policy.min_per_class or math.isnan(found.low):
        why = (
            f"{found.rows:,} labelled rows with {found.positives} positives are too few to judge the challenger "
            f"(needed: {policy.min_labels}, of each class {policy.min_per_class})"
        )
        return Decision("keep", f"Keep: {why}.", evidence)
    if found.champion < policy.distrust_below:
        why = (
            f"the champion's AUC is {found.champion:.4f} on {found.rows:,} labelled rows, worse than chance: "
            f"the labels are likelier wrong than the model (limit {policy.distrust_below:.2f}); check them"
        )
        return Decision("keep", f"Keep: {why}.", evidence)
    numbers = (
        f"on {found.rows:,} labelled rows the challenger's AUC is {found.challenger:.4f} against "
        f"{found.champion:.4f}, a {'gain' if found.difference >= 0 else 'loss'} of {found.difference:+.4f} "
        f"({found.confidence:.0%} interval {found.low:+.4f} to {found.high:+.4f})"
    )
    if found.low > policy.margin and found.confidence >= policy.confidence:
        return Decision("promote", f"Promote: {numbers} that clears the margin of {policy.margin:.4f}.", evidence)
    return Decision("reject", f"Reject: {numbers} that does not clear the margin of {policy.margin:.4f}.", evidence)
