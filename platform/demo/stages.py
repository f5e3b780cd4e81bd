"""The stages of the flight story up to the endpoint, each idempotent: what is already there is found, not redone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from .. import data, features, monitor, registry, train, tune
from ..core import NotFound, Workspace
from ..flights import LATE_ARRIVAL, VIEWS, flight_files, sources
from ..registry import ModelVersion, TableVersion
from .options import CHAMPION, ENDPOINT, Options, month_start

SPACE: dict[str, tune.Integer | tune.Real | tune.Choice] = {
    "max_depth": tune.integer(4, 8),
    "learning_rate": tune.real(0.05, 0.3, log=True),
    "min_child_weight": tune.real(1.0, 20.0, log=True),
    "subsample": tune.real(0.6, 1.0),
    "colsample_bytree": tune.real(0.5, 1.0),
}


@dataclass(frozen=True, slots=True)
class Ingested:
    """What the three pipelines brought in.

    Attributes:
        versions: Table versions, in the order flights, weather, planes.
        quarantined: Rows set aside, per table.
        caught: What each expectation caught, in words.
    """

    versions: tuple[TableVersion, ...]
    quarantined: dict[str, int]
    caught: tuple[str, ...]


def ingest_sources(ws: Workspace) -> Ingested:
    """Run the three ingestion pipelines side by side."""
    feeds = sources(flight_files())
    versions = tuple(data.ingest_all(ws, list(feeds)))
    quarantined, caught = {}, []
    for feed, version in zip(feeds, versions, strict=True):
        quarantined[feed.name] = _rows(ws, f"quarantine.{feed.name}")
        for rule in feed.rules:
            figures = version.metrics.get("expectations", {}).get(rule.name)
            if figures and figures["failed"]:
                what = {"warn": "kept, with a warning"}.get(rule.on_fail, "quarantined")
                counts = f"{figures['failed']:,} of {figures['checked']:,} rows"
                caught.append(f"{feed.name}: {counts} break {rule.name} ({what})")
    return Ingested(versions, quarantined, tuple(caught))


def _rows(ws: Workspace, ref: str) -> int:
    return data.table(ws, ref, columns=["reason"]).num_rows if data.exists(ws, ref) else 0


def build_views(ws: Workspace) -> dict[str, TableVersion]:
    """Compute the feature views from the newest tables; a view that is up to date is kept."""
    return {view.name: features.build_view(ws, view) for view in VIEWS}


def training_set_before(ws: Workspace, end: datetime) -> features.TrainingSet:
    """The training set of all flights scheduled before `end` whose outcome is known."""
    labels = _flights(ws, "late is not null", f"scheduled_at < {_moment(end)}")
    flights = registry.table_version(ws, "flights")
    written = data.write(
        ws,
        f"labels.late-arrival-{end:%Y%m%d}",
        labels,
        mode="overwrite",
        app=(f"labels:{end:%Y%m%d}:{flights.version}", 0),
        inputs=[flights.node],
        operation="labels",
    )
    return features.training_set(
        ws,
        f"late-arrival-{end:%Y%m%d}",
        labels=f"{written.name}@{written.version}",
        label="late",
        event_time="scheduled_at",
        feature_set=LATE_ARRIVAL,
    )


@dataclass(frozen=True, slots=True)
class FirstModel:
    """The first champion.

    Attributes:
        version: The registered version.
        trials: Trials of the study that found it.
        auc: Its AUC on the newest fifth of January to June.
        rows: Rows of its training set.
        params: Its hyper-parameters.
    """

    version: ModelVersion
    trials: int
    auc: float
    rows: int
    params: dict[str, float]


def first_model(ws: Workspace, options: Options) -> FirstModel:
    """Search, fit and register `flight-delay@champion` on January to June, unless it is there."""
    first = registered(ws, searched(ws, options))
    run = registry.run(ws, first.run_id or "")
    trials = registry.trials(ws, run.parent) if run.parent else []
    return FirstModel(first, len(trials), run.metrics["auc"], int(run.metrics["rows"]), best_params(ws, first))


def searched(ws: Workspace, options: Options) -> registry.Run:
    """The best run of the study that the first champion came from, or of a new study."""
    try:
        first = registry.model_version(ws, f"{ENDPOINT}@1")
    except NotFound:
        training = training_set_before(ws, month_start(7))
        spec = train.Spec(train.XGBoost(rounds=options.rounds), training, name="flight-delay")
        return tune.search(ws, spec, SPACE, metric="auc", trials=options.study_trials).best_run
    return registry.run(ws, first.run_id or "")


def registered(ws: Workspace, run: registry.Run) -> ModelVersion:
    """`flight-delay@1`, made of this run and the champion, unless it is there."""
    try:
        registry.model_version(ws, CHAMPION)
        return registry.model_version(ws, f"{ENDPOINT}@1")
    except NotFound:
        return registry.register(ws, run, name=ENDPOINT, alias="champion")


def best_params(ws: Workspace, version: ModelVersion) -> dict[str, float]:
    """The tuned hyper-parameters of a version, to be used again when it is retrained."""
    params = registry.run(ws, version.run_id or "").params
    tuned = params.get("trainer", params)
    tuned = tuned.get("params", tuned)
    return {name: tuned[name] for name in SPACE if name in tuned}


@dataclass(frozen=True, slots=True)
class Retrain:
    """Builds the Spec of a challenger: same features, same hyper-parameters, all data before the cut-off.

    A frozen value with a method instead of a closure, so that a policy can be pickled.
    """

    rounds: int

    def __call__(self, ws: Workspace, cutoff: datetime) -> train.Spec:
        """The Spec for data before `cutoff`."""
        params: dict[str, Any] = dict(best_params(ws, registry.model_version(ws, f"{ENDPOINT}@1")))
        training = training_set_before(ws, cutoff)
        return train.Spec(train.XGBoost(rounds=self.rounds, **params), training, name="flight-delay", validation=0.1)


def policy_of(options: Options) -> monitor.Policy:
    """When the story's model is retrained."""
    # The replay's clock moves in ticks: congestion is up to 15 minutes old online, which is no defect to alert of.
    least = 500 if options.fast else 1000
    return monitor.Policy(retrain=Retrain(options.rounds), min_labels=least, skew_share=1.0)


def flights_between(ws: Workspace, start: datetime, end: datetime) -> pa.Table:
    """The flights scheduled in a window, with what a request tells and the outcome."""
    return _flights(ws, f"scheduled_at >= {_moment(start)}", f"scheduled_at < {_moment(end)}")


def _flights(ws: Workspace, *conditions: str) -> pa.Table:
    columns = "flight_id, scheduled_at, carrier, origin, dest, distance, tailnum, late"
    where = " and ".join(conditions)
    return data.sql(ws, f"select {columns} from flights where {where} order by scheduled_at, flight_id")


def _moment(moment: datetime) -> str:
    return f"timestamp '{moment:%Y-%m-%d %H:%M:%S}'"
