"""Features are ranked by what they tell, on Ray as in process; weak ones go, and it is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raylake import data, features, registry
from raylake.core import ConfigError, DataError, Workspace
from raylake.features.impact import METHODS
from raylake.testing.learnable import FEATURES, label_frame, make_training

NAMES = (*FEATURES, "noise", "constant", "day")


def _frame(rows: int = 2000) -> pa.Table:
    frame = label_frame(rows)
    noise = np.random.default_rng(3).normal(size=rows)
    return (
        frame.append_column("noise", pa.array(noise))
        .append_column("constant", pa.array([None] * rows, pa.float64()))
        .append_column("day", frame["at"])
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("label", ["late", "minutes", "carrier_of"])
def test_what_tells_nothing_is_last_whatever_the_label_and_the_method(ws: Workspace, method: Any, label: str) -> None:
    frame = _frame(1500)
    frame = frame.append_column("carrier_of", frame["carrier"])
    training = make_training(ws, frame, label, NAMES)
    found = features.rank(ws, training, method, repeats=3)
    names = [one.name for one in found.impacts]
    assert sorted(names) == sorted(NAMES)
    assert names.index("noise") > names.index("carrier") and names[0] in FEATURES
    score = {one.name: one.score for one in found.impacts}
    assert abs(score["constant"]) < 1e-9 and (method != "mutual_information" or score["carrier"] > 0.01)
    assert features.rank(ws, training, method, repeats=3).impacts == found.impacts
    assert 'font-size="12"' in found._repr_html_() and "carrier" in found._repr_html_()


@pytest.mark.parametrize("method", METHODS)
def test_ray_gives_the_same_ranking(ray_ws: Workspace, method: Any) -> None:
    training = make_training(ray_ws, _frame(600), "late", NAMES)
    here, there = (features.rank(ray_ws, training, method, repeats=2, engine=e) for e in ("process", "ray"))
    assert [one.name for one in here.impacts] == [one.name for one in there.impacts]
    assert [one.score for one in here.impacts] == pytest.approx(
        [one.score for one in there.impacts], rel=1e-4, abs=1e-6
    )


def test_weak_features_are_discarded_by_count_or_threshold_and_it_is_recorded(ws: Workspace) -> None:
    training = make_training(ws, _frame(), "late", NAMES)
    found = features.rank(ws, training, "permutation")
    left = features.discard(ws, training, found, count=3)
    assert set(left.columns) == set(found.keep(count=3)) and left.columns[0] == "distance"
    strict = features.discard(ws, training, found, threshold=0.01, count=6)
    assert set(strict.columns) == {one.name for one in found.impacts if one.score >= 0.01}
    (first, second) = [event for event in registry.events(ws) if event.kind == "features-discarded"]
    assert first.payload["ranking"] == second.payload["ranking"] == found.run
    assert "noise" in first.payload["dropped"] and first.payload["count"] == 3
    run = registry.run(ws, found.run)
    assert run.kind == "ranking" and run.metrics["impact.noise"] == pytest.approx(found.impacts[-1].score, abs=0.02)
    assert features.find_set(ws, f"flights@{left.version}") == replace(left, types={}, event_time="event_time")
    again = features.training_set(ws, "less", labels=_frame(), label="late", event_time="at", feature_set=left)
    assert again.columns == left.columns


def test_features_of_views_can_be_discarded(ws: Workspace) -> None:
    frame = _frame().append_column("id", pa.array(range(2000)))
    data.write(ws, "facts", frame.select(["id", "at", "distance", "noise"]))
    view = features.FeatureView(
        "facts",
        features.Entity("id", types={"id": "int64"}),
        event_time="at",
        table="facts",
        columns=["distance", "noise"],
    )
    made = features.FeatureSet("flights", [view], passthrough=["carrier"])
    labels = frame.select(["id", "at", "carrier", "late"])
    training = features.training_set(ws, "t", labels=labels, label="late", event_time="at", feature_set=made)
    left = features.discard(ws, training, features.rank(ws, training, "gain"), count=2)
    assert left.columns == ("carrier", "distance") and left.exclude == ("noise",) and left.views == (view,)
    assert (
        "noise"
        not in features.training_set(
            ws, "t", labels=labels, label="late", event_time="at", feature_set=left
        ).version.schema
    )


def test_elimination_drops_the_weakest_round_by_round(ws: Workspace) -> None:
    training = make_training(ws, _frame(1000), "late", NAMES)
    done = features.eliminate(ws, training, count=2, step=2)
    assert [len(columns) for columns, _ in done.rounds] == [7, 5, 3, 2]
    assert set(FEATURES) > set(done.feature_set.columns) and done.rounds[0][1] > 0.8
    history = registry.metric_history(ws, done.run, "score")
    assert [value for _, value, *_ in history] == [score for _, score in done.rounds]


def test_sets_are_ranked_by_the_best_model_that_used_them(ws: Workspace) -> None:
    for columns, scores in ((FEATURES, [0.7, 0.8]), (FEATURES[:1], [0.75]), (FEATURES[:2], [float("nan")])):
        training = make_training(ws, label_frame(50), "late", columns)
        for score in scores:
            run = registry.start_run(ws, "fit", "first", inputs=[training.node])
            run = registry.finish_run(
                ws, run.id, metrics={"auc": score, "loss": 1 - score}, artifact=registry.put_bytes(ws, b"model")
            )
            registry.register(ws, run, name="flight-delay")
    best, second = features.rank_sets(ws)
    assert (best.model, best.score, best.models, second.score) == ("flight-delay@2", 0.8, 2, 0.75)
    assert best.feature_set != second.feature_set
    assert features.rank_sets(ws, "loss", lower_is_better=True)[0].score == pytest.approx(0.2)
    assert features.rank_sets(ws, "f1") == []


def test_rankings_that_cannot_be_made_are_refused(ws: Workspace) -> None:
    training = make_training(ws, label_frame(100))
    found = features.rank(ws, training, "gain")
    with pytest.raises(ConfigError, match="method 'anova'"):
        features.rank(ws, training, "anova")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="engine 'spark'"):
        features.rank(ws, training, "gain", engine="spark")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="say which features stay"):
        features.discard(ws, training, found)
    with pytest.raises(ConfigError, match="no feature is left"):
        features.discard(ws, training, found, threshold=1e9)
    with pytest.raises(ConfigError, match=r"the ranking is of training\.flights@1"):
        features.discard(ws, make_training(ws, label_frame(100, seed=1)), found, count=1)
    with pytest.raises(ConfigError, match="count=0"):
        features.eliminate(ws, training, count=0)
    with pytest.raises(DataError, match="needs 20 rows"):
        features.rank(ws, make_training(ws, label_frame(10)), "gain")
    assert [run.status for run in registry.runs(ws, kind="ranking")].count("failed") == 1
