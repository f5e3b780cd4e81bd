"""A scheduled source as a pipeline of its own: durable runs, retried, listed and drawn like those of any pipeline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ... import pipelines, registry
from ...core import Conflict, Node, NotFound, RaylakeError, Workspace, duration
from ...registry import SourceRecord
from ..definitions import source_from_plain
from ..retention import clean_up, retention_of
from .loop import run_once

_PREFIX = "source-"
# A pool of its own: sources do not wait for long pipelines, nor these for them.
POOL = "sources"


# They hold no CPU: what they read is small, or is read by Ray tasks, which must find one.
@pipelines.step(name="ingest", cpus=0, retries=2, backoff=5.0)
def ingest_source(source: str, ws: Workspace) -> dict[str, Any]:
    """Ingest what is new in a configured source, until nothing waits; tell how it went in its record.

    Returns:
        ``version`` (``visits@3``, or ``None`` while nothing ever came), ``rows`` that were read, ``seconds``.
    """
    try:
        record = registry.source_record(ws, source)
    except NotFound:
        return {"version": None, "rows": 0, "seconds": 0.0}
    found: dict[str, Any] = {"version": None, "rows": 0, "seconds": 0.0}
    if record.status != "active":
        return found
    try:
        while True:
            step = run_once(ws, source_from_plain(record.definition))
            found["version"] = step.version and str(step.version)
            found["rows"] += step.rows
            found["seconds"] += step.seconds
            if not (step.rows and step.lag):
                break
    except RaylakeError as error:
        _failed(ws, record, error)
        raise
    registry.record_source_run(ws, source, error="")
    return found


@pipelines.step(name="clean-up", cpus=0)
def clean_up_table(source: str, ingested: dict[str, Any], ws: Workspace) -> dict[str, int]:
    """Apply the retention of a source's table, if it has one."""
    if ingested["version"] is None:
        return {"rows": 0, "files": 0}
    table = ingested["version"].partition("@")[0]
    if not any(asdict(retention_of(ws, table)).values()):
        return {"rows": 0, "files": 0}
    (done,) = clean_up(ws, [table])
    return {"rows": done.rows, "files": done.files}


def source_pipeline(name: str) -> pipelines.Pipeline:
    """The pipeline of a configured source: ingest what is new, then let expired rows go.

    It is named ``source-NAME``, runs once at a time, and reads the source's definition when it runs. `save_source`
    schedules it; ``raylake pipeline scheduler`` or `supervise` runs it.

    Args:
        name: The source.

    Example:
        >>> print(source_pipeline("trips").mermaid())
        flowchart LR
            n0["ingest"]
            n1["clean-up"]
            n0 --> n1
    """

    @pipelines.pipeline(name=f"{_PREFIX}{name}", concurrency=1)
    def run_source(source: str = name) -> Any:
        return clean_up_table(source, ingest_source(source))

    return run_source


def trigger_of(every: str) -> pipelines.Cron | pipelines.Every:
    """What `Source.every` means: a span such as ``5m``, or cron's five fields and perhaps a time zone.

    Raises:
        ConfigError: It is neither.
        PipelineInvalid: Cron's fields or the zone are not valid.

    Example:
        >>> trigger_of("1h"), trigger_of("30 6 * * mon-fri Europe/Berlin").timezone
        (Every(seconds=3600.0, start='1970-01-01T00:00:00+00:00'), 'Europe/Berlin')
    """
    words = every.split()
    if len(words) in (5, 6):
        return pipelines.Cron(" ".join(words[:5]), *words[5:])
    return pipelines.Every(duration(every, "every").total_seconds())


def schedule_source(ws: Workspace, record: SourceRecord) -> None:
    """Make the schedule of a source what its record says; queue a first run when the definition is new."""
    name = f"{_PREFIX}{record.name}"
    known = {each.name: each for each in pipelines.schedules(ws)}
    every = record.definition.get("every")
    if every is None or record.definition.get("continuous"):
        if name in known:
            pipelines.unschedule(ws, name)
        return
    trigger, active = trigger_of(every), record.status == "active"
    found = known.get(name)
    if found is None or found.trigger != {"type": type(trigger).__name__, **asdict(trigger)}:
        pipelines.schedule(ws, name, source_pipeline(record.name), trigger, overlap="skip", pool=POOL)
        found = None
    if active != (found is None or found.enabled):
        pipelines.enable(ws, name, active)
    if active:
        with contextlib.suppress(Conflict):
            # Conflict: this definition has had its first run.
            first = f"{name}:{record.revision}"
            pipelines.submit(ws, source_pipeline(record.name), pool=POOL, dedupe=first)


def unschedule_source(ws: Workspace, name: str) -> None:
    """Remove the schedule of a source; its runs stay."""
    with contextlib.suppress(NotFound):
        pipelines.unschedule(ws, f"{_PREFIX}{name}")


def keep_schedules(ws: Workspace, records: Iterable[SourceRecord]) -> bool:
    """Make schedules equal to what is configured, also for sources saved by an older raylake; whether there are any."""
    wanted = {record.name: record for record in records if record.definition.get("every")}
    scheduled = {name: record for name, record in wanted.items() if not record.definition.get("continuous")}
    for record in scheduled.values():
        schedule_source(ws, record)
    for each in pipelines.schedules(ws):
        if each.name.startswith(_PREFIX) and each.pipeline == each.name and each.pool == POOL:
            name = each.name.removeprefix(_PREFIX)
            if name not in scheduled:
                unschedule_source(ws, name)
    return bool(scheduled)


def _failed(ws: Workspace, record: SourceRecord, error: RaylakeError) -> None:
    """Note the error; the first of several is an alert."""
    if not record.error:
        registry.record_alert(
            ws, severity="error", subject=Node("source", record.name), message=str(error), evidence={}
        )
    registry.record_source_run(ws, record.name, error=f"{type(error).__name__}: {error}")
