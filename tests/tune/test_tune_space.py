import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylake import train, tune
from raylake.core import ConfigError
from raylake.tune.space import contains
from raylake.tune.trainer_space import check_space


@given(st.integers(-50, 50), st.integers(0, 50), st.integers(-120, 120))
def test_contains_is_what_optuna_may_propose(low, width, value):
    domain = tune.integer(low, low + width)
    assert contains(domain, value) == domain.distribution()._contains(value)
    assert contains(tune.real(low, low + width), float(value)) == (low <= value <= low + width)


def test_domains_are_values():
    for domain in (tune.integer(1, 9, log=True), tune.real(0.1, 1), tune.choice("a", 2, None, True)):
        assert pickle.loads(pickle.dumps(domain)) == domain and hash(domain) == hash(pickle.loads(pickle.dumps(domain)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tune.integer(1.5, 3), "whole numbers"),
        (lambda: tune.integer(9, 3), "lower bound comes first"),
        (lambda: tune.integer(0, 3, log=True), "starts above 0"),
        (lambda: tune.real(0, 1, log=True), "starts above 0"),
        (lambda: tune.real(0, float("inf")), "finite"),
        (lambda: tune.choice(), "at least one value"),
        (lambda: tune.choice([1, 2]), "text, numbers"),
    ],
)
def test_wrong_domains(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("space", "trainer", "message"),
    [
        ({}, train.XGBoost(), "empty"),
        ({"max_depth": (3, 9)}, train.XGBoost(), "is not a domain"),
        ({"depth_max": tune.integer(3, 9)}, train.XGBoost(), "no parameter 'depth_max'"),
        ({"nthread": tune.integer(1, 2)}, train.XGBoost(), r"Compute\(cpus"),
        ({"droput": tune.real(0, 0.5)}, train.MLP(), "did you mean 'dropout'"),
    ],
)
def test_wrong_spaces(space, trainer, message):
    with pytest.raises(ConfigError, match=message):
        check_space(space, trainer)
