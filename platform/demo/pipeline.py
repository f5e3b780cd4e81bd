"""The flight story up to its endpoint as a pipeline: ingest, features, the first model, a gate, deployment.

Each step is idempotent, so the pipeline may be killed anywhere and resumed; what an earlier run made is found.
"""

from __future__ import annotations

from .. import data, features, pipelines, serve
from ..core import Workspace
from ..flights import VIEWS, flight_files, sources
from ..registry import ModelVersion, TableVersion
from .options import CHAMPION, ENDPOINT, Options
from .stages import first_model

# The steps launch Ray tasks of their own: they hold no CPU, or these would wait for the steps that wait for them.


@pipelines.step(cpus=0, retries=1)
def source_names() -> list[str]:
    """Names of the sources."""
    return [source.name for source in sources(flight_files())]


@pipelines.step(cpus=0, retries=1)
def ingest(name: str, ws: Workspace) -> TableVersion:
    """Bring one source in."""
    return data.ingest(ws, next(source for source in sources(flight_files()) if source.name == name))


@pipelines.step(cpus=0, retries=1)
def build_view(name: str, tables: list[TableVersion], ws: Workspace) -> TableVersion:
    """Compute one feature view from the tables."""
    return features.build_view(ws, next(view for view in VIEWS if view.name == name))


@pipelines.step(cpus=0, retries=1)
def train_first(views: list[TableVersion], fast: bool, ws: Workspace) -> dict[str, object]:
    """Search, fit and register the first champion."""
    made = first_model(ws, Options(fast=fast))
    return {"version": made.version, "auc": made.auc, "rows": made.rows, "trials": made.trials}


@pipelines.step(cpus=0)
def passes(auc: float, least: float) -> bool:
    """The gate."""
    return auc >= least


@pipelines.step(cpus=0)
def deploy(version: ModelVersion, ws: Workspace) -> str:
    """Put the champion behind its endpoint, and return its URL."""
    return serve.deploy(ws, CHAMPION, name=ENDPOINT, autoscale=serve.Autoscale(1, 2)).url


@pipelines.pipeline(name="flights", concurrency=1)
def flights(fast: bool = True, least_auc: float = 0.6, online: bool = False):  # type: ignore[no-untyped-def]
    """From raw files to a champion that passed its gate; `online` puts it behind an endpoint."""
    tables = ingest.map(source_names())
    views = build_view.map([view.name for view in VIEWS], tables=tables)
    model = train_first(views, fast)
    with pipelines.when(online), pipelines.when(passes(model["auc"], least_auc)):
        deploy(model["version"])
    return model["auc"]
