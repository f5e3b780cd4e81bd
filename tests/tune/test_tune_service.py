import multiprocessing
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake import registry, tune
from raylake.core import ConfigError, Conflict, NotFound
from raylake.tune.tree import places, walk

SPACE = {
    "learning_rate": tune.real(1e-3, 1, log=True),
    "booster": tune.branch({"gbtree": {"max_depth": tune.integer(2, 8)}, "gblinear": {}}),
}


def draw(source):
    def choose(place):
        domain = place.domain
        if isinstance(domain, tune.Choice):
            return source.choice(domain.values)
        return source.randint(domain.low, domain.high) if isinstance(domain, tune.Integer) else domain.low

    return choose


def trees():
    scalars = st.text("abc", min_size=1, max_size=3) | st.integers(-5, 5) | st.booleans()
    leaves = st.builds(lambda low, width: tune.integer(low, low + width), st.integers(-9, 9), st.integers(0, 9))
    leaves |= st.lists(scalars, min_size=1, max_size=3).map(lambda values: tune.choice(*values))

    def space(prefix, depth):
        def dimension(name):
            if not depth:
                return leaves
            options = st.dictionaries(
                st.text("xyz", min_size=1, max_size=2), space(name, depth - 1), min_size=1, max_size=2
            )
            return leaves | options.map(tune.branch)

        names = [f"{prefix}{letter}" for letter in "kl"]
        return st.fixed_dictionaries({}, optional={name: dimension(name) for name in names})

    return space("", 2)


def test_names_that_can_exist_at_once_differ():
    inner = {"depth": tune.integer(2, 6)}
    either = {"booster": tune.branch({"gbtree": inner, "dart": inner})}
    tune.space_from_dict(tune.space_to_dict(either))
    for clash in ({**either, **inner}, {**either, "other": tune.branch({"x": inner})}):
        with pytest.raises(ConfigError, match="'depth' stands below both"):
            tune.branch({"outer": clash})


@settings(max_examples=150, deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_what_a_tree_proposes_it_recognises_also_after_json(space, source):
    params = walk(space, draw(source))
    standing = places(space, params)
    assert standing is not None and len({place.key for place in standing}) == len(standing)
    assert {place.name: value for place, value in standing.items()} == params
    again = tune.space_from_dict(tune.space_to_dict(space))
    assert again == space and places(again, params) == standing
    assert places(space, {**params, "other": 1}) is None


def test_the_best_is_found_with_a_branch(ws):
    study = tune.open_study(ws, "ovens", SPACE, metric="auc", trials=25, seed=3)
    for _ in range(25):
        (suggestion,) = tune.ask(ws, study.id)
        params = suggestion.params
        assert ("max_depth" in params) == (params["booster"] == "gbtree")
        tune.tell(ws, suggestion.trial, {"auc": params.get("max_depth", 0) / 10})
    assert tune.ask(ws, study.id) == []
    trials = registry.trials(ws, study.id)
    assert len(trials) == 25 and max(trial.metrics["auc"] for trial in trials) == 0.8
    # The model learns: the later half sees the good branch far more often than chance would.
    assert sum(trial.params["booster"] == "gbtree" for trial in trials[12:]) >= 10
    assert tune.close_study(ws, study.id).metrics == {"best_auc": 0.8}
    with pytest.raises(Conflict, match="has ended"):
        tune.ask(ws, study.id)


def test_a_client_that_comes_back_gets_its_own_again(ws):
    study = tune.open_study(ws, "ovens", SPACE, metric="auc")
    first = tune.ask(ws, study.id, count=2, client="a")
    assert tune.ask(ws, study.id, count=2, client="a") == first
    other = tune.ask(ws, study.id, client="b")
    assert {each.trial for each in first}.isdisjoint(each.trial for each in other)
    tune.tell(ws, first[0].trial, {"auc": 0.5})
    again = tune.ask(ws, study.id, count=2, client="a")
    assert again[0] == first[1] and again[1].trial not in {each.trial for each in [*first, *other]}


def test_a_report_may_be_repeated_but_not_changed(ws):
    study = tune.open_study(ws, "ovens", SPACE, metric="auc")
    (suggestion,) = tune.ask(ws, study.id)
    for _ in range(2):
        assert tune.tell(ws, suggestion.trial, {"auc": 0.5}).trial.status == "finished"
    with pytest.raises(Conflict, match="other figures"):
        tune.tell(ws, suggestion.trial, {"auc": 0.6})
    with pytest.raises(ConfigError, match="lacks auc"):
        tune.tell(ws, tune.ask(ws, study.id)[0].trial, {"accuracy": 1})


def test_opening_twice_is_one_study(ws):
    first = tune.open_study(ws, "ovens", SPACE, metric="auc")
    assert tune.open_study(ws, "ovens", SPACE, metric="auc").id == first.id
    with pytest.raises(Conflict, match="another definition"):
        tune.open_study(ws, "ovens", SPACE, metric="auc", trials=7)


def test_those_that_fall_behind_are_told_to_stop(ws):
    study = tune.open_study(ws, "ovens", {"heat": tune.real(0, 1)}, metric="auc", pruner="median")
    for value in (0.5, 0.6, 0.7, 0.8, 0.9):
        (suggestion,) = tune.ask(ws, study.id)
        for step in (1, 2):
            assert not tune.tell(ws, suggestion.trial, {"auc": value}, step=step).stop
        tune.tell(ws, suggestion.trial, {"auc": value})
    (bad,) = tune.ask(ws, study.id)
    assert tune.tell(ws, bad.trial, {"auc": 0.6}, step=1).stop
    assert not tune.tell(ws, bad.trial, {"auc": 0.8}, step=2).stop


def test_several_metrics_have_a_front(ws):
    study = tune.open_study(
        ws, "ovens", {"heat": tune.real(0, 1)}, metric=("auc", "cost"), mode=("max", "min"), sampler="nsga2", trials=12
    )
    while suggestions := tune.ask(ws, study.id, count=4):
        for each in suggestions:
            tune.tell(ws, each.trial, {"auc": each.params["heat"], "cost": each.params["heat"] ** 2})
    trials = tuple(registry.trials(ws, study.id))
    found = tune.Study(study, study, trials, {}, 0.0)
    assert len(trials) == 12 == len(found.pareto)
    assert found.plot("pareto").data and "12 trials" in found._repr_html_()
    with pytest.raises(ConfigError, match="one metric"):
        found.plot("history")


def test_many_threads_share_a_grid_and_nobody_gets_a_point_twice(ws):
    space = {"a": tune.integer(1, 6), "b": tune.choice("x", "y")}
    study = tune.open_study(ws, "grid", space, metric="auc", sampler="grid")

    def client(name):
        made = []
        while suggestions := tune.ask(ws, study.id):
            made += [tuple(each.params.items()) for each in suggestions]
            tune.tell(ws, suggestions[0].trial, {"auc": random.random()})
        return made

    with ThreadPoolExecutor(4) as pool:
        points = [point for made in pool.map(client, range(4)) for point in made]
    assert len(points) == len(set(points)) == 12


def _ask_and_die(ws, study):
    tune.ask(ws, study, count=3, client="mortal")


def test_nothing_is_lost_with_the_process_that_asked(ws):
    study = tune.open_study(ws, "ovens", SPACE, metric="auc", trials=3)
    child = multiprocessing.get_context("spawn").Process(target=_ask_and_die, args=(ws, study.id))
    child.start()
    child.join()
    assert len(tune.ask(ws, study.id, count=5, client="mortal")) == 3
    assert tune.ask(ws, study.id, client="other") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {}}, "empty"),
        ({"space": {"a": (1, 2)}}, "is not a domain"),
        ({"sampler": "magic"}, "sampler 'magic'"),
        ({"sampler": "gp", "metric": ("a", "b")}, "takes one metric"),
        ({"mode": "up"}, "mode 'up'"),
        ({"trials": 0}, "trials=0"),
        ({"pruner": "asha"}, "use median"),
    ],
)
def test_wrong_studies(ws, changes, message):
    arguments = {"space": SPACE, "metric": "auc", **changes}
    with pytest.raises(ConfigError, match=message):
        tune.open_study(ws, "ovens", **arguments)
    assert registry.runs(ws) == []


def test_what_is_no_study(ws):
    plain = registry.start_run(ws, "train", "fit")
    for unknown in (plain.id, "nobody"):
        with pytest.raises(NotFound):
            tune.ask(ws, unknown)
    study = tune.open_study(ws, "ovens", SPACE, metric="auc")
    with pytest.raises(ConfigError, match="count=0"):
        tune.ask(ws, study.id, count=0)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2", "random"])
def test_every_sampler_proposes_after_results(ws, sampler):
    space = {"a": tune.real(0, 1), "b": tune.integer(1, 9)}
    study = tune.open_study(ws, "s", space, metric="auc", sampler=sampler, trials=9)
    for number in range(9):
        (each,) = tune.ask(ws, study.id)
        assert 0 <= each.params["a"] <= 1 and 1 <= each.params["b"] <= 9
        tune.tell(ws, each.trial, {"auc": float(number)})
