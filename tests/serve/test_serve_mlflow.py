"""A model that MLflow's own client logged and registered over HTTP, behind an endpoint of ours, and watched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
from tests.console.tracking_server import serving

from raylake import monitor, registry, serve
from raylake.core import DataError, Node, Workspace

ROWS = 400


@pytest.fixture
def lake(ray_ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace behind a tracking server that MLflow's client talks to; Serve is stopped afterwards."""
    import mlflow

    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    # The client would load the model in a process of its own to see which packages it imports: about a minute.
    monkeypatch.setenv("MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT", "1")
    before = mlflow.get_tracking_uri()
    with serving(ray_ws) as address:
        mlflow.set_tracking_uri(address)
        yield ray_ws
        serve.shutdown(ray_ws)
    mlflow.set_tracking_uri(before)


@pytest.mark.slow
def test_a_model_that_mlflows_client_logged_answers_and_is_captured(lake: Workspace) -> None:
    import mlflow
    import pandas as pd
    import xgboost

    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"distance": draw.uniform(100, 3000, ROWS), "seats": draw.integers(50, 400, ROWS)})
    late = (frame["distance"] / 3000 + draw.normal(0, 0.2, ROWS) > 0.5).astype(int)
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=3).fit(frame, late)
    with mlflow.start_run() as run:
        signature = mlflow.models.infer_signature(frame, model.predict(frame))
        info = mlflow.xgboost.log_model(model, name="model", signature=signature)
    mlflow.register_model(info.model_uri, "late-flights")
    mlflow.MlflowClient().set_registered_model_alias("late-flights", "champion", 1)
    assert registry.model_version(lake, "late-flights@champion").run_id == run.info.run_id

    endpoint = serve.deploy(lake, "late-flights@champion", name="late", autoscale=serve.Autoscale(1, 1))
    asked = frame.head(50)
    reply = httpx.post(endpoint.predict_url, json={"rows": asked.to_dict("records")}, timeout=30)
    assert reply.status_code == 200, reply.text
    np.testing.assert_allclose(reply.json()["predictions"], model.predict_proba(asked)[:, 1], rtol=1e-6)
    assert reply.json()["version"] == 1
    refused = httpx.post(endpoint.predict_url, json={"rows": [{"distance": 1.0}]})
    assert refused.status_code == 422 and "seats" in refused.text

    assert serve.wait_captured(lake, "late", len(asked)) == len(asked)
    nodes = {edge.target for edge in registry.downstream(lake, Node("run", run.info.run_id))}
    assert {Node("model", "late-flights", "1"), Node("endpoint", "late")} <= nodes
    now = datetime.now(UTC)
    with pytest.raises(DataError, match=r"late-flights@1 has no sample of its training data.*monitor\.drift"):
        monitor.report(lake, "late", (now - timedelta(hours=1), now + timedelta(hours=1)))
