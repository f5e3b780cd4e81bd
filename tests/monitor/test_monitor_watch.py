"""The loop as a pipeline: the same decisions as `step`, whatever worker dies when its work is done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from monitor_world import FAKE, World, moment

from raylake import pipelines, registry
from raylake.core import TrainingFailed, Workspace
from raylake.monitor import Policy, Renderer, Turn, add_labels, reports, watching
from raylake.registry import Run
from raylake.testing.pipelines import LocalExecutor, LocalLauncher

NOW = moment(10)
STEPS = ("assess", "report", "challenge", "settle")


@pytest.fixture(autouse=True)
def _rendering_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "Renderer", partial(Renderer, command=(sys.executable, "-c", FAKE)))


@pytest.fixture
def world(ws: Workspace) -> World:
    """A champion of the first half year; July to September served; labels of July and August known in October."""
    made = World(ws)
    made.serve(moment(7), moment(10), made.deploy(moment(7)))
    add_labels(ws, made.endpoint, made.labels(moment(7), moment(9), known_at=NOW))
    return made


class Retrain:
    """Fits on all rows before the cut-off."""

    def __init__(self, world: World) -> None:
        self.world, self.fits = world, 0

    def __call__(self, ws: Workspace, cutoff: datetime) -> Run:
        self.fits += 1
        return self.world.fit(self.world.between(moment(7), cutoff), f"retrained-{self.fits}")


def policy(retrain: Callable[..., Any] | None, **other: Any) -> Policy:
    return Policy(retrain=retrain, min_labels=200, resamples=200, **other)


def watch(world: World, rules: Policy, executor: LocalExecutor) -> tuple[pipelines.PipelineRun, Turn]:
    pipe = watching(world.endpoint, rules)
    run = pipelines.submit(world.ws, pipe, {"due": NOW.isoformat()})
    done = pipelines.drive(world.ws, run, pipeline=pipe, executor=executor)
    return done, pipelines.result(world.ws, done, pipeline=pipe)


@pytest.mark.parametrize("lost", [(), STEPS, ("settle",), ("challenge",)], ids=lambda lost: "-".join(lost) or "none")
def test_a_better_challenger_is_promoted_once(world: World, lost: tuple[str, ...]) -> None:
    retrain = Retrain(world)
    done, turn = watch(world, policy(retrain), LocalExecutor(lost=lost))
    assert (turn.action, str(turn.promoted)) == ("promote", "delay@2")
    assert "delay@2" not in turn.sentence or turn.sentence.startswith("Promote")
    assert retrain.fits == 1
    assert [step.state for step in done.steps] == ["finished"] * 4
    assert done.step("challenge").writes == ("model:delay@2",)
    assert len(registry.drift_reports(world.ws, world.endpoint)) == 1
    assert [version for version, _ in registry.alias_history(world.ws, "delay", "champion")] == [1, 2]
    assert not registry.runs(world.ws, status="running")


def test_a_calm_endpoint_is_kept_without_a_challenger(world: World) -> None:
    done, turn = watch(world, policy(None), LocalExecutor())
    assert (turn.action, turn.promoted, turn.attempt) == ("keep", None, "")
    assert [step.state for step in done.steps] == ["finished", "finished", "skipped", "skipped"]


@pytest.mark.parametrize("lost", [(), ("challenge", "settle")], ids=["none", "both"])
def test_a_retraining_that_fails_keeps_the_champion_and_says_so(world: World, lost: tuple[str, ...]) -> None:
    def fail(ws: Workspace, cutoff: datetime) -> Run:
        raise TrainingFailed("out of memory")

    _, turn = watch(world, policy(fail), LocalExecutor(lost=lost))
    assert (turn.action, turn.promoted) == ("keep", None)
    assert "out of memory" in turn.sentence
    assert registry.model_version(world.ws, "delay@champion").version == 1
    assert [alert.severity for alert in registry.alerts(world.ws)].count("error") == 1


def test_a_schedule_watches_every_morning(world: World) -> None:
    pipe = watching(world.endpoint, policy(Retrain(world)))
    pipelines.schedule(world.ws, "watch", pipe, pipelines.Cron("0 0 * * *"), now=NOW - timedelta(hours=1))
    (run,) = pipelines.tick(world.ws, LocalLauncher(), NOW + timedelta(seconds=1)).fired
    found = pipelines.result(world.ws, run)
    assert (found.action, found.endpoint) == ("promote", world.endpoint)
    assert datetime.fromisoformat(pipelines.show(world.ws, run).params["due"]) == NOW.astimezone(UTC)
