"""The flight story from raw files to a model that replaced itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .. import monitor, registry, serve
from ..core import RaySession, Workspace, exclusive, ray_session, start_cluster
from ..registry import TableVersion
from .display import Display, Silent
from .options import CHAMPION, ENDPOINT, MONTHS, Options, month_label, month_start
from .result import DemoResult
from .stages import FirstModel, Ingested, Retrain, build_views, first_model, ingest_sources
from .year import Year


def tell(
    ws: Workspace, options: Options | None = None, display: Display | None = None, *, keep: bool = False
) -> DemoResult:
    """Run the whole story in a workspace; what an earlier run finished there is found and not done again.

    Args:
        ws: The workspace.
        options: How much of the year; default all of it.
        display: Where progress goes; default nowhere.
        keep: Leave the endpoint up, on a cluster that outlives this process; stop it with `raylake down`.

    Returns:
        The figures, month by month.

    Raises:
        WorkspaceBusy: The story already runs in this workspace.

    Example:
        >>> from raylake.core import Workspace
        >>> result = tell(Workspace.open(), Options(fast=True))  # doctest: +SKIP
        >>> result.promotions  # doctest: +SKIP
        [2, 3]
    """
    options, display = options or Options(), display or Silent()
    with exclusive(ws, "demo"):
        if keep and ws.ray_address == "auto":
            start_cluster(ws)
        with ray_session(ws) as session:
            return _Teller(ws, options, display, keep).tell(session)


@dataclass
class _Teller:
    """The story's stages in order; holds the clock."""

    ws: Workspace
    options: Options
    display: Display
    keep: bool
    seconds: dict[str, float] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)

    def tell(self, session: RaySession) -> DemoResult:
        with self._stage("ingest", "three sources side by side") as say:
            ingested = ingest_sources(self.ws)
            say(_sizes(ingested.versions))
            for line in ingested.caught:
                say(line)
        with self._stage("features", "three views") as say:
            views = build_views(self.ws)
            say(_sizes(views.values()))
        with self._stage("train, tune", f"{self.options.study_trials} trials on January to June") as say:
            first = first_model(self.ws, self.options)
            say(f"{first.version}: {first.rows:,} rows, {first.trials} trials, AUC {first.auc:.3f} on the newest fifth")
        with self._stage("deploy", "an endpoint on Ray Serve") as say:
            endpoint = serve.deploy(self.ws, CHAMPION, name=ENDPOINT, autoscale=serve.Autoscale(1, 2))
            say(f"{CHAMPION} at {endpoint.url}")
        try:
            policy = _policy(first, self.options)
            with monitor.Renderer() as renderer:
                year = Year(self.ws, endpoint, policy, renderer, self.options, self.display)
                with self._clock("replay"):
                    year.run(views)
                return self._close(session, endpoint, ingested, first, year)
        finally:
            if not self.keep:
                serve.shutdown(self.ws)

    def _close(
        self, session: RaySession, endpoint: serve.Endpoint, ingested: Ingested, first: FirstModel, year: Year
    ) -> DemoResult:
        with self._stage("outcome", "the last labels and reports") as say:
            year.close()
            months = year.months()
            say(f"{sum(m.requests for m in months):,} requests, {sum(m.failed for m in months)} failed")
        result = DemoResult(
            rows_ingested=sum(v.rows or 0 for v in ingested.versions),
            tables=tuple(str(version) for version in registry.tables(self.ws)),
            training_rows=first.rows,
            trials=first.trials,
            auc_first=first.auc,
            months=months,
            lineage_endpoint_to_raw=endpoint_reaches_raw(self.ws),
            seconds=time.perf_counter() - self.start,
            quarantined=ingested.quarantined,
            caught=ingested.caught,
            urls=_urls(self.ws, session, endpoint),
            stages=dict(self.seconds),
        )
        self.display.result(result)
        return result

    @contextmanager
    def _stage(self, name: str, doing: str) -> Iterator[Callable[[str], None]]:
        with self._clock(name), self.display.stage(name, doing) as say:
            yield say

    @contextmanager
    def _clock(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started


def _sizes(versions: Iterable[TableVersion]) -> str:
    return ", ".join(f"{version} ({version.rows:,} rows)" for version in versions)


def _policy(first: FirstModel, options: Options) -> monitor.Policy:
    retrain = Retrain(tuple(sorted(first.params.items())), options.rounds)
    # The replay's clock moves in ticks: congestion is up to 15 minutes old online, which is no defect to alert of.
    return monitor.Policy(retrain=retrain, min_labels=500 if options.fast else 1000, skew_share=1.0)


def endpoint_reaches_raw(ws: Workspace) -> bool:
    """Walk the lineage from the endpoint upwards; whether it arrives at all three raw tables.

    Example:
        >>> import tempfile
        >>> endpoint_reaches_raw(Workspace.open(tempfile.mkdtemp()))
        False
    """
    reached = {
        edge.source.name for edge in registry.upstream(ws, f"endpoint:{ENDPOINT}") if edge.source.kind == "table"
    }
    return {"main.flights", "main.weather", "main.planes"} <= reached


def _urls(ws: Workspace, session: RaySession, endpoint: serve.Endpoint) -> dict[str, str]:
    urls = {"ray dashboard": session.dashboard_url, "endpoint docs": endpoint.docs_url}
    # Oldest first: a month that was interrupted and judged again has two reports, and the newer one counts.
    pages = {report.window[0]: report.artifacts.get("html") for report in registry.drift_reports(ws, ENDPOINT)[::-1]}
    for month in MONTHS:
        if digest := pages.get(month_start(month)):
            urls[f"report {month_label(month)}"] = _page(ws, digest, month_label(month))
    return urls


def _page(ws: Workspace, digest: str, month: str) -> str:
    """A copy with a name that a browser opens; on remote storage the artifact itself."""
    if "://" in ws.root:
        return registry.locate(ws, digest)
    page = Path(ws.root) / "reports" / f"{ENDPOINT}-{month}.html"
    page.parent.mkdir(exist_ok=True)
    registry.fetch_file(ws, digest, page)
    return page.as_uri()
