import dataclasses
import pickle
import warnings

import numpy as np
import pytest
import xgboost

from raylake.core import ComputeUnavailable, ConfigError
from raylake.train import MLP, Compute, Lightning, XGBoost
from raylake.train.compute import GIB, Resources, check_fits
from raylake.train.trainers import XGBOOST_PARAMETERS

EXAMPLES = {
    "booster": "gbtree", "eval_metric": "auc", "grow_policy": "lossguide", "objective": "reg:squarederror",
    "tree_method": "hist", "normalize_type": "tree", "sample_type": "uniform", "sampling_method": "uniform",
    "interaction_constraints": "[[0, 1]]", "monotone_constraints": "(0,0)", "verbosity": 1,
}  # fmt: skip
DART = {"normalize_type", "one_drop", "rate_drop", "sample_type", "skip_drop"}
OBJECTIVES = {"quantile_alpha": "reg:quantileerror", "huber_slope": "reg:pseudohubererror",
              "tweedie_variance_power": "reg:tweedie", "scale_pos_weight": "binary:logistic"}  # fmt: skip


@pytest.mark.parametrize("name", sorted(XGBOOST_PARAMETERS))
def test_every_listed_parameter_is_one_of_the_installed_xgboost(name):
    extra = {"booster": "dart"} if name in DART else {}
    extra |= {"objective": OBJECTIVES[name]} if name in OBJECTIVES else {}
    data = xgboost.DMatrix(np.random.default_rng(0).random((40, 2)), np.tile([0.0, 1.0], 20))
    value = EXAMPLES.get(name, 0.5 if name.startswith(("col", "sub", "quantile", "base")) else 1)
    if name in ("max_bin",):
        value = 16
    if name == "tweedie_variance_power":
        value = 1.5
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        xgboost.train({"tree_method": "hist", **extra, name: value}, data, 1)
    assert not [str(entry.message) for entry in caught if "not used" in str(entry.message)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: XGBoost(max_dept=3), "no parameter 'max_dept': did you mean 'max_depth'"),
        (lambda: XGBoost(nthread=4), r"use Compute\(cpus"),
        (lambda: XGBoost(rounds=0), "rounds=0"),
        (lambda: XGBoost(rounds=True), "rounds=True"),
        (lambda: Lightning("no-colon"), "package.module:Class"),
        (lambda: Lightning(type("Local", (), {"__module__": "__main__"})), "cannot be imported by a worker"),
        (lambda: Compute(workers=0), "workers=0"),
        (lambda: Compute(gpus="all"), "gpus='all'"),
        (lambda: Compute(memory=0), "memory=0"),
    ],
)
def test_wrong_values_are_refused_when_written(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("trainer", [XGBoost(7, max_depth=3, monotone_constraints=[1, 0]), MLP((8, 4), epochs=2)])
def test_trainers_are_values(trainer):
    assert pickle.loads(pickle.dumps(trainer)) == trainer == dataclasses.replace(trainer)
    assert hash(trainer) == hash(trainer.updated())
    assert trainer.updated(lr=0.5) != trainer if isinstance(trainer, Lightning) else trainer.updated(eta=0.5) != trainer


def test_updated_splits_fields_from_keyword_arguments():
    changed = MLP((8,)).updated(max_epochs=3, dropout=0.1, hidden=(4, 4))
    assert (changed.max_epochs, changed.options["dropout"], changed.options["hidden"]) == (3, 0.1, [4, 4])


def test_compute_that_does_not_fit_says_what_the_cluster_has():
    node = {"CPU": 2.0, "memory": 8 * GIB}
    with pytest.raises(ComputeUnavailable, match=r"1 worker.s. with 100 CPU each.*has 2 CPU, 0 GPU, 8.0 GiB memory"):
        check_fits(Resources(1, 100, 0, None), [node])
    with pytest.raises(ComputeUnavailable, match=r"holds 2 such"):
        check_fits(Resources(3, 2, 0, None), [node, node])
    check_fits(Resources(2, 2, 0, 4 * GIB), [node, node])
