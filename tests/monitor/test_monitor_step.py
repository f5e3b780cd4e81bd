"""The loop: retrains when it should, promotes only what is better, survives kills, and never does it twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from monitor_world import World, moment

from raylake import registry, train
from raylake.core import TrainingFailed, Workspace, exclusive
from raylake.monitor import Outcome, Policy, Renderer, add_labels, step
from raylake.monitor import attempt as attempts
from raylake.registry import Run

SEPTEMBER = (moment(9), moment(10))
NOW = moment(10)


@pytest.fixture
def world(ws: Workspace) -> World:
    """A champion of the first half year; July to September served; labels of July and August known in October."""
    return prepared(ws)


def prepared(ws: Workspace, **kind: Any) -> World:
    made = World(ws, **kind)
    made.serve(moment(7), moment(10), made.deploy(moment(7)))
    add_labels(ws, made.endpoint, made.labels(moment(7), moment(9), known_at=NOW))
    return made


class Retrain:
    """Fits on all rows before the cut-off and counts how often it was asked."""

    def __init__(self, world: World) -> None:
        self.world, self.cutoffs = world, list[datetime]()

    def __call__(self, ws: Workspace, cutoff: datetime) -> Run:
        self.cutoffs.append(cutoff)
        return self.world.fit(self.world.between(moment(7), cutoff), f"retrained-{len(self.cutoffs)}")


def policy(retrain: Callable[..., Any] | None, **other: Any) -> Policy:
    return Policy(retrain=retrain, min_labels=200, resamples=200, **other)


def turn(world: World, rules: Policy, renderer: Renderer, **other: Any) -> Outcome:
    return step(world.ws, world.endpoint, rules, **{"now": NOW, "window": SEPTEMBER, **other}, renderer=renderer)


def champion(world: World) -> int:
    return registry.model_version(world.ws, "delay@champion").version


def kinds(world: World) -> list[str]:
    found = [event.kind for event in registry.events(world.ws)]
    return [kind for kind in found if kind.startswith("monitor-")]


def test_a_decayed_champion_is_replaced_by_a_better_model(world: World, renderer: Renderer) -> None:
    retrain = Retrain(world)
    outcome = turn(world, policy(retrain), renderer)
    assert outcome.action == "promote"
    assert champion(world) == 2
    assert outcome.promoted is not None
    assert outcome.promoted.version == 2
    assert outcome.trigger is not None
    assert "AUC fell from" in outcome.trigger.sentence
    assert outcome.decision is not None
    assert outcome.decision.evidence.comparison is not None
    assert outcome.decision.evidence.comparison.low > 0
    # labels end with August, and the newest fourteen days of them decide
    assert moment(8, 17) < retrain.cutoffs[0] < moment(8, 19)
    assert kinds(world) == ["monitor-turn", "monitor-trained", "monitor-promoted"]
    assert registry.alerts(world.ws, severity="warning")[0].message == outcome.trigger.sentence
    report = outcome.report
    assert report is not None
    assert report.window == SEPTEMBER
    run = outcome.run
    assert run is not None
    assert run.status == "finished"
    upstream = {str(edge.source) for edge in registry.upstream(world.ws, run.node)}
    assert {"model:delay@1", str(report.current)} <= upstream


def test_the_next_turn_has_nothing_new_to_learn_from(world: World, renderer: Renderer) -> None:
    retrain = Retrain(world)
    turn(world, policy(retrain), renderer)
    again = turn(world, policy(retrain, drift_share=0.0), renderer)
    assert again.action == "keep"
    assert len(retrain.cutoffs) == 1
    assert champion(world) == 2


def test_a_calm_endpoint_is_kept(ws: Workspace, renderer: Renderer) -> None:
    world = prepared(ws, turn=False)
    retrain = Retrain(world)
    outcome = turn(world, policy(retrain, min_auc_drop=0.1), renderer)
    assert outcome.action == "keep"
    assert outcome.sentence.startswith("Keep: none of 3 columns drifted")
    assert not retrain.cutoffs
    assert kinds(world) == ["monitor-turn"]
    assert not registry.alerts(ws)


def test_a_challenger_that_is_not_better_is_rejected_once(ws: Workspace, renderer: Renderer) -> None:
    world = prepared(ws, turn=False, drift=2.0)
    retrain = Retrain(world)
    outcome = turn(world, policy(retrain, drift_share=0.3), renderer)
    assert outcome.action == "reject", outcome.sentence
    assert "does not clear the margin" in outcome.sentence
    assert "columns drifted: b (mean" in outcome.trigger.sentence  # type: ignore[union-attr]
    assert champion(world) == 1
    again = turn(world, policy(retrain, drift_share=0.3), renderer)
    assert again.action == "keep"
    assert "was judged already" in again.sentence
    assert len(retrain.cutoffs) == 1


def test_without_labels_nothing_is_promoted(ws: Workspace, renderer: Renderer) -> None:
    world = World(ws, drift=2.0)
    world.serve(moment(7), moment(10), world.deploy(moment(7)))
    retrain = Retrain(world)
    outcome = turn(world, policy(retrain, drift_share=0.3), renderer)
    assert (outcome.action, champion(world), retrain.cutoffs) == ("keep", 1, [])
    assert "no label is known of a request after 2013-06-30" in outcome.sentence
    assert registry.alerts(ws)[0].message == outcome.sentence


def test_labels_of_the_future_are_not_looked_at(world: World, renderer: Renderer) -> None:
    retrain = Retrain(world)
    outcome = turn(world, policy(retrain, drift_share=0.0), renderer, now=NOW - timedelta(seconds=1))
    assert (outcome.action, retrain.cutoffs) == ("keep", [])


def test_too_few_labels_keep(world: World, renderer: Renderer) -> None:
    retrain = Retrain(world)
    rules = Policy(retrain=retrain, min_labels=100_000, max_age=timedelta(days=1))
    outcome = turn(world, rules, renderer)
    assert outcome.action == "keep"
    assert "too few to compare two models" in outcome.sentence
    assert not retrain.cutoffs


def test_a_challenger_that_saw_the_deciding_rows_is_refused(world: World, renderer: Renderer) -> None:
    def cheat(ws: Workspace, cutoff: datetime) -> Run:
        return world.fit(world.between(moment(7), moment(9)), "cheat")

    outcome = turn(world, policy(cheat), renderer)
    assert outcome.action == "keep"
    assert "was trained on rows up to 2013-08-31" in outcome.sentence
    assert champion(world) == 1
    assert registry.alerts(world.ws, severity="error")[0].message == outcome.sentence


def test_flipped_labels_promote_nothing(ws: Workspace, renderer: Renderer) -> None:
    world = World(ws, turn=False)
    world.serve(moment(7), moment(10), world.deploy(moment(7)))
    labels = world.labels(moment(7), moment(9), known_at=NOW)
    add_labels(ws, world.endpoint, labels.set_column(1, "label", pc.subtract(1, labels["label"])))

    def learn_flipped(ws: Workspace, cutoff: datetime) -> Run:
        rows = world.between(moment(7), cutoff)
        return world.fit(rows.set_column(5, "label", pc.subtract(1, rows["label"])), "flipped")

    outcome = turn(world, policy(learn_flipped), renderer)
    assert outcome.action == "keep"
    assert "labels are likelier wrong than the model" in outcome.sentence
    assert champion(world) == 1


def test_a_failed_retraining_is_an_alert_and_is_tried_again(world: World, renderer: Renderer) -> None:
    def fail(ws: Workspace, cutoff: datetime) -> Run:
        raise TrainingFailed("out of memory")

    outcome = turn(world, policy(fail), renderer)
    assert outcome.action == "keep"
    assert "out of memory" in outcome.sentence
    assert turn(world, policy(Retrain(world)), renderer).action == "promote"


def test_an_alias_moved_by_hand_meanwhile_is_left_alone(world: World, renderer: Renderer) -> None:
    other = registry.register(world.ws, world.fit(world.between(moment(1), moment(6)), "other"), name="delay")

    def slow(ws: Workspace, cutoff: datetime) -> Run:
        registry.set_alias(ws, "delay", "champion", other.version)
        return world.fit(world.between(moment(7), cutoff), "late")

    outcome = turn(world, policy(slow), renderer)
    assert outcome.action == "keep"
    assert outcome.promoted is None
    assert champion(world) == other.version


def test_two_monitors_at_once_retrain_once(world: World, renderer: Renderer) -> None:
    started, release = threading.Event(), threading.Event()
    retrain = Retrain(world)

    def slow(ws: Workspace, cutoff: datetime) -> Run:
        started.set()
        assert release.wait(60)
        return retrain(ws, cutoff)

    found: list[Outcome] = []
    first = threading.Thread(target=lambda: found.append(turn(world, policy(slow), renderer)))
    first.start()
    assert started.wait(60)
    second = turn(world, policy(slow), renderer)
    release.set()
    first.join()
    assert second.action == "keep"
    assert "another monitor is at work" in second.sentence
    assert second.report is None
    assert found[0].action == "promote"
    assert len(retrain.cutoffs) == 1
    third = turn(world, policy(slow, drift_share=0.0), renderer)
    assert third.action == "keep"
    assert len(retrain.cutoffs) == 1


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code handles it."""


WRITES = ("start_run", "record_event", "register", "set_alias", "finish_run", "record_alert")


class Killer:
    """Raises `Killed` before or after the write with a given number; counts writes of the main thread only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._originals = {name: getattr(registry, name) for name in WRITES}

    def run(self, number: int, after: bool, body: Callable[[], object]) -> bool:
        """Run `body`; whether it was killed."""
        calls = 0

        def call(name: str, /, *args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            if threading.current_thread() is not threading.main_thread():
                return self._originals[name](*args, **kwargs)  # the report of the killed turn
            calls += 1
            if calls == number and not after:
                raise Killed
            made = self._originals[name](*args, **kwargs)
            if calls == number:
                raise Killed
            return made

        with self._monkeypatch.context() as patch:
            for name in WRITES:
                patch.setattr(registry, name, partial(call, name))
            try:
                body()
            except Killed:
                return True
        return False


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write_the_next_turn_ends_in_the_same_place(
    tmp_path: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    fits: list[str] = []

    def fit(ws: Workspace, spec: tuple[World, datetime], *, parent: str | None = None) -> Run:
        world, cutoff = spec
        fits.append("fit")
        return world.fit(world.between(moment(7), cutoff), f"retrained-{len(fits)}", parent)

    monkeypatch.setattr(train, "fit", fit)
    for number in range(1, 40):
        ws = Workspace.open(tmp_path / str(number), registry_url="", online_url="")
        world = prepared(ws, rows=6_000)
        rules = policy(partial(lambda world, ws, cutoff: (world, cutoff), world))
        killed = Killer(monkeypatch).run(number, after, partial(turn, world, rules, renderer))
        if killed:
            turn(world, rules, renderer)
        assert champion(world) == 2, number
        assert kinds(world).count("monitor-promoted") == 1, number
        assert not registry.runs(ws, status="running"), number
        assert [version for version, _ in registry.alias_history(ws, "delay", "champion")] == [1, 2]
        if not killed:
            break
    assert number > 8  # the kills really went through all stages


def test_killed_before_the_fit_ends_it_is_fitted_again_once(world: World, renderer: Renderer) -> None:
    def die(ws: Workspace, cutoff: datetime) -> Run:
        raise Killed

    with pytest.raises(Killed):
        turn(world, policy(die), renderer)
    assert attempts.unfinished(world.ws, world.endpoint) is not None
    retrain = Retrain(world)
    outcome = turn(world, policy(retrain), renderer)
    assert outcome.action == "promote"
    assert outcome.trigger is None  # the interrupted attempt was finished
    assert len(retrain.cutoffs) == 1


SCRIPT = """
import sys
from raylake.core import Workspace
from raylake.monitor import Policy, Renderer, step
from datetime import datetime, UTC
def wait(ws, cutoff):
    print("fitting", flush=True)
    sys.stdin.read()
ws, now = Workspace.open(sys.argv[1], registry_url="", online_url=""), datetime(2013, 10, 1, tzinfo=UTC)
window = datetime(2013, 9, 1, tzinfo=UTC), now
step(ws, "delays", Policy(retrain=wait, min_labels=200), now=now, window=window)
"""


def test_a_killed_process_frees_the_lock_and_another_finishes_its_work(world: World, renderer: Renderer) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, world.ws.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "fitting\n"
        busy = turn(world, policy(Retrain(world)), renderer)
        assert f"process {child.pid}" in busy.sentence
        os.kill(child.pid, signal.SIGKILL)
    outcome = turn(world, policy(Retrain(world)), renderer)
    assert outcome.action == "promote"
    assert champion(world) == 2
    assert len(registry.runs(world.ws, kind="monitor")) == 1


def test_the_lock_names_who_holds_it(world: World, renderer: Renderer) -> None:
    with exclusive(world.ws, "monitor-delays"):
        outcome = turn(world, policy(Retrain(world)), renderer)
    assert f"process {os.getpid()}" in outcome.sentence
