"""Registered models and versions: MLflow's client against its own SQLite store and against our server, field by field.

What differs on purpose: where files lie, names of more than 256 characters and pages of no result are refused, and a
deleted model's name counts its versions on (decision 14). Times are compared by whether they are set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tests.console.test_console_tracking_differential import Script, check_equal
from tests.console.tracking_server import serving

from raylake import registry
from raylake.core import Workspace

_TIMES = {"_creation_timestamp", "_last_updated_timestamp", "_creation_time"}
_PLACES = ("_source", "_workspace")


class ModelScript(Script):
    """Calls about models; every field of the answers is compared but where files lie."""

    def _plain(self, value: Any) -> Any:
        if hasattr(value, "_name") and hasattr(value, "_tags"):
            found = {key: each for key, each in vars(value).items() if key not in _PLACES and "_job_" not in key}
            for key in _TIMES & found.keys():
                found[key] = "set" if found[key] else "not set"
            # What a server leaves out of a message is an empty text to the client.
            return super()._plain({key: "" if each is None else each for key, each in found.items()})
        if value is not None and not hasattr(value, "__dict__") and not isinstance(value, (str, int, float, dict)):
            return super()._plain([*value])  # protobuf's lists
        return super()._plain(value)


def logged(call: Script, name: str) -> tuple[str, str]:
    """A run with a file; its id and where the folder of the file is."""
    run = call.client.create_run("0", run_name=name)
    call.client.log_text(run.info.run_id, "weights", "model/weights.txt")
    return run.info.run_id, f"{run.info.artifact_uri}/model"


def models(call: Script) -> None:
    call("create_registered_model", "a", {"team": "x", "e": ""}, "first")
    for name in ("a", "", "a/b", "a:b", None):
        call("create_registered_model", name)
    call("create_registered_model", "B c (2)")
    call("get_registered_model", "a")
    call("get_registered_model", "nope")
    call("update_registered_model", "a", "second")
    call("update_registered_model", "nope", "x")
    call("set_registered_model_tag", "a", "team", "y")
    call("set_registered_model_tag", "nope", "team", "y")
    call("delete_registered_model_tag", "a", "e")
    call("delete_registered_model_tag", "a", "e")
    call("get_registered_model", "a")
    call("rename_registered_model", "a", "z")
    call("rename_registered_model", "nope", "y")
    call("rename_registered_model", "z", "B c (2)")
    call("get_registered_model", "a")
    call("get_registered_model", "z")
    call("delete_registered_model", "z")
    call("delete_registered_model", "z")
    call("get_registered_model", "z")


def searches(call: Script) -> None:
    for number in range(5):
        call("create_registered_model", f"m{number}", {"odd": str(number % 2)})
    for text in (
        "name = 'm1'",
        "name LIKE 'm%'",
        "name ILIKE 'M%'",
        "tags.odd = '1'",
        "name != 'm1'",
        "oops",
        "x = '1'",
    ):
        call("search_registered_models", text)
    for order in (["name DESC"], ["name"], ["oops"]):
        call("search_registered_models", order_by=order)
    page = call("search_registered_models", max_results=2)
    call("search_registered_models", max_results=2, page_token=page.token)


def versions(call: Script) -> None:
    run, source = logged(call, "first")
    call("create_registered_model", "m")
    call("create_model_version", "m", source, run, {"k": "v"}, description="the first")
    call("create_model_version", "m", source, run)
    call("create_model_version", "nope", source, run)
    call("get_model_version", "m", "1")
    for number in ("3", "x", "0"):
        call("get_model_version", "m", number)
    call("get_model_version", "nope", "1")
    call("update_model_version", "m", "1", "described")
    call("set_model_version_tag", "m", "1", "k", "w")
    call("set_model_version_tag", "m", "9", "k", "w")
    call("delete_model_version_tag", "m", "1", "k")
    call("set_registered_model_alias", "m", "champion", "1")
    call("set_registered_model_alias", "m", "champion", "2")
    call("set_registered_model_alias", "m", "latest", "2")
    call("set_registered_model_alias", "m", "v1", "2")
    call("set_registered_model_alias", "m", "other", "7")
    call("get_model_version_by_alias", "m", "champion")
    call("get_model_version_by_alias", "m", "nope")
    call("get_registered_model", "m")
    call("delete_registered_model_alias", "m", "champion")
    call("transition_model_version_stage", "m", "1", "Staging")
    call("transition_model_version_stage", "m", "2", "staging", archive_existing_versions=True)
    call("transition_model_version_stage", "m", "2", "oops")
    call("get_latest_versions", "m")
    call("get_latest_versions", "m", ["Staging", "Archived"])
    for text in ("name = 'm'", f"run_id = '{run}'", "name = 'nope'", "tags.k = 'v'", "version_number > 1", "oops"):
        call("search_model_versions", text)
    call("search_model_versions", order_by=["version_number ASC"])
    page = call("search_model_versions", "name = 'm'", max_results=1)
    call("search_model_versions", "name = 'm'", max_results=1, page_token=page.token)
    call("delete_model_version", "m", "2")
    call("get_model_version", "m", "2")
    call("create_model_version", "m", source, run)
    call("get_latest_versions", "m")


@pytest.fixture
def clients(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Script, Script]]:
    """MLflow's own store, and our server."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.chdir(tmp_path)
    registry.migrate_schema(ws)
    with serving(ws) as url:
        own = f"sqlite:///{tmp_path}/mlflow.db"
        yield ModelScript(MlflowClient(own, own)), ModelScript(MlflowClient(url, url))


@pytest.mark.parametrize("script", [models, searches, versions], ids=lambda script: script.__name__)
def test_both_answer_the_same(clients: tuple[Script, Script], script: Callable[[Script], None]) -> None:
    check_equal(clients, script)
