"""One worker and two give the same model within tolerance: real processes, real collectives."""

import numpy as np
import pytest

from raylake import registry, train
from raylake.core import TrainingFailed

TRAINERS = {
    "xgboost": train.XGBoost(40, max_depth=4),
    "network": train.MLP((16,), epochs=12, lr=0.01, batch_size=128),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(TRAINERS))
def test_two_workers_agree_with_one(ray_ws, frame, training, kind):
    spec = train.Spec(TRAINERS[kind], training(ray_ws, frame(4000)))
    one = train.fit(ray_ws, spec)
    two = train.fit(ray_ws, spec.replace(compute=train.Compute(workers=2)))
    assert one.metrics["rows_validation"] == two.metrics["rows_validation"] == 800
    assert two.metrics["auc"] == pytest.approx(one.metrics["auc"], abs=0.01)
    first, second = (train.predict_table(ray_ws, run.artifact, "training.flights") for run in (one, two))
    assert np.corrcoef(first, second)[0, 1] > 0.98
    assert two.tags["resources"]["workers"] == 2


@pytest.mark.slow
def test_a_failing_group_is_reported_like_a_single_worker(ray_ws, frame, training):
    spec = train.Spec(train.XGBoost(5, max_depth=-3), training(ray_ws, frame(400)), compute=train.Compute(workers=2))
    with pytest.raises(TrainingFailed, match=r"(?s)worker \d: XGBoostError: .*max_depth"):
        train.fit(ray_ws, spec)
    (run,) = registry.runs(ray_ws)
    assert run.status == "failed" and run.artifact is None
