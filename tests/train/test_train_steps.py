"""A training as a pipeline: one fit whatever dies, a gate, a registered version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from raylake import pipelines, registry, train
from raylake.core import PipelineFailed, Workspace
from raylake.features import TrainingSet
from raylake.testing.pipelines import LocalExecutor
from raylake.train import Bar


def test_a_worker_that_dies_after_the_fit_does_not_fit_twice(
    ray_ws: Workspace, training: Callable[..., TrainingSet], frame: Callable[..., pa.Table]
) -> None:
    spec = train.Spec(train.XGBoost(rounds=5, max_depth=2), training(ray_ws, frame(300)))
    pipe = train.training(spec, "delay", alias="champion", gate=Bar(least={"auc": 0.5}))
    run = pipelines.submit(ray_ws, pipe)
    done = pipelines.drive(ray_ws, run, pipeline=pipe, executor=LocalExecutor(lost=["fit"]))
    assert done.step("fit").crashes == 1
    (fitted,) = registry.runs(ray_ws, kind="train", limit=None)
    version = registry.model_version(ray_ws, "delay@champion")
    assert (version.run_id, version.version) == (fitted.id, 1)
    assert pipelines.result(ray_ws, done, pipeline=pipe) == version
    assert done.step("fit").reads == (str(spec.training.version.node),)
    assert done.step("register").writes == ("model:delay@1",)


@pytest.fixture
def finished(ws: Workspace) -> registry.Run:
    run = registry.start_run(ws, "train", "late")
    return registry.finish_run(ws, run.id, metrics={"auc": 0.6, "rmse": 3.0}, artifact="0" * 64)


@pytest.mark.parametrize(
    ("gate", "opens", "why"),
    [
        (Bar(least={"auc": 0.5}), True, ""),
        (Bar(least={"auc": 0.7}), False, "auc is 0.6, less than 0.7"),
        (Bar(most={"rmse": 2.5}), False, "rmse is 3.0, more than 2.5"),
        (Bar(least={"r2": 0.1}), False, "r2 is missing, less than 0.1"),
    ],
)
def test_what_misses_the_gate_is_not_registered(
    ws: Workspace, finished: registry.Run, gate: Bar, opens: bool, why: str
) -> None:
    @pipelines.pipeline
    def gated() -> Any:
        with pipelines.when(train.gate_step(finished, gate)):
            train.register_step(finished, "late", "")

    done = pipelines.drive(ws, pipelines.submit(ws, gated), pipeline=gated, executor=LocalExecutor())
    assert (done.step("register").state == "finished") is opens
    assert why in pipelines.logs(ws, done, "gate")
    assert bool(registry.models(ws)) is opens


def test_a_maker_of_specs_that_fails_is_named(ws: Workspace) -> None:
    def broken(ws: Workspace) -> train.Spec:
        raise ValueError("no rows since yesterday")

    pipe = train.training(broken, "late", name="nightly")
    with pytest.raises(PipelineFailed, match="step 'specify' failed: ValueError: no rows since yesterday"):
        pipelines.drive(ws, pipelines.submit(ws, pipe), pipeline=pipe, executor=LocalExecutor())
