"""MLflow's own client, unchanged, against our server: its fluent API, its client class, loggers built on it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from tests.console.tracking_server import serving

from raylake import registry
from raylake.core import Workspace


@pytest.fixture
def url(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Our server, and MLflow's client pointed at it; what the client keeps for the process is put back."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")  # `set_experiment` leaves one: remembered, so that it is put back
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    before = mlflow.get_tracking_uri()
    with serving(ws) as address:
        mlflow.set_tracking_uri(address)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield address
        while mlflow.active_run():
            mlflow.end_run()
    mlflow.set_tracking_uri(before)
    mlflow.tracking.fluent._active_experiment_id = None


def test_a_first_script(ws: Workspace, url: str) -> None:
    mlflow.set_experiment("delays")
    with mlflow.start_run(run_name="first", tags={"team": "ops"}) as run:
        mlflow.log_param("depth", 6)
        mlflow.log_params({"rate": 0.1, "on": True})
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"auc": 0.7, "nan": math.nan, "inf": math.inf})
        mlflow.set_tags({"a": 1, "b": "x"})
        with mlflow.start_run(nested=True) as child:
            mlflow.log_metric("loss", 0.1)
    found = mlflow.get_run(run.info.run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "first")
    assert found.data.params == {"depth": "6", "rate": "0.1", "on": "True"}
    assert {key: found.data.metrics[key] for key in ("loss", "auc", "inf")} == {
        "loss": 1 / 3,
        "auc": 0.7,
        "inf": math.inf,
    }
    assert math.isnan(found.data.metrics["nan"])
    assert {"team": "ops", "a": "1", "b": "x"}.items() <= found.data.tags.items()
    assert mlflow.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == run.info.run_id
    history = MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    ours = registry.run(ws, run.info.run_id)
    assert (ours.kind, ours.status, ours.params["depth"]) == ("mlflow", "finished", "6")
    assert registry.trials(ws, ours.id) == [] and registry.run(ws, child.info.run_id).parent == ours.id


def test_searches(url: str) -> None:
    mlflow.set_experiment("searched")
    for depth in range(4):
        with mlflow.start_run(run_name=f"r{depth}"):
            mlflow.log_param("depth", depth)
            mlflow.log_metric("auc", depth / 10)
    found = mlflow.search_runs(
        filter_string="metrics.auc > 0.05 and params.depth != '2'", order_by=["metrics.auc DESC"]
    )
    assert list(found["params.depth"]) == ["3", "1"] and list(found["metrics.auc"]) == [0.3, 0.1]
    client = MlflowClient()
    experiment = client.get_experiment_by_name("searched")
    assert experiment is not None and client.get_experiment_by_name("nope") is None
    page = client.search_runs([experiment.experiment_id], max_results=3)
    rest = client.search_runs([experiment.experiment_id], max_results=3, page_token=page.token)
    assert [run.info.run_name for run in [*page, *rest]] == ["r3", "r2", "r1", "r0"] and not rest.token
    with pytest.raises(MlflowException, match="Invalid attribute key") as caught:
        client.search_runs([experiment.experiment_id], "oops = 'a'")
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_life_and_death(url: str) -> None:
    client = MlflowClient()
    made = client.create_experiment("mortal", tags={"a": "b"})
    run = client.create_run(made)
    client.delete_run(run.info.run_id)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    assert client.search_runs([made]) == [] and len(client.search_runs([made], "", ViewType.DELETED_ONLY)) == 1
    with pytest.raises(MlflowException, match="must be in the 'active' state"):
        client.log_metric(run.info.run_id, "a", 1)
    client.restore_run(run.info.run_id)
    client.rename_experiment(made, "renamed")
    client.set_experiment_tag(made, "c", "d")
    assert client.get_experiment(made).tags == {"a": "b", "c": "d"}
    client.delete_experiment(made)
    assert [each.name for each in client.search_experiments(ViewType.DELETED_ONLY)] == ["renamed"]
    client.restore_experiment(made)
    client.set_terminated(run.info.run_id, "KILLED")
    assert client.get_run(run.info.run_id).info.status == "KILLED"
    client.set_tag(run.info.run_id, "x", "y")
    client.delete_tag(run.info.run_id, "x")
    child = client.create_run(made, tags={"mlflow.parentRunId": run.info.run_id}).info.run_id
    client.delete_tag(child, "mlflow.parentRunId")
    assert "mlflow.parentRunId" not in client.get_run(child).data.tags
    with pytest.raises(MlflowException) as caught:
        client.get_run("nope")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_batches_and_parameters_that_change(url: str) -> None:
    client = MlflowClient()
    run = client.create_run("0").info.run_id
    metrics = [Metric("m", step, 1_700_000_000_000 + step, step) for step in range(2500)]
    client.log_batch(run, metrics, [Param("p", "1")], [RunTag("t", "1")])
    assert len(client.get_metric_history(run, "m")) == 2500
    client.log_param(run, "p", "1")
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        client.log_param(run, "p", "2")
    assert client.get_run(run).data.params == {"p": "1"}
    assert client.get_run(run).data.metrics == {"m": 2499}


def test_data_sets_of_a_run(url: str) -> None:
    import pandas as pd

    data = mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), name="flights", source="s3://b/f.csv")
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="training", tags={"split": "1"})
    found = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert [(each.dataset.name, each.dataset.digest) for each in found] == [("flights", data.digest)]
    assert {tag.key: tag.value for tag in found[0].tags} == {"mlflow.data.context": "training", "split": "1"}
    assert len(mlflow.search_runs(filter_string="dataset.name = 'flights' AND dataset.context = 'training'")) == 1


def test_metrics_of_a_logged_model_belong_to_run_and_model(ws: Workspace, url: str) -> None:
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model("scorer")
        mlflow.log_metric("auc", 0.6, step=1, model_id=model.model_id)
        mlflow.log_metrics({"auc": 0.7, "loss": 0.2}, step=2, model_id=model.model_id)
    assert mlflow.get_run(run.info.run_id).data.metrics == {"auc": 0.7, "loss": 0.2}
    kept = {metric.key: (metric.value, metric.step) for metric in registry.logged_model(ws, model.model_id).metrics}
    assert kept == {"auc": (0.7, 2), "loss": (0.2, 2)}
    with pytest.raises(MlflowException, match="not"):
        mlflow.MlflowClient().log_metric(run.info.run_id, "auc", 0.5, model_id="m-" + "0" * 32)
    assert mlflow.get_run(run.info.run_id).data.metrics["auc"] == 0.7, "what is refused is not recorded by halves"


def test_metrics_of_a_logged_model_on_data_sets(ws: Workspace, url: str) -> None:
    import pandas as pd

    first, second = (
        mlflow.data.from_pandas(pd.DataFrame({"a": [float(n), 2.0]}), name=f"d{n}", source=f"s3://b/{n}.csv")
        for n in (1, 2)
    )
    with mlflow.start_run() as run:
        model, other = (mlflow.initialize_logged_model(name) for name in ("scorer", "other"))
        mlflow.log_metric("auc", 0.6, step=2, model_id=model.model_id, dataset=first)
        mlflow.log_metric("auc", 0.1, step=1, model_id=model.model_id, dataset=first)  # older: the other one stays
        mlflow.log_metrics({"auc": 0.8, "loss": math.nan}, model_id=model.model_id, dataset=second)
        mlflow.log_metric("auc", 0.9, model_id=other.model_id)
    found = {(each.key, each.dataset_name): each for each in mlflow.get_logged_model(model.model_id).metrics}
    assert found["auc", "d1"].value == 0.6 and found["auc", "d1"].dataset_digest == first.digest
    assert found["auc", "d2"].value == 0.8 and math.isnan(found["loss", "d2"].value) and len(found) == 3
    assert {each.run_id for each in found.values()} == {run.info.run_id}
    inputs = mlflow.get_run(run.info.run_id).inputs
    assert {each.dataset.name for each in inputs.dataset_inputs} == {"d1", "d2"}

    def names(text: str, *datasets: dict[str, str]) -> list[str]:
        return [
            each.name
            for each in mlflow.search_logged_models(
                filter_string=text, datasets=list(datasets) or None, output_format="list"
            )
        ]

    def ordered(**clause: Any) -> list[str]:
        by = [{"field_name": "metrics.auc", "ascending": False, **clause}]
        return [each.name for each in mlflow.search_logged_models(order_by=by, output_format="list")]

    assert ordered(dataset_name="d1") == ["scorer", "other"] and ordered() == ["other", "scorer"]
    assert names("metrics.auc > 0.7", {"dataset_name": "d1"}) == []
    assert names("metrics.auc > 0.7", {"dataset_name": "d2", "dataset_digest": second.digest}) == ["scorer"]
    assert names("metrics.auc > 0.7") == ["other", "scorer"] and names("", {"dataset_name": "d1"}) == ["scorer"]


def test_models_logged_at_once_are_all_remembered(ws: Workspace, url: str) -> None:
    run = MlflowClient().create_run("0").info.run_id
    about = {"artifact_path": "m", "utc_time_created": "now", "run_id": run, "flavors": {"sklearn": {"config": {}}}}

    def log(number: int) -> int:
        body = {"run_id": run, "model_json": json.dumps({**about, "model_uuid": f"{number}" * 32})}
        return httpx.post(f"{url}/api/2.0/mlflow/runs/log-model", json=body, timeout=60).status_code

    with ThreadPoolExecutor(16) as pool:
        assert {*pool.map(log, range(60))} == {200}
    history = json.loads(MlflowClient().get_run(run).data.tags["mlflow.log-model.history"])
    assert {each["model_uuid"][:2] for each in history} >= {"00", "99"} and len(history) == 60
    MlflowClient().set_tag(run, "mlflow.log-model.history", "mine")
    assert log(1) == 400


def test_runs_of_raylake_are_visible_to_the_client(ws: Workspace, url: str) -> None:
    study = registry.start_run(ws, "study", "search", params={"space": {"a": [1, 2]}, "trials": 3})
    trial = registry.start_run(ws, "trial", "t0", parent=study.id, params={"depth": 6, "on": True})
    registry.log_metrics(ws, trial.id, {"auc": 0.7}, step=1)
    registry.finish_run(ws, trial.id, metrics={"auc": 0.8})
    (found,) = MlflowClient().search_runs(["0"], f"tags.mlflow.parentRunId = '{study.id}'")
    assert (found.info.run_name, found.info.status, found.data.metrics) == ("t0", "FINISHED", {"auc": 0.8})
    assert found.data.params == {"depth": "6", "on": "true"}
    assert MlflowClient().get_run(study.id).data.params == {"space": '{"a": [1, 2]}', "trials": "3"}


def test_many_clients_at_once(ws: Workspace, url: str) -> None:
    client = MlflowClient()
    runs = [client.create_run("0").info.run_id for _ in range(4)]

    def log(worker: int) -> None:
        for step in range(25):
            client.log_metric(runs[worker], "m", step, step=step)
            client.log_metric(runs[0], f"shared{worker}", step, step=step)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(log, range(4)))
    assert [len(registry.measurements(ws, run, "m")) for run in runs] == [25] * 4
    assert registry.run(ws, runs[0]).metrics == {"m": 24, **{f"shared{n}": 24 for n in range(4)}}


def test_lightnings_logger(ws: Workspace, url: str, tmp_path: Any) -> None:
    import torch
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.loggers import MLFlowLogger
    from torch.utils.data import DataLoader, TensorDataset

    class Line(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters({"rate": 0.1})
            self.line = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = ((self.line(batch[0]) - batch[0]) ** 2).mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    logger = MLFlowLogger("lightning", run_name="line", tracking_uri=url)
    data = DataLoader(TensorDataset(torch.ones(8, 1)), batch_size=2)
    Trainer(
        max_epochs=2,
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
        accelerator="cpu",
    ).fit(Line(), data)
    found = registry.run(ws, logger.run_id or "")
    assert (found.name, found.status, found.params["rate"]) == ("line", "finished", "0.1")
    assert len(registry.measurements(ws, found.id, "loss")) == 8
    assert registry.experiment(ws, "lightning").id == found.experiment_id


@pytest.mark.slow
def test_rays_callback(ray_ws: Workspace, url: str, tmp_path: Any) -> None:
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    def train(config: dict[str, Any]) -> None:
        for step in range(2):
            tune.report({"score": config["a"] + step})

    callback = MLflowLoggerCallback(tracking_uri=url, experiment_name="tuned", tags={"by": "ray"})
    run_config = tune.RunConfig(callbacks=[callback], storage_path=str(tmp_path), verbose=0)
    tune.Tuner(train, param_space={"a": tune.grid_search([1, 2])}, run_config=run_config).fit()
    found = registry.search_runs(ray_ws, "tags.by = 'ray'", experiments=["tuned"], order_by=["metrics.score"]).items
    assert [(run.params["a"], run.metrics["score"], run.status) for run in found] == [
        ("1", 2.0, "finished"),
        ("2", 3.0, "finished"),
    ]
    assert [len(registry.measurements(ray_ws, run.id, "score")) for run in found] == [2, 2]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (
            "runs/log-metric",
            {"run_id": "$", "key": "m", "timestamp": 1},
            "Missing value for required parameter 'value'",
        ),
        ("runs/log-metric", {"run_id": "$", "key": "m", "value": "x", "timestamp": 1}, 'Invalid value "x"'),
        ("runs/log-metric", {"run_id": "$", "key": "m", "value": 1, "timestamp": 10**18}, "year 9999"),
        ("runs/log-metric", {"run_id": "$", "key": "m", "value": 1, "timestamp": 1, "step": 2**63}, "Invalid value"),
        ("runs/log-metric", {"run_id": "$", "key": "a?b", "value": 1, "timestamp": 1}, "Names may only contain"),
        ("runs/log-metric", {"run_id": "$", "key": "../b", "value": 1, "timestamp": 1}, "would resolve to '../b'"),
        ("runs/log-metric", {"run_id": "$", "key": "k" * 251, "value": 1, "timestamp": 1}, "maximum length of 250"),
        ("runs/log-batch", {"run_id": "$", "metrics": [{"key": "b", "value": 1}]}, r"metrics\[0\].timestamp"),
        ("runs/log-batch", {"run_id": "$", "metrics": ["x"]}, r"metrics\[0\]"),
        ("runs/log-batch", {"run_id": "$", "tags": {}}, "Hint: Value was of type 'dict'"),
        ("runs/log-batch", {"run_id": "$", "params": [{"key": "a"}, {"key": "a"}]}, "Duplicate parameter keys"),
        (
            "runs/log-batch",
            {"run_id": "$", "params": [{"key": str(n)} for n in range(101)]},
            "at most 100 params. Got 101",
        ),
        ("runs/log-batch", {"run_id": "../x"}, "Invalid value"),
        ("runs/create", {"run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]}, "different values"),
        ("runs/create", {"experiment_id": "x"}, "must be a valid integer"),
        ("runs/create", {"start_time": -1}, "milliseconds since 1970"),
        ("runs/update", {"run_id": "$", "status": "DONE"}, "Invalid run status 'DONE'"),
        ("runs/search", {"max_results": 50_001}, "max_results"),
        ("runs/search", {"order_by": [1]}, "order_by"),
        ("runs/search", {"run_view_type": "SOME"}, "Invalid view type"),
        ("runs/log-model", {"run_id": "$", "model_json": "{"}, "not a valid JSON"),
        ("runs/log-inputs", {"run_id": "$", "datasets": [{}]}, r"datasets\[0\].dataset"),
        ("experiments/create", {"name": 5}, "Hint: Value was of type 'int'"),
        ("experiments/create", {"name": "n" * 501}, "maximum length of 500"),
        ("experiments/set-experiment-tag", {"experiment_id": "0", "key": "k", "value": "v" * 20_001}, "20000"),
        ("experiments/search", {}, "max_results"),
    ],
)
def test_requests_that_break_the_protocol(ws: Workspace, path: str, body: dict[str, Any], message: str) -> None:
    from starlette.testclient import TestClient

    from raylake.console import create_app

    run = registry.start_run(ws, "fit", "x")
    with TestClient(create_app(ws)) as client:
        sent = {key: run.id if value == "$" else value for key, value in body.items()}
        answer = client.post(f"/api/2.0/mlflow/{path}", json=sent)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    import re

    assert re.search(message, answer.json()["message"])
    assert registry.run(ws, run.id) == run


def test_bodies_that_are_no_json(ws: Workspace, url: str) -> None:
    address = f"{url}/api/2.0/mlflow/runs/search"
    for content, kind, message in (
        (b"{", "application/json", "is not JSON"),
        (b"[1]", "application/json", "send a JSON object"),
        (b"{}", "text/plain", "Content-Type must be one of"),
    ):
        answer = httpx.post(address, content=content, headers={"content-type": kind})
        assert answer.status_code == 400 and message in answer.json()["message"]
    assert "header is missing" in httpx.post(address, content=b"{}").json()["message"]
    assert httpx.post(address, content=b'"{}"', headers={"content-type": "application/json"}).json() == {}
    assert httpx.post(address, content=b"null", headers={"content-type": "application/json"}).json() == {}


def test_histories_in_bulk_and_sampled(ws: Workspace, url: str) -> None:
    run = registry.start_run(ws, "fit", "x")
    with registry.MetricWriter(ws, run.id) as writer:
        for step in range(1000):
            writer.log({"m": step}, step=step)
    base = f"{url}/ajax-api/2.0/mlflow/metrics"
    sampled: Any = {"run_ids": [run.id, "nope"], "metric_key": "m", "max_results": 5}
    steps = [each["step"] for each in httpx.get(f"{base}/get-history-bulk-interval", params=sampled).json()["metrics"]]
    assert len(steps) == 5 and steps[0] == 0 and steps[-1] == 999 and steps == sorted(steps)
    part = {**sampled, "start_step": 10, "end_step": 12}
    found = httpx.get(f"{base}/get-history-bulk-interval", params=part).json()["metrics"]
    assert [each["value"] for each in found] == [10, 11, 12] and found[0]["run_id"] == run.id
    bulk = httpx.get(f"{base}/get-history-bulk", params={"run_id": [run.id], "metric_key": "m", "max_results": 7})
    assert [each["step"] for each in bulk.json()["metrics"]] == list(range(7))
    for bad in ({"start_step": 1}, {"start_step": 2, "end_step": 1}, {"max_results": 0}, {"run_ids": ["a"] * 101}):
        assert httpx.get(f"{base}/get-history-bulk-interval", params={**sampled, **bad}).status_code == 400
