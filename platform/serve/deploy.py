"""Puts registered models behind HTTP endpoints, and takes them down."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import httpx

from .. import data
from ..core import ComputeUnavailable, DeploymentFailed, NotFound, Ref, Workspace, check_name, ensure_ray
from ..registry import deployment, deployments, end_deployment, model_version, record_deployment
from ..train import open_model
from .app import PROBE_HEADER
from .capture import capture_schema
from .decoder import MAX_ROWS
from .ingress import QUIET, ensure_serve, serve_runs, stop_serve
from .openapi import example_request
from .predictor import Predictor
from .skew import check_skew
from .values import PREDICTIONS, Autoscale, Capture, Endpoint, config_of

ONGOING = 64
QUEUED = 512
START_TIMEOUT = 120.0


def deploy(
    ws: Workspace,
    target: str,
    *,
    name: str | None = None,
    autoscale: Autoscale | None = None,
    capture: Capture | None = None,
    port: int | None = None,
    cpus: float = 0.5,
    max_rows: int = MAX_ROWS,
) -> Endpoint:
    """Serve a registered model over HTTP on loopback; returns when it has really predicted through its URL.

    The endpoint answers ``POST {url}/models/{name}/predict``. When `target` is an alias (or has no version), the
    replicas follow it: a move is picked up within about two seconds, without restart and without dropping a request.
    A name that runs already is redeployed, replica by replica.

    Args:
        ws: The workspace.
        target: ``model@alias``, ``model@version`` or ``model`` (its newest version).
        name: Name of the endpoint; by default the model's.
        autoscale: How many replicas; default `Autoscale()`, 1 to 2.
        capture: What to capture; default `Capture()`, everything.
        port: Port when Serve is not running yet; by default the workspace's `http_port`. 0 takes a free one.
        cpus: Logical CPUs of a replica.
        max_rows: Most rows of one request.

    Raises:
        NotFound: No such model, version or alias.
        ArtifactCorrupt: The stored model is damaged.
        ComputeUnavailable: No node can hold a replica.
        ConfigError: The port is taken, or a feature has a name that capture needs.
        DeploymentFailed: The replicas did not become healthy; nothing is left behind.

    Example:
        >>> endpoint = deploy(ws, "flight-delay@champion", name="delays", autoscale=Autoscale(1, 2))
        >>> endpoint.predict_url
        'http://127.0.0.1:.../models/delays/predict'
        >>> flight = {"scheduled_at": "2013-07-01T08:00:00Z", "distance": 1400, "carrier": "UA", "wind": 9.2}
        >>> answer = httpx.post(endpoint.predict_url, json={"rows": [flight | {"night": False}]}).json()
        >>> 0 < answer["predictions"][0] < 1
        True
        >>> undeploy(ws, "delays")
        >>> status(ws, "delays")["status"]
        'ended'
    """
    autoscale, capture = autoscale or Autoscale(), capture or Capture()
    endpoint_name = check_name(name or Ref.parse(target).name, "endpoint name")
    wanted = model_version(ws, target)
    # Loaded here too: a damaged artifact is reported before anything is started.
    predictor = Predictor(open_model(ws, wanted), None, wanted.name, wanted.version, max_rows=max_rows)
    if capture.sample > 0:
        _prepare_table(ws, endpoint_name, predictor)
    session = ensure_ray(ws)
    if cpus > session.cpus:
        raise ComputeUnavailable(
            f"a replica of {endpoint_name!r} needs {cpus:g} CPUs and the cluster has {session.cpus:g}: lower cpus="
        )
    url = ensure_serve(ws, port)
    endpoint = Endpoint(endpoint_name, url, target, ws)
    with ExitStack() as undo:
        if not _runs(endpoint_name):
            undo.callback(_remove, endpoint_name)
        _run(endpoint, autoscale, capture, cpus, max_rows)
        _probe(endpoint, predictor)
        config = config_of(autoscale, capture, cpus)
        record_deployment(ws, endpoint_name, wanted, target=target, config=config, url=endpoint.predict_url)
        undo.pop_all()
    check_skew(ws, endpoint_name, predictor.model.feature_set)
    return endpoint


def undeploy(ws: Workspace, name: str) -> None:
    """Take an endpoint down: requests in flight are answered and captured rows written first.

    Raises:
        NotFound: No endpoint of that name was ever deployed.

    Example:
        >>> undeploy(ws, "no-such")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: endpoint 'no-such' was never deployed; endpoints: ...flight-delay
    """
    known = deployment(ws, check_name(name, "endpoint name"))
    ensure_ray(ws)
    if serve_runs():
        _remove(name)
    if known.status == "running":
        end_deployment(ws, name)
    _sync(ws, name)


def endpoints(ws: Workspace) -> list[Endpoint]:
    """The endpoints that are recorded as running, by name.

    Example:
        >>> import tempfile
        >>> endpoints(Workspace.open(tempfile.mkdtemp()))
        []
    """
    running = deployments(ws, status="running")
    found = [Endpoint(d.endpoint, d.url.partition("/models/")[0], d.target, ws) for d in running]
    return sorted(found, key=lambda endpoint: endpoint.name)


def endpoint(ws: Workspace, name: str) -> Endpoint:
    """The running endpoint called `name`.

    Raises:
        NotFound: None of that name is recorded as running.

    Example:
        >>> import tempfile
        >>> endpoint(Workspace.open(tempfile.mkdtemp()), "flight-delay")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: no endpoint 'flight-delay' runs; running: none. Deploy it with serve.deploy
    """
    running = endpoints(ws)
    for found in running:
        if found.name == name:
            return found
    names = ", ".join(found.name for found in running) or "none"
    raise NotFound(f"no endpoint {name!r} runs; running: {names}. Deploy it with serve.deploy")


def status(ws: Workspace, name: str) -> dict[str, Any]:
    """What an endpoint is doing: Serve's state, its replicas by state, and what one replica says of itself.

    Returns:
        ``{"name", "status", "message", "replicas": {state: n}, "url", "model"}``; `model` is ``None`` when no
        replica answers, `status` is ``ended`` when the endpoint is not deployed now.

    Raises:
        NotFound: No endpoint of that name was ever deployed.

    Example:
        >>> found = status(ws, "flight-delay")
        >>> found["status"], found["replicas"], found["model"]["version"]
        ('running', {'RUNNING': 1}, 1)
    """
    known = deployment(ws, check_name(name, "endpoint name"))
    ensure_ray(ws)
    answer: dict[str, Any] = {"name": name, "url": known.url, "target": known.target, "model": None}
    app = _application(name) if serve_runs() else None
    if app is None:
        return answer | {"status": "ended", "message": "", "replicas": {}}
    replicas = {state: count for d in app.deployments.values() for state, count in d.replica_states.items()}
    answer |= {"status": str(app.status.value).lower(), "message": app.message, "replicas": replicas}
    if not replicas.get("RUNNING"):
        # Asking would start a replica of an endpoint that is idle.
        return answer
    try:
        reply = httpx.get(known.url.removesuffix("/predict"), timeout=10)
    except httpx.HTTPError:
        return answer
    return answer | {"model": reply.json() if reply.status_code == 200 else None}


def shutdown(ws: Workspace) -> None:
    """Take every endpoint down and stop Serve; no process of it stays. Harmless when nothing runs.

    Example:
        >>> [found.name for found in endpoints(ws)]
        ['flight-delay']
        >>> shutdown(ws)  # doctest: +SKIP
    """
    import ray

    if ray.is_initialized():
        stop_serve()
    for ended in deployments(ws, status="running"):
        end_deployment(ws, ended.endpoint)
        _sync(ws, ended.endpoint)


def _prepare_table(ws: Workspace, name: str, predictor: Predictor) -> None:
    """Create the prediction table before the replicas race to do so."""
    table = f"{PREDICTIONS}.{name}"
    empty = capture_schema(predictor).empty_table()
    if not data.exists(ws, table):
        data.write(ws, table, empty, inputs=[predictor.node], operation="create", schema_mode="evolve")


def _run(endpoint: Endpoint, autoscale: Autoscale, capture: Capture, cpus: float, max_rows: int) -> None:
    from ray import serve
    from ray.serve.api import RunTarget
    from ray.serve.exceptions import RayServeException

    from .replica import Replica

    options = serve.deployment(
        name="replica",
        ray_actor_options={"num_cpus": cpus},
        autoscaling_config=autoscale.to_serve(),
        max_ongoing_requests=ONGOING,
        max_queued_requests=QUEUED,
        backpressure_config={"status_code": 503, "retry_after_s": 1},
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=20,
        health_check_period_s=5,
        health_check_timeout_s=10,
        max_constructor_retry_count=2,
        max_surge_percent=100,
        logging_config=QUIET,
    )
    bound = options(serve.ingress()(Replica)).bind(endpoint.ws, endpoint.name, endpoint.target, capture, max_rows)
    target = RunTarget(bound, endpoint.name, f"/models/{endpoint.name}", logging_config=QUIET)
    try:
        serve.run_many([target], wait_for_applications_running=False)
    except (RuntimeError, RayServeException) as error:
        raise _not_started(endpoint, str(error)) from error
    _wait_until_running(endpoint)


def _wait_until_running(endpoint: Endpoint) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        state = str(_application(endpoint.name).status.value)
        if state == "RUNNING":
            return
        if state in ("DEPLOY_FAILED", "UNHEALTHY"):
            raise _not_started(endpoint, state)
        time.sleep(0.05)
    raise _not_started(endpoint, f"not running after {START_TIMEOUT:g} s; are there free CPUs?")


def _not_started(endpoint: Endpoint, why: str) -> DeploymentFailed:
    reason = _reason(endpoint.name) or why
    return DeploymentFailed(f"endpoint {endpoint.name!r} ({endpoint.target}) did not start: {reason}")


def _probe(endpoint: Endpoint, predictor: Predictor) -> None:
    """Predict through the front door until it answers; the front learns of new replicas with a short delay."""
    body = example_request(predictor, rows=1)
    headers = {PROBE_HEADER.decode(): "1"}
    deadline, last = time.monotonic() + START_TIMEOUT, "no answer"
    while time.monotonic() < deadline:
        try:
            reply = httpx.post(endpoint.predict_url, json=body, headers=headers, timeout=START_TIMEOUT)
            if reply.status_code == 200:
                return
            last = f"{reply.status_code} {reply.text[:300]}"
            if reply.status_code == 422:
                break
        except httpx.HTTPError as error:
            last = f"{type(error).__name__}: {error}"
        time.sleep(0.05)
    raise DeploymentFailed(f"endpoint {endpoint.name!r} started but does not predict at {endpoint.predict_url}: {last}")


def _application(name: str) -> Any:
    from ray import serve

    return serve.status().applications.get(name)


def _runs(name: str) -> bool:
    return _application(name) is not None


def _reason(name: str) -> str:
    app = _application(name)
    if app is None:
        return ""
    messages = [app.message, *(found.message for found in app.deployments.values())]
    return "\n".join(dict.fromkeys(message for message in messages if message))[-2000:]


def _remove(name: str) -> None:
    from ray import serve

    if _runs(name):
        serve.delete(name)


def _sync(ws: Workspace, name: str) -> None:
    if data.exists(ws, f"{PREDICTIONS}.{name}"):
        data.sync_table(ws, f"{PREDICTIONS}.{name}")
