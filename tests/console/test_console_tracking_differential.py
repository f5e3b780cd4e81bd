"""The same calls of MLflow's client against its own SQLite store and against our server give equal answers.

What differs on purpose: infinities stay infinities here; a wrong status, view or trailing AND is refused, not ignored;
renaming a deleted experiment is the client's error (400), not the server's (500, which clients retry).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from tests.console.tracking_server import serving

from raylake import registry
from raylake.core import Workspace


class Script:
    """Calls and their answers, in which ids are replaced by the order in which they came up."""

    def __init__(self, client: MlflowClient) -> None:
        self.client = client
        self.answers: list[Any] = []
        self._ids: list[str] = []

    def __call__(self, method: str, /, *args: Any, **options: Any) -> Any:
        try:
            answer = getattr(self.client, method)(*args, **options)
        except MlflowException as error:
            self.answers.append((method, "refused", error.error_code))
            return None
        self.answers.append((method, self._plain(answer)))
        return answer

    def _plain(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        if isinstance(value, dict):
            return {key: self._plain(each) for key, each in sorted(value.items())}
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, (int, float)):
            return repr(value)
        found = {key: each for key, each in vars(value).items() if key not in ("_artifact_uri", "_artifact_location")}
        if "_creation_time" in found:
            del found["_creation_time"], found["_last_update_time"]
        if found.get("_outputs") is None:  # a new run's: the store gives none, a server an empty one
            found.pop("_outputs", None)
        elif not found["_outputs"].model_outputs:
            del found["_outputs"]
        if found.get("_end_time"):
            found["_end_time"] = "set"
        for key in ("_metric_objs", "_metrics", "_params", "_tags"):
            if isinstance(found.get(key), list):
                found[key] = sorted(found[key], key=lambda each: each.key)
        return self._plain(found)

    def _text(self, value: str) -> str:
        def number(match: re.Match[str]) -> str:
            if match[0] not in self._ids:
                self._ids.append(match[0])
            return f"run{self._ids.index(match[0])}"

        return re.sub(r"[0-9a-f]{32}", number, value)


def life(call: Script) -> None:
    made = call("create_experiment", "e1", tags={"a": "b"})
    call("create_experiment", "e1")
    call("create_experiment", "")
    call("get_experiment", made)
    call("get_experiment", "77")
    call("get_experiment_by_name", "e1")
    call("get_experiment_by_name", "nope")
    call("set_experiment_tag", made, "k", "v")
    call("delete_experiment_tag", made, "k")
    call("delete_experiment_tag", made, "k")
    call("rename_experiment", made, "e2")
    call("search_experiments", order_by=["name"])
    call("search_experiments", filter_string="name LIKE 'e%' AND tags.a = 'b'")
    call("delete_experiment", made)
    call("delete_experiment", made)
    call("create_run", made)
    call("search_experiments", ViewType.DELETED_ONLY)
    call("restore_experiment", made)
    call("restore_experiment", made)


def logging(call: Script) -> None:
    run = call("create_run", "0", start_time=1_700_000_000_123, run_name="r", tags={"x": "y"}).info.run_id
    other = call("create_run", "0", start_time=1_700_000_000_124, run_name="s", tags={"mlflow.parentRunId": run})
    metrics = [("m", 0.5, 500, 2), ("m", 0.5, 500, 2), ("m", 0.7, 600, 1), ("m", float("nan"), 700, 0), ("n", 1, 1, 0)]
    for key, value, at, step in metrics:
        call("log_metric", run, key, value, 1_700_000_000_000 + at, step)
    call("log_metric", run, "a?b", 1.0)
    call("log_metric", run, "../b", 1.0)
    call("log_metric", run, "k" * 251, 1.0)
    call("log_metric", "0" * 32, "m", 1.0)
    call("log_param", run, "p", 1)
    call("log_param", run, "p", "1")
    call("log_param", run, "p", "2")
    call("log_param", run, "long", "v" * 6001)
    call("set_tag", run, "t", "1")
    call("set_tag", run, "t", "2")
    call("set_tag", run, "mlflow.runName", "renamed")
    call("delete_tag", run, "t")
    call("delete_tag", run, "t")
    batch = [Metric("b", float(step), 1_700_000_001_000 + step, step) for step in range(5)]
    call("log_batch", run, batch, [Param("bp", "1")], [RunTag("bt", "z"), RunTag("bt", "zz")])
    call("log_batch", run, [], [Param("bp", "2")])
    call("log_batch", run, [], [Param("d", "1"), Param("d", "1")])
    data = Dataset("d", "1", "local", "{}", "{}", "{}")
    for _ in range(2):
        call("log_inputs", run, [DatasetInput(data, [InputTag("mlflow.data.context", "train"), InputTag("o", "p")])])
    call("get_run", run)
    call("get_run", other.info.run_id)
    call("get_run", "nope")
    call("get_metric_history", run, "m")
    call("get_metric_history", run, "nope")
    call("update_run", run, status="FAILED", name="again")
    call("set_terminated", run, "FINISHED", 1_700_000_009_000)
    call("log_metric", run, "late", 1.0, 1, 0)
    call("delete_run", other.info.run_id)
    call("log_metric", other.info.run_id, "m", 1.0)
    call("set_tag", other.info.run_id, "m", "1")
    call("search_runs", ["0"], "", ViewType.DELETED_ONLY)
    call("restore_run", other.info.run_id)
    call("search_runs", ["0"], "", ViewType.ALL)


def searching(call: Script) -> None:
    for number in range(6):
        tags = {"team": "ab"[number % 2], **({"odd": "1"} if number % 2 else {})}
        run = call("create_run", "0", start_time=1_700_000_000_000 + number // 2, run_name=f"r{number}", tags=tags)
        value = float("nan") if number == 4 else number / 10
        if number != 5:
            call("log_metric", run.info.run_id, "auc", value, 1, 0)
        call("log_param", run.info.run_id, "depth", number)
    for text in (
        "metrics.auc > 0.1", "metrics.auc != 0.1", "metrics.auc = 0", "metrics.`auc` <= 0.2 AND tags.team = 'a'",
        "tags.odd IS NULL", "tags.odd IS NOT NULL", "params.depth = '3'", "params.depth LIKE '%'",
        "tags.team ILIKE 'A'", "tags.team LIKE 'A'", "attributes.run_name = 'r1'", "run_name LIKE 'r%'",
        "attributes.status = 'RUNNING'", "start_time = 1700000000001", "start_time >= 1700000000001.5",
        "created < 1700000000001", "end_time > 1", "user_id = 'unknown'", "run_id = 'x'", "dataset.name = 'd'",
        "oops", "oops = 'a'", "metrics.auc LIKE 'x'", "metrics.auc > 'x'", "params.depth = 3",
        "params.depth > '3'", "tags.team = 'a' OR tags.team = 'b'",
    ):  # fmt: skip
        call("search_runs", ["0"], text, order_by=["attributes.run_name ASC"])
    name = "attributes.run_name"
    for order in (
        ["metrics.auc ASC", name],
        ["metrics.auc DESC", name],
        ["tags.odd DESC", "params.depth ASC"],
        ["oops"],
        ["start_time ASC", "run_name DESC"],
    ):
        call("search_runs", ["0"], order_by=order)
    page = call("search_runs", ["0"], max_results=4, order_by=["params.depth"])
    call("search_runs", ["0"], max_results=4, order_by=["params.depth"], page_token=page.token)
    call("search_runs", ["0"], max_results=0)
    call("search_runs", ["0", "99"], "params.depth = '1'")
    call("search_runs", [])


def check_equal(clients: tuple[Script, Script], script: Callable[[Script], None]) -> None:
    """Run a script against both, and compare what they answered, call by call."""
    for call in clients:
        script(call)
    theirs, ours = (call.answers for call in clients)
    assert len(theirs) == len(ours)
    for wanted, found in zip(theirs, ours, strict=True):
        assert found == wanted


@pytest.fixture
def clients(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Script, Script]]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.chdir(tmp_path)
    registry.migrate_schema(ws)  # Alembic migrates one database of a process at a time, and MLflow's store comes next
    with serving(ws) as url:
        yield Script(MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")), Script(MlflowClient(url))


@pytest.mark.parametrize("script", [life, logging, searching], ids=lambda script: script.__name__)
def test_both_answer_the_same(clients: tuple[Script, Script], script: Callable[[Script], None]) -> None:
    check_equal(clients, script)
