"""AUC by ranks is scikit-learn's; the paired bootstrap covers the truth; decisions keep their promises."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from raylake.core import ConfigError, DataError
from raylake.monitor import Comparison, Evidence, Policy, auc, compare, decide

unit = st.floats(0, 1)
differences = st.floats(-0.5, 0.5)


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=80))
def test_auc_with_ties_is_scikit_learns(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
    if labels.all() or not labels.any():
        assert math.isnan(auc(scores, labels))
    else:
        assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


def two_models(rows: int, gain: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.random(rows) < 0.2
    common = random.normal(size=rows)
    champion = common + labels + random.normal(size=rows) * 0.3
    return champion, common + (1 + gain) * labels + random.normal(size=rows) * 0.3, labels


def test_the_bootstrap_is_seeded_and_fast() -> None:
    models = two_models(20_000, 0.2, seed=0)
    started = time.process_time()
    first = compare(*models)
    assert time.process_time() - started < 4  # about 0.6 s
    assert first == compare(*models)
    assert first != compare(*models, seed=1)
    assert first.low < first.difference < first.high


def test_equal_models_are_almost_never_better() -> None:
    wins = sum(compare(*two_models(1_500, 0.0, seed=seed), resamples=150).low > 0 for seed in range(60))
    assert wins <= 6  # 2.5% expected


def test_a_clearly_better_model_is_found() -> None:
    assert all(compare(*two_models(3_000, 0.5, seed=seed), resamples=150).low > 0 for seed in range(10))


def test_the_same_model_twice_makes_no_difference() -> None:
    champion, _, labels = two_models(500, 0.0, seed=3)
    found = compare(champion, champion, labels, resamples=100)
    assert (found.low, found.difference, found.high) == (0, 0, 0)
    assert decide(Evidence(comparison=found), Policy(min_labels=100, min_per_class=10)).action == "reject"


@pytest.mark.parametrize("label", [0, 1])
def test_a_single_class_is_undecided(label: int) -> None:
    found = compare(np.arange(5.0), np.arange(5.0), np.full(5, label))
    assert math.isnan(found.low)
    assert decide(Evidence(comparison=found), Policy(min_labels=1, min_per_class=1)).action == "keep"


def test_bad_scores_and_labels_are_named() -> None:
    with pytest.raises(DataError, match="1 scores are not finite"):
        compare(np.array([np.nan, 1.0]), np.array([0.0, 1.0]), [0, 1])
    with pytest.raises(DataError, match="label 2 is neither"):
        auc(np.array([0.0, 1.0]), [0, 2])
    with pytest.raises(DataError, match=r"shape \(2,\)"):
        auc(np.array([0.0, 1.0]), [0])


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    rows = draw(st.integers(0, 5_000))
    low, high = sorted((draw(differences), draw(differences)))
    nan = draw(st.booleans())
    return Comparison(
        champion=draw(unit),
        challenger=draw(unit),
        difference=(low + high) / 2,
        low=math.nan if nan and rows < 10 else low,
        high=high,
        confidence=draw(st.sampled_from([0.8, 0.9, 0.95, 0.99])),
        rows=rows,
        positives=draw(st.integers(0, rows)),
    )


policies = st.builds(
    Policy,
    margin=st.floats(0, 0.2),
    min_labels=st.integers(1, 3_000),
    min_per_class=st.integers(1, 200),
    confidence=st.sampled_from([0.8, 0.9, 0.95, 0.99]),
    drift_share=unit,
    min_auc_drop=st.floats(0, 0.5),
)
evidences = st.builds(
    Evidence,
    drift_share=unit,
    baseline_auc=st.one_of(st.none(), unit),
    auc=st.one_of(st.none(), unit),
    labels=st.integers(0, 5_000),
    positives=st.integers(0, 2_500),
    age=st.one_of(st.none(), st.integers(0, 400).map(lambda days: timedelta(days=days))),
)


@settings(max_examples=400)
@given(comparisons(), policies)
def test_only_a_win_beyond_doubt_is_promoted(found: Comparison, policy: Policy) -> None:
    decision = decide(Evidence(comparison=found), policy)
    assert decision.action in {"promote", "reject", "keep"}
    if decision.action == "promote":
        assert found.low > policy.margin
        assert found.confidence >= policy.confidence
        assert found.rows >= policy.min_labels
        assert min(found.positives, found.negatives) >= policy.min_per_class
        assert found.champion >= policy.distrust_below


@settings(max_examples=400)
@given(comparisons(), policies, st.floats(0, 0.3), st.integers(0, 1000))
def test_more_evidence_never_takes_a_promotion_back(found: Comparison, policy: Policy, rise: float, rows: int) -> None:
    found = replace(found, low=abs(found.low) + policy.margin, champion=0.4 + found.champion / 2)
    found = replace(found, confidence=policy.confidence, rows=found.rows + 3_400, positives=found.positives + 200)
    if decide(Evidence(comparison=found), policy).action != "promote":
        assert math.isnan(found.low) or found.low == policy.margin
        return
    stronger = replace(found, low=found.low + rise, rows=found.rows + 2 * rows, positives=found.positives + rows)
    assert decide(Evidence(comparison=stronger), policy).action == "promote"


@settings(max_examples=400)
@given(evidences, policies, st.floats(0, 0.5), st.floats(0, 0.5))
def test_more_drift_or_decay_never_calms_the_monitor(
    evidence: Evidence, policy: Policy, drift: float, drop: float
) -> None:
    first = decide(evidence, policy)
    assert first.action in {"keep", "retrain"}
    worse = replace(
        evidence,
        drift_share=min(1.0, evidence.drift_share + drift),
        auc=None if evidence.auc is None else evidence.auc - drop,
    )
    if first.action == "retrain":
        assert decide(worse, policy).action == "retrain"


@given(evidences, policies)
def test_an_obstacle_always_keeps_and_is_told(evidence: Evidence, policy: Policy) -> None:
    blocked = decide(replace(evidence, obstacle="no labels"), policy)
    assert blocked.action == "keep"
    if decide(evidence, policy).action == "retrain":
        assert "but no labels" in blocked.sentence


@given(comparisons(), policies)
def test_every_reason_is_one_sentence(found: Comparison, policy: Policy) -> None:
    sentence = decide(Evidence(comparison=found), policy).sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert f"{found.rows:,}" in sentence


def test_flipped_labels_do_not_crown_a_model_that_learnt_them() -> None:
    champion, _, labels = two_models(3_000, 0.0, seed=1)
    flipped = ~labels
    learnt_wrong = -champion
    found = compare(champion, learnt_wrong, flipped, resamples=100)
    assert found.low > 0
    decision = decide(Evidence(comparison=found), Policy())
    assert decision.action == "keep"
    assert "labels are likelier wrong" in decision.sentence


@pytest.mark.parametrize("wrong", [{"confidence": 95}, {"margin": -1}, {"min_labels": 0}, {"window": timedelta(0)}])
def test_policies_that_cannot_hold_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Policy(**wrong)  # type: ignore[arg-type]
