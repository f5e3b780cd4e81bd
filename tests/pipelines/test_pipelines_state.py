"""The run's state machine against random wirings and random events."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raylake.core import PipelineError
from raylake.pipelines import events
from raylake.pipelines import state as states
from raylake.pipelines.state import RunState, ShapeNode, advance, initial, item, node_of, ready
from raylake.pipelines.step import StepOptions


def make_shape(seed: int, size: int) -> dict[str, ShapeNode]:
    chance = random.Random(seed)
    shape: dict[str, ShapeNode] = {}
    for index in range(size):
        earlier = list(shape)
        upstream = frozenset(chance.sample(earlier, min(len(earlier), chance.randint(0, 3))))
        optional = upstream if chance.random() < 0.2 and len(upstream) > 1 else frozenset()
        alternatives = (tuple(frozenset({each}) for each in sorted(optional)),) if optional else ()
        options = StepOptions(retries=chance.randint(0, 2), crash_retries=chance.randint(0, 2), backoff=1)
        shape[f"n{index}"] = ShapeNode(
            f"n{index}", upstream, upstream - optional, alternatives, chance.random() < 0.3, options
        )
    for key in (states.ON_FAILURE, states.FINALLY):
        shape[key] = ShapeNode(key, frozenset(shape), frozenset(), (), False, StepOptions())
    return shape


class Machine(RuleBasedStateMachine):
    """Drives the state as a driver would, with every outcome possible at every point."""

    @initialize(seed=st.integers(0, 10**6), size=st.integers(1, 7))
    def begin(self, seed: int, size: int) -> None:
        self.shape = make_shape(seed, size)
        self.state: RunState = initial(self.shape)
        self.now = 0.0
        self.done: dict[str, str] = {}
        self.tries: dict[str, int] = {}

    def apply(self, *happened: events.Event) -> None:
        self.state = advance(self.shape, self.state, happened)

    def startable(self) -> list[str]:
        return ready(self.shape, self.state, self.now)

    def flying(self) -> list[str]:
        return [
            key
            for key, task in self.state.tasks.items()
            if task.state == states.RUNNING and not (key in self.shape and self.shape[key].mapped)
        ]

    @precondition(lambda self: self.startable())
    @rule(pick=st.integers(0, 50), width=st.integers(0, 3), how=st.sampled_from(["start", "start", "skip", "reuse"]))
    def go_on(self, pick: int, width: int, how: str) -> None:
        task = self.startable()[pick % len(self.startable())]
        node = self.shape[node_of(task)]
        if node.mapped and task == node.key:
            self.apply(events.Skip(task) if how == "skip" else events.Expand(task, width))
            return
        waits = self.state.tasks[task].state == states.WAITING
        if how == "skip" and waits and task == node.key:
            self.apply(events.Skip(task))
        elif how == "reuse" and waits:
            self.apply(events.Reuse(task, "cached"))
        else:
            assert task not in self.done, "a finished task is never started again"
            self.apply(events.Start(task))
            self.tries[task] = self.tries.get(task, 0) + 1

    @precondition(lambda self: self.flying())
    @rule(pick=st.integers(0, 50), how=st.sampled_from(["finish", "finish", "fail", "crash", "hopeless"]))
    def end(self, pick: int, how: str) -> None:
        task = self.flying()[pick % len(self.flying())]
        if how == "finish":
            self.apply(events.Finish(task, f"out-{task}"))
            self.done[task] = f"out-{task}"
        else:
            self.apply(events.Fail(task, how, self.now, crash=how == "crash", final=how == "hopeless"))

    @rule(seconds=st.floats(0, 5))
    def later(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def cancel(self) -> None:
        self.apply(events.Cancel())

    @rule()
    def resume(self) -> None:
        """The driver dies, or the run has ended, and another driver goes on from what is recorded."""
        before = self.state
        self.state = states.resumed(self.shape, before.tasks, before.widths)
        self.tries = {}
        for key, task in before.tasks.items():
            if task.state in states.DONE and key in self.state.tasks and key not in states._HANDLERS:
                assert self.state.tasks[key] == task
        self.done = {k: v for k, v in self.done.items() if k not in states._HANDLERS}

    @invariant()
    def finished_stays_finished(self) -> None:
        for task, output in self.done.items():
            assert self.state.tasks[task].state == states.FINISHED
            assert self.state.tasks[task].output == output

    @invariant()
    def nothing_runs_before_its_inputs(self) -> None:
        for key, node in self.shape.items():
            if self.state.tasks[key].state in {states.RUNNING, states.RETRYING, states.FINISHED, states.CACHED}:
                assert all(self.state.tasks[source].state in states.SETTLED for source in node.upstream)
                assert all(self.state.tasks[source].state in states.DONE for source in node.required)

    @invariant()
    def retries_are_bounded(self) -> None:
        for task, count in self.tries.items():
            options = self.shape[node_of(task)].options
            assert count <= 1 + options.retries + options.crash_retries

    @invariant()
    def it_never_hangs(self) -> None:
        if not states.settled(self.state):
            soon = ready(self.shape, self.state, self.now + 10**9)
            assert soon or self.flying(), {key: task.state for key, task in self.state.tasks.items()}

    @invariant()
    def items_belong_to_their_node(self) -> None:
        for key, width in self.state.widths.items():
            if self.state.tasks[key].state == states.FINISHED:
                done = {self.state.tasks[item(key, index)].state for index in range(width)}
                assert done <= states.DONE


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase


def test_events_that_do_not_fit_are_refused() -> None:
    shape = make_shape(1, 2)
    for event in (events.Finish("n0", "x"), events.Start("none"), events.Fail("n0", "x", 0.0)):
        with pytest.raises(PipelineError, match=r"expected running|there is no task"):
            advance(shape, initial(shape), [event])
