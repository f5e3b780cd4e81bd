import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylake.core import ConfigError, DataError
from raylake.train import evaluate
from raylake.train.evaluate import check_metric

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40)


def brute_force_auc(scores: list[float], labels: list[bool]) -> float:
    """Share of (positive, negative) pairs in the right order; ties count half."""
    pairs = [
        (p, n)
        for p, late in zip(scores, labels, strict=True)
        if late
        for n, on_time in zip(scores, labels, strict=True)
        if not on_time
    ]
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


@given(PAIRS)
def test_auc_is_the_share_of_ordered_pairs(pairs):
    scores, labels = [score for score, _ in pairs], [label for _, label in pairs]
    found = evaluate(scores, labels)
    if len(set(labels)) == 1:
        assert math.isnan(found["auc"]) and "both classes" in found["reason"]
    else:
        assert found["auc"] == pytest.approx(brute_force_auc(scores, labels))
    assert found["n"] == len(pairs)
    assert found["brier"] == pytest.approx(np.mean([(s - y) ** 2 for s, y in pairs]))


def test_certain_and_wrong_is_finite():
    assert 10 < evaluate([1.0, 0.0], [0, 1])["logloss"] < 40


def test_regression_metrics():
    found = evaluate([1.0, 2.0, 4.0], [1.0, 2.0, 3.0], task="regression")
    assert found == {"rmse": pytest.approx(math.sqrt(1 / 3)), "mae": pytest.approx(1 / 3), "r2": 0.5, "n": 3}


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [([], [], "0 rows"), ([0.1], [0, 1], "differ in shape"), ([math.nan, 0.2], [0, 1], "not finite")],
)
def test_rows_that_cannot_be_evaluated(scores, labels, message):
    with pytest.raises(DataError, match=message):
        evaluate(scores, labels)


def test_unknown_metric_names_the_valid_ones():
    with pytest.raises(ConfigError, match=r"'gini'.*auc, logloss, accuracy, brier"):
        check_metric("gini", "binary")
