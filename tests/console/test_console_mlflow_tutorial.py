"""MLflow's tutorials, unchanged, against our server with MLflow's own client; then the models in our own hands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from tests.console.tracking_server import serving

from raylake import registry, train
from raylake.core import ConfigError, Workspace


@pytest.fixture
def uri(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A running server; MLflow's client is told of it by the environment only."""
    import mlflow

    mlflow.set_tracking_uri(None)  # first: it unsets the variable where a test before has called it
    with serving(ws) as where:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", where)
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        # The client would load each model in a process of its own to see which packages it imports: about a minute.
        monkeypatch.setenv("MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT", "1")
        mlflow.set_experiment(experiment_id="0")  # it remembers that of the test before
        yield where
        mlflow.autolog(disable=True)
        while mlflow.active_run():
            mlflow.end_run()


def quickstart() -> Any:
    """https://mlflow.org/docs/latest/ml/tracking/quickstart/ (MLflow Tracking Quickstart), its code as it stands."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn import datasets
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score
    from sklearn.model_selection import train_test_split

    X, y = datasets.load_iris(return_X_y=True)  # noqa: N806
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)  # noqa: N806
    params = {"solver": "lbfgs", "max_iter": 1000, "random_state": 8888}
    lr = LogisticRegression(**params)
    lr.fit(X_train, y_train)
    accuracy = accuracy_score(y_test, lr.predict(X_test))

    mlflow.set_experiment("MLflow Quickstart")
    with mlflow.start_run():
        mlflow.log_params(params)
        mlflow.log_metric("accuracy", accuracy)
        mlflow.set_tag("Training Info", "Basic LR model for iris data")
        signature = infer_signature(X_train, lr.predict(X_train))
        model_info = mlflow.sklearn.log_model(
            sk_model=lr,
            name="iris_model",
            signature=signature,
            input_example=X_train,
            registered_model_name="tracking-quickstart",
        )
    loaded_model = mlflow.pyfunc.load_model(model_info.model_uri)
    assert (loaded_model.predict(X_test) == lr.predict(X_test)).all()
    return model_info


@pytest.mark.slow
def test_the_quickstart(uri: str, ws: Workspace) -> None:
    import mlflow

    info = quickstart()
    mlflow.register_model(info.model_uri, "tracking-quickstart")
    client = mlflow.MlflowClient()
    (model,) = client.search_registered_models("name LIKE 'tracking%'")
    assert (model.name, model.latest_versions[0].version) == ("tracking-quickstart", "2")
    assert [version.version for version in client.search_model_versions("name='tracking-quickstart'")] == ["2", "1"]
    client.set_registered_model_alias("tracking-quickstart", "champion", 1)
    client.set_registered_model_tag("tracking-quickstart", "task", "classification")
    client.set_model_version_tag("tracking-quickstart", "1", "validation_status", "approved")
    client.update_registered_model("tracking-quickstart", "Three flowers")
    client.transition_model_version_stage("tracking-quickstart", "2", "Staging")
    assert mlflow.sklearn.load_model("models:/tracking-quickstart@champion").n_features_in_ == 4
    assert mlflow.pyfunc.load_model("models:/tracking-quickstart/2").metadata.signature is not None
    copied = client.copy_model_version("models:/tracking-quickstart@champion", "Production Model")
    assert (copied.version, registry.model_version(ws, "Production Model@1").metrics["accuracy"]) == ("1", 1.0)
    client.rename_registered_model("Production Model", "prod")
    client.delete_model_version("tracking-quickstart", "2")
    client.delete_registered_model("prod")
    with pytest.raises(mlflow.exceptions.MlflowException, match="not registered"):
        client.get_registered_model("prod")
    assert [model.name for model in registry.models(ws)] == ["tracking-quickstart"]
    opened = train.open_model(ws, "tracking-quickstart@1")
    assert opened.signature.classes == (0, 1, 2)


@pytest.mark.slow
def test_xgboost_autolog_is_ours_too(uri: str, ws: Workspace) -> None:
    """https://mlflow.org/docs/latest/ml/traditional-ml/xgboost/: autolog, register, then our own load."""
    import mlflow
    import pandas as pd
    import xgboost as xgb
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    mlflow.xgboost.autolog()
    data = load_breast_cancer()
    frame = pd.DataFrame(data.data, columns=[name.replace(" ", "_") for name in data.feature_names])
    X_train, X_test, y_train, y_test = train_test_split(frame, data.target, test_size=0.2, random_state=42)  # noqa: N806
    with mlflow.start_run() as run:
        model = xgb.XGBClassifier(n_estimators=60, max_depth=3, early_stopping_rounds=3, eval_metric="logloss")
        model.fit(X_train, y_train, eval_set=[(X_test, y_test)], verbose=False)
    version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "breast-cancer")
    assert model.best_iteration < 56, "early stopping must matter here"
    ours = train.open_model(ws, "breast-cancer@1")
    expected = model.predict_proba(X_test)[:, 1]
    np.testing.assert_array_equal(ours.predict(pa.Table.from_pandas(X_test)), expected.astype(np.float64))
    assert (version.run_id, registry.model_version(ws, "breast-cancer").run_id) == (run.info.run_id,) * 2
    assert ours.signature.task == "binary" and ours.reference.num_rows == 0
    assert registry.upstream(ws, registry.model_version(ws, "breast-cancer").node)
    (found,) = mlflow.search_logged_models(output_format="list")
    assert found.source_run_id == run.info.run_id and found.params["max_depth"] == "3"


@pytest.mark.slow
def test_scikit_learn_in_skops_is_ours_and_a_pickle_is_not(uri: str, ws: Workspace) -> None:
    import mlflow
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, y = load_diabetes(return_X_y=True, as_frame=True)
    linear = make_pipeline(StandardScaler(), Ridge()).fit(frame, y)
    forest = RandomForestRegressor(n_estimators=3, random_state=0).fit(frame, y)
    rows = pa.Table.from_pandas(frame.astype(np.float32).astype(np.float64))

    def log(model: Any, name: str, form: str, **options: Any) -> None:
        signature = mlflow.models.infer_signature(frame, y)
        options |= {"serialization_format": form, "signature": signature, "registered_model_name": name}
        mlflow.sklearn.log_model(model, name="m", **options)

    with mlflow.start_run():
        log(linear, "safe", "skops")
        log(forest, "forest", "skops", skops_trusted_types=["sklearn.tree._tree.Tree"])
        log(linear, "pickled", "cloudpickle")
    np.testing.assert_allclose(train.open_model(ws, "safe@1").predict(rows), linear.predict(rows.to_pandas()))
    # skops says that a forest's nodes can be forged to read any memory: ours are checked after they were loaded.
    np.testing.assert_allclose(train.open_model(ws, "forest@1").predict(rows), forest.predict(rows.to_pandas()))
    with pytest.raises(ConfigError, match=r"is pickled \(cloudpickle\).*serialization_format='skops'"):
        train.open_model(ws, "pickled@1")
    opened = train.open_model(ws, "pickled@1", trusted=True)
    np.testing.assert_allclose(opened.predict(rows), linear.predict(rows.to_pandas()))


@pytest.mark.slow
def test_our_model_is_seen_by_mlflows_client(uri: str, ws: Workspace, tmp_path: Path) -> None:
    import mlflow

    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.json").write_text('{"flavour": "xgboost"}')
    run = registry.finish_run(
        ws,
        registry.start_run(ws, "fit", "x").id,
        metrics={"auc": 0.7},
        artifact=registry.put_folder(ws, tmp_path / "m"),
    )
    registry.register(ws, run, name="flight-delay", alias="champion")
    client = mlflow.MlflowClient()
    found = client.get_model_version_by_alias("flight-delay", "champion")
    assert (found.version, found.run_id, found.status) == ("1", run.id, "READY")
    got = mlflow.artifacts.download_artifacts("models:/flight-delay@champion", dst_path=str(tmp_path / "got"))
    assert Path(got, "model.json").read_text() == '{"flavour": "xgboost"}'
    assert [each.path for each in client.list_artifacts(run.id)] == ["model"]
    got = mlflow.artifacts.download_artifacts(run_id=run.id, artifact_path="model", dst_path=str(tmp_path / "again"))
    assert Path(got, "model.json").is_file()


@pytest.mark.slow
def test_webhooks_through_mlflows_client(uri: str, ws: Workspace) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    made = client.create_webhook("ci", "https://127.0.0.2.example.org/x", ["model_version.created"], secret="s")
    assert client.get_webhook(made.webhook_id).url == made.url and len(client.list_webhooks()) == 1
    assert str(client.update_webhook(made.webhook_id, status="DISABLED").status) == "DISABLED"
    tried = client.test_webhook(made.webhook_id)
    assert not tried.success and tried.error_message
    with pytest.raises(mlflow.exceptions.MlflowException, match="refused"):
        client.create_webhook("in", "https://169.254.169.254/x", ["model_version.created"])
    client.delete_webhook(made.webhook_id)
    assert client.list_webhooks() == []


@pytest.mark.slow
def test_a_hundred_thousand_tags(uri: str, ws: Workspace) -> None:
    registry.create_model(ws, "wide")
    for start in range(0, 100_000, 10_000):
        registry.tag_model(ws, "wide", {f"k{n}": str(n) for n in range(start, start + 10_000)})
    root = f"{uri}/api/2.0/mlflow/registered-models"
    body = {"name": "wide", "key": "one", "value": "more"}
    httpx.post(f"{root}/set-tag", json=body, timeout=30).raise_for_status()
    got = httpx.get(f"{root}/get", params={"name": "wide"}, timeout=30).json()["registered_model"]
    assert len(got["tags"]) == 100_001
    found = httpx.get(f"{root}/search", params={"filter": "tags.k99999 = '99999'"}, timeout=30).json()
    assert [model["name"] for model in found["registered_models"]] == ["wide"]
