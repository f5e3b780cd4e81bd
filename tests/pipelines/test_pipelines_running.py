"""Runs on the executor of this process: results, failures, resume, cache, cancel, pause, retry."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipeline_cases import (
    branches,
    fail_while,
    flaky,
    guarded,
    is_even,
    lines,
    numbers,
    outer,
    square,
    squares,
    total,
)

from raylake import pipelines
from raylake.core import Conflict, NotFound, PipelineFailed, PipelineInvalid, Workspace
from raylake.pipelines import PipelineRun
from raylake.pipelines.pipeline import Pipeline
from raylake.testing.pipelines import LocalExecutor


def go(ws: Workspace, pipeline: Pipeline, executor: LocalExecutor | None = None, **params: object) -> PipelineRun:
    return pipelines.drive(ws, pipelines.submit(ws, pipeline, params), executor=executor or LocalExecutor())


def states(run: PipelineRun) -> dict[str, str]:
    return {step.key: step.state for step in run.steps}


def test_map_and_fan_in(ws: Workspace) -> None:
    done = go(ws, squares, count=5)
    assert (done.state, pipelines.result(ws, done)) == ("finished", 30)
    assert pipelines.output(ws, done, "square") == [0, 1, 4, 9, 16]
    assert [step.key for step in done.steps] == [
        "numbers", "square", "square[0]", "square[1]", "square[2]", "square[3]", "square[4]", "total",
    ]  # fmt: skip
    assert "counting to 5" in pipelines.logs(ws, done, "numbers")
    assert all(step.ended_at and step.started_at for step in done.steps if step.width is None)


def test_an_empty_map_is_an_empty_list(ws: Workspace) -> None:
    assert pipelines.result(ws, go(ws, squares, count=0)) == 0


def test_maps_of_maps_pass_item_by_item(ws: Workspace) -> None:
    @pipelines.pipeline
    def chained(count: int = 3):
        return total(square.map(square.map(numbers(count))))

    assert pipelines.result(ws, go(ws, chained)) == 0 + 1 + 16


@pytest.mark.parametrize(("n", "answer", "skipped"), [(2, "even", "odd"), (3, "odd", "even")])
def test_conditions(ws: Workspace, n: int, answer: str, skipped: str) -> None:
    done = go(ws, branches, n=n)
    assert pipelines.result(ws, done) == answer
    assert states(done)[skipped] == "skipped"


def test_what_needs_a_skipped_step_is_skipped_too(ws: Workspace) -> None:
    @pipelines.pipeline
    def gated(n: int):
        with pipelines.when(is_even(n)):
            first = square(n)
        total([first, 1])

    done = go(ws, gated, n=1)
    assert (done.state, states(done)) == ("finished", {"is-even": "finished", "square": "skipped", "total": "skipped"})


def test_nested_pipelines(ws: Workspace) -> None:
    assert outer.graph.keys[0] == "squares/numbers"
    assert pipelines.result(ws, go(ws, outer)) == 10


def test_parts_of_outputs(ws: Workspace) -> None:
    @pipelines.step
    def figures() -> dict[str, list[int]]:
        return {"auc": [3, 4]}

    @pipelines.pipeline
    def parts(extra: dict[str, int]):
        return total([figures()["auc"][1], extra["x"]])

    assert pipelines.result(ws, go(ws, parts, extra={"x": 5})) == 9
    with pytest.raises(PipelineFailed, match=r"the output of step 'figures' has no part 'f1': it is keys \['auc'\]"):
        go(ws, pipelines.pipeline(name="wrong")(lambda: total([figures()["f1"]])))


def test_retries_with_back_off(ws: Workspace, tmp_path: Path) -> None:
    @pipelines.pipeline
    def shaky(folder: str):
        return flaky(4, folder)

    done = go(ws, shaky, folder=str(tmp_path))
    assert lines(tmp_path) == ["flaky 1", "flaky 2", "flaky 3"]
    attempts = done.step("flaky").attempts
    assert [each.error for each in attempts] == ["ValueError: attempt 1 fails", "ValueError: attempt 2 fails", ""]
    assert "attempt 2 fails" in pipelines.logs(ws, done, "flaky")


def test_a_worker_that_dies_is_replaced(ws: Workspace) -> None:
    @pipelines.pipeline
    def dying():
        return square.with_options(backoff=0.01)(3)

    assert pipelines.result(ws, go(ws, dying, LocalExecutor(crashes={"square": 3}))) == 9
    with pytest.raises(PipelineFailed, match="step 'square': its worker died"):
        go(ws, dying, LocalExecutor(crashes={"square": 4}))


def test_failure_resume_handlers(ws: Workspace, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    with pytest.raises(PipelineFailed, match="step 'fail-while' failed: RuntimeError: the marker is there") as caught:
        go(ws, guarded, marker=str(marker), folder=str(tmp_path))
    failed = pipelines.show(ws, caught.value.run_id)
    assert states(failed) == {
        "square": "finished", "fail-while": "failed", "side": "finished", "total": "blocked",
        "on-failure": "finished", "finally": "finished",
    }  # fmt: skip
    assert pipelines.output(ws, failed, "on-failure") == "guarded: ['fail-while']"
    marker.unlink()
    done = pipelines.resume(ws, failed.id, executor=LocalExecutor())
    assert pipelines.result(ws, done) == 1 + 1 + 49
    assert lines(tmp_path) == ["square 1", "square 7"], "finished steps ran once"
    assert states(done)["on-failure"] == "skipped"
    with pytest.raises(Conflict, match="there is nothing to resume"):
        pipelines.resume(ws, done.id, executor=LocalExecutor())


def test_a_failed_item_fails_the_node_and_only_it_runs_again(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "1").touch()

    @pipelines.pipeline
    def items(folder: str):
        return total(fail_while.map([f"{tmp_path}/0", f"{tmp_path}/1", f"{tmp_path}/2"], n=1))

    with pytest.raises(PipelineFailed, match=r"1 of 3 items failed, first fail-while\[1\]: RuntimeError") as caught:
        go(ws, items, folder="")
    (tmp_path / "1").unlink()
    executor = LocalExecutor()
    done = pipelines.resume(ws, caught.value.run_id, executor=executor)
    assert executor.ran == ["fail-while[1]", "total"]
    assert pipelines.result(ws, done) == 6


def test_cache_by_code_inputs_and_version(ws: Workspace) -> None:
    kept = square.with_options(cache=True)

    @pipelines.pipeline
    def cached(n: int, version: str = ""):
        return total(kept.map([1, 2, n]))

    first, second, third = LocalExecutor(), LocalExecutor(), LocalExecutor()
    go(ws, cached, first, n=3)
    done = go(ws, cached, second, n=4)
    assert [task for task in second.ran if "square" in task] == ["square[2]"]
    assert states(done)["square[0]"] == "cached"
    assert pipelines.result(ws, done) == 21
    go(ws, pipelines.pipeline(name="other")(lambda: total(kept.with_options(version="2").map([1, 2, 3]))), third)
    assert len(third.ran) == 4


def test_retry_of_one_step_runs_what_depends_on_it(ws: Workspace, tmp_path: Path) -> None:
    done = go(ws, guarded, marker=str(tmp_path / "none"), folder=str(tmp_path))
    executor = LocalExecutor()
    again = pipelines.retry_step(ws, done.id, "fail-while", executor=executor)
    assert executor.ran == ["fail-while", "total", "finally"]
    assert (again.step("fail-while").generation, again.step("square").generation) == (1, 0)
    with pytest.raises(NotFound, match="has no step 'nothing'"):
        pipelines.retry_step(ws, done.id, "nothing", executor=executor)


def test_one_step_alone(ws: Workspace) -> None:
    done = go(ws, squares, count=3)
    alone = pipelines.run_step(ws, squares, "total", of_run=done.id, executor=LocalExecutor())
    assert pipelines.output(ws, alone, "total") == 5
    given = pipelines.run_step(ws, squares, "total", inputs={"parts": [4, 4]}, executor=LocalExecutor())
    assert pipelines.output(ws, given, "total") == 8
    with pytest.raises(PipelineInvalid, match="needs input 'parts'"):
        pipelines.run_step(ws, squares, "total", executor=LocalExecutor())


class Asking(LocalExecutor):
    """Asks something of the run while its first task runs."""

    def __init__(self, ws: Workspace, ask: object) -> None:
        super().__init__(capacity=1)
        self.ws, self.ask = ws, ask

    def wait(self, timeout: float) -> list[object]:  # type: ignore[override]
        if self.ask is not None:
            ask, self.ask = self.ask, None
            (run,) = pipelines.runs(self.ws, state="running")
            assert ask(self.ws, run.id) == "running"  # type: ignore[operator]
        return super().wait(timeout)  # type: ignore[return-value]


def test_cancel_runs_the_finaliser(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(PipelineFailed, match="cancelled") as caught:
        go(ws, guarded, Asking(ws, pipelines.cancel), marker=str(tmp_path / "none"), folder=str(tmp_path))
    ended = pipelines.show(ws, caught.value.run_id)
    assert ended.state == "cancelled"
    assert (states(ended)["total"], states(ended)["finally"]) == ("cancelled", "finished")
    with pytest.raises(Conflict, match="has ended"):
        pipelines.cancel(ws, ended.id)


def test_pause_and_go_on(ws: Workspace, tmp_path: Path) -> None:
    paused = go(ws, guarded, Asking(ws, pipelines.pause), marker=str(tmp_path / "none"), folder=str(tmp_path))
    assert paused.state == "paused"
    assert "waiting" in states(paused).values()
    done = pipelines.resume(ws, paused.id, executor=LocalExecutor())
    assert done.state == "finished"
    assert sorted(lines(tmp_path)) == ["square 1", "square 7"]


def test_of_two_drivers_one_wins(ws: Workspace) -> None:
    found: list[str] = []

    class Second(LocalExecutor):
        def wait(self, timeout: float) -> list[object]:  # type: ignore[override]
            if not found:
                (run,) = pipelines.runs(ws, state="running")
                with pytest.raises(Conflict, match="is driven by"):
                    pipelines.drive(ws, run.id, executor=LocalExecutor())
                found.append(run.id)
            return super().wait(timeout)  # type: ignore[return-value]

    assert go(ws, squares, Second()).state == "finished"
    assert len(found) == 1


def test_a_driver_whose_lease_was_taken_writes_nothing_more(ws: Workspace) -> None:
    from datetime import UTC, datetime, timedelta

    from raylake.pipelines.store import leases

    class Late(LocalExecutor):
        def wait(self, timeout: float) -> list[object]:  # type: ignore[override]
            (run,) = pipelines.runs(ws, limit=1)
            leases.acquire(ws, run.id, "other:1:1:x", datetime.now(UTC) + timedelta(minutes=5))
            return super().wait(timeout)  # type: ignore[return-value]

    with pytest.raises(Conflict, match="was taken over by another driver"):
        go(ws, squares, Late())
    (run,) = pipelines.runs(ws)
    assert run.state == "running"


def test_an_output_that_cannot_be_stored_names_the_step(ws: Workspace) -> None:
    @pipelines.step(retries=5)
    def lock() -> object:
        import threading

        return threading.Lock()

    executor = LocalExecutor()
    with pytest.raises(PipelineFailed, match="step 'lock' returned a lock, which cannot be stored"):
        go(ws, pipelines.pipeline(name="locks")(lambda: lock()), executor)
    assert executor.ran == ["lock"], "an error that would come again is not retried"


def test_application_transactions_are_the_same_in_every_attempt(ws: Workspace) -> None:
    @pipelines.step(retries=1, backoff=0.0)
    def write(context: pipelines.StepContext) -> tuple[str, int]:
        print(context.app)
        context.writes("table:main.flights@3")
        if context.attempt == 1:
            raise OSError("disk")
        return pipelines.context().app

    done = go(ws, pipelines.pipeline(name="writes")(lambda: write()))
    app = (f"pipeline:{done.id}:write", 0)
    assert pipelines.result(ws, done) == app
    assert pipelines.logs(ws, done, "write").count(str(app)) == 2
    assert done.step("write").writes == ("table:main.flights@3",)


def test_lists_of_runs(ws: Workspace) -> None:
    made = [go(ws, squares, count=n) for n in range(3)]
    assert [run.id for run in pipelines.runs(ws, pipeline="squares")] == [run.id for run in made[::-1]]
    assert [run.id for run in pipelines.runs(ws, before=made[1].id)] == [made[0].id]
    assert pipelines.show(ws, made[0].id[:8]).id == made[0].id
    with pytest.raises(NotFound, match="is not recorded"):
        pipelines.show(ws, "0" * 32)
