"""The flight story as a pipeline: ingest, features, search, a gate, an endpoint, six replayed months, the outcome.

Every step can be repeated: what an earlier try finished is found, so the pipeline may be killed anywhere and resumed,
and a schedule that runs it again makes nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from .. import data, features, monitor, pipelines, registry, serve, train
from ..core import NotFound, Workspace, exclusive
from ..flights import LATE_ARRIVAL, VIEWS, flight_files, sources
from ..monitor import Turn
from ..pipelines import StepContext
from ..registry import ModelVersion, Run, TableVersion
from .client import ReplayClient
from .months import JUDGED, labels_arrive, month_of, replay_month, store_judged, stored
from .options import CHAMPION, ENDPOINT, MONTHS, Options, month_label, month_start
from .stages import policy_of, registered, searched

# The steps launch Ray tasks of their own: they hold no CPU, or these would wait for the steps that wait for them. One
# that was killed may take a moment to die and to let go of its locks, hence the tries.
_TRIES: dict[str, Any] = {"cpus": 0, "retries": 4, "backoff": 1.0}
_CAPTURED_SECONDS = 30.0


@pipelines.step(**_TRIES)
def source_names() -> list[str]:
    """Names of the sources."""
    return [source.name for source in sources(flight_files())]


@pipelines.step(**_TRIES)
def ingest(name: str, ws: Workspace) -> TableVersion:
    """Bring one source in."""
    return data.ingest(ws, next(source for source in sources(flight_files()) if source.name == name))


@pipelines.step(**_TRIES)
def build_view(name: str, tables: list[TableVersion], ws: Workspace) -> TableVersion:
    """Compute one feature view from the tables."""
    return features.build_view(ws, next(view for view in VIEWS if view.name == name))


@pipelines.step(**_TRIES)
def search(views: list[TableVersion], fast: bool, ws: Workspace) -> Run:
    """Search hyper-parameters on January to June; the best run."""
    with exclusive(ws, "demo"):
        return searched(ws, Options(fast=fast))


@pipelines.step(**_TRIES)
def register(run: Run, ws: Workspace) -> ModelVersion:
    """Register the best run as the first champion."""
    return registered(ws, run)


@pipelines.step(cpus=0)
def passes(auc: float, least: float) -> bool:
    """The gate: whether the model may be deployed."""
    return auc >= least


@pipelines.step(**_TRIES)
def deploy(version: ModelVersion, ws: Workspace) -> str:
    """Put the champion behind its endpoint, unless it answers there already; its URL."""
    return _reached(ws).url


@pipelines.step(cpus=0)
def judged_by(fast: bool) -> monitor.Policy:
    """The policy that decides about retraining."""
    return policy_of(Options(fast=fast))


@pipelines.step(**_TRIES)
def replay(
    month: int,
    views: list[TableVersion],
    fast: bool,
    before: Turn | str,
    ws: Workspace,
    context: StepContext,
) -> dict[str, Any]:
    """Ask the endpoint about every flight of a month; then the outcomes of the month before arrive."""
    options, due = Options(fast=fast), month_start(month + 1)
    context.writes(f"table:predictions.{ENDPOINT}")
    with exclusive(ws, "demo"), _client(ws, options, again=context.attempt > 1) as client:
        tables = {view.name: table for view, table in zip(VIEWS, views, strict=True)}
        with features.Materialiser(ws, LATE_ARRIVAL, tables) as feed:
            traffic = replay_month(ws, month, options, client, feed, lambda total: lambda rows: None)
        if month > MONTHS[0]:
            labels_arrive(ws, month - 1, options, known_at=due)
    window = [moment.isoformat() for moment in options.window(month)]
    return {"traffic": traffic, "due": due.isoformat(), "window": (window[0], window[1])}


@pipelines.step(**_TRIES)
def outcome(months: list[int], turns: list[Turn], fast: bool, ws: Workspace) -> list[dict[str, Any]]:
    """The last outcomes arrive; what each month came to."""
    options = Options(fast=fast)
    labels_arrive(ws, months[-1], options, known_at=datetime(2014, 2, 1, tzinfo=UTC))
    for month, turn in zip(months, turns, strict=True):
        if not stored(ws, JUDGED, month):
            store_judged(ws, month, (turn.drift_share, turn.drifted), turn.promoted, turn.sentence)
    first = train.open_model(ws, f"{ENDPOINT}@1")
    found = [month_of(ws, month, options, first) for month in months]
    return [{name: getattr(each, name) for name in each.__slots__} for each in found]


def year(fast: Any, least_auc: Any, months: Sequence[int] = MONTHS) -> Any:
    """Wire the story of some months into the pipeline that is being defined.

    Args:
        fast: Whether three days of each month are enough, and three trials.
        least_auc: What the first model must reach to be deployed.
        months: The months that are replayed, from July on.
    """
    tables = ingest.map(source_names())
    views = build_view.map([view.name for view in VIEWS], tables=tables)
    run = search(views, fast)
    version = register(run)
    policy = judged_by(fast)
    turns = []
    with pipelines.when(passes(run["metrics"]["auc"], least_auc)):
        before = deploy(version)
        for month in months:
            named = month_label(month)
            asked = replay.named(f"replay-{named}")(month, views, fast, before)
            before = monitor.turn(ENDPOINT, policy, due=asked["due"], window=asked["window"], named=named)
            turns.append(before)
        return outcome(list(months), turns, fast)


@pipelines.pipeline(name="flights", concurrency=1)
def flights(fast: bool = False, least_auc: float = 0.6):  # type: ignore[no-untyped-def]
    """The year of flights: from raw files to a model that replaced itself."""
    return year(fast, least_auc)


@contextmanager
def _client(ws: Workspace, options: Options, *, again: bool) -> Iterator[ReplayClient]:
    """A client of the endpoint, which is started when it has gone with its cluster and answers with the champion."""
    endpoint = _reached(ws)
    serve.wait_for_version(endpoint, registry.model_version(ws, CHAMPION).version)
    if again:
        _wait_written(ws)
    client = ReplayClient(endpoint.predict_url, options.connections)
    try:
        yield client
    finally:
        client.close()


def _reached(ws: Workspace) -> serve.Endpoint:
    try:
        if serve.status(ws, ENDPOINT)["model"]:
            return serve.endpoint(ws, ENDPOINT)
    except NotFound:
        pass
    return serve.deploy(ws, CHAMPION, name=ENDPOINT, autoscale=serve.Autoscale(1, 2))


def _wait_written(ws: Workspace) -> None:
    """Wait until what an interrupted try asked is in the prediction log, so that it is not asked again."""
    time.sleep(2 * serve.Capture().flush_seconds)
    until = time.monotonic() + _CAPTURED_SECONDS
    while time.monotonic() < until and serve.status(ws, ENDPOINT)["model"]["capture"]["pending"]:
        time.sleep(0.2)
