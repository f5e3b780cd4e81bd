"""What event triggers see: new things since the last look, and where the next look begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from .. import registry
from ..core import NotFound, StorageError, Workspace, urls
from .triggers import EventTrigger, OnAlert, OnEvent, OnFiles, OnModel, OnPipeline, OnTable, Trigger

MOST = 1000  # events that are looked at in one turn


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing that happened: what makes it unique, and what a run is told of it."""

    what: str
    event: Mapping[str, Any]


def first_sight(ws: Workspace, trigger: Trigger) -> dict[str, Any]:
    """Where a new trigger begins: what is there already does not count."""
    if isinstance(trigger, OnTable):
        return {"version": _newest_table(ws, trigger.table)}
    if isinstance(trigger, OnModel):
        return {"version": _newest_model(ws, trigger.model)}
    if isinstance(trigger, OnAlert):
        return {"alert": max((alert.id for alert in registry.alerts(ws, limit=1)), default=0)}
    if isinstance(trigger, OnFiles):
        return {"files": _files(trigger), "growing": {}}
    return {"cursor": _last_event(ws)}


def sightings(ws: Workspace, trigger: EventTrigger, memory: Mapping[str, Any]) -> tuple[list[Sighting], dict[str, Any]]:
    """What is new, oldest first, and the memory from which to go on."""
    if isinstance(trigger, OnTable):
        return _versions("table", trigger.table, memory, _newest_table(ws, trigger.table))
    if isinstance(trigger, OnModel):
        return _versions("model", trigger.model, memory, _newest_model(ws, trigger.model))
    if isinstance(trigger, OnAlert):
        return _alerts(ws, trigger, memory)
    if isinstance(trigger, OnFiles):
        return _arrived(trigger, memory)
    return _events(ws, trigger, memory)


def _events(
    ws: Workspace, trigger: OnEvent | OnPipeline, memory: Mapping[str, Any]
) -> tuple[list[Sighting], dict[str, Any]]:
    if isinstance(trigger, OnPipeline):
        kind, pattern = f"pipeline-{trigger.state}", f"pipeline:{trigger.pipeline}@*"
    else:
        kind, pattern = trigger.kind, trigger.subject
    found = registry.events(ws, after=memory["cursor"], kind=kind, limit=MOST)
    seen = [
        Sighting(
            f"event-{each.id}", {"id": each.id, "kind": kind, "subject": str(each.subject), "payload": each.payload}
        )
        for each in found
        if fnmatchcase(str(each.subject), pattern)
    ]
    return seen, {**memory, "cursor": found[-1].id if found else memory["cursor"]}


def _versions(kind: str, name: str, memory: Mapping[str, Any], newest: int) -> tuple[list[Sighting], dict[str, Any]]:
    seen = [
        Sighting(f"{kind}-{version}", {kind: name, "version": version})
        for version in range(memory["version"] + 1, newest + 1)[-MOST:]
    ]
    return seen, {**memory, "version": max(newest, memory["version"])}


def _alerts(ws: Workspace, trigger: OnAlert, memory: Mapping[str, Any]) -> tuple[list[Sighting], dict[str, Any]]:
    newest = [alert for alert in registry.alerts(ws, limit=MOST) if alert.id > memory["alert"]][::-1]
    seen = [
        Sighting(
            f"alert-{each.id}",
            {"id": each.id, "severity": each.severity, "subject": str(each.subject), "message": each.message},
        )
        for each in newest
        if trigger.severity in ("", each.severity)
    ]
    return seen, {**memory, "alert": newest[-1].id if newest else memory["alert"]}


def _arrived(trigger: OnFiles, memory: Mapping[str, Any]) -> tuple[list[Sighting], dict[str, Any]]:
    """Files that are new or changed, and are the same as in the look before (so not being written)."""
    now, known, growing = _files(trigger), memory["files"], memory["growing"]
    changed = {path: mark for path, mark in now.items() if known.get(path) != mark}
    whole = sorted(path for path, mark in changed.items() if growing.get(path) == mark)
    remembered = {path: mark for path, mark in known.items() if path in now} | {path: now[path] for path in whole}
    waiting = {path: mark for path, mark in changed.items() if path not in whole}
    seen = [Sighting(f"file-{path}-{now[path]}", {"file": path}) for path in whole]
    return seen, {**memory, "files": remembered, "growing": waiting}


def _files(trigger: OnFiles) -> dict[str, str]:
    from pyarrow.fs import FileSelector

    files, path = urls.filesystem(urls.normalise(trigger.folder))
    try:
        found = files.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
    except OSError as error:
        raise StorageError(f"folder {trigger.folder} cannot be listed: {error}") from error
    return {
        each.path: f"{each.size}-{each.mtime_ns}"
        for each in found
        if each.is_file and fnmatchcase(each.base_name, trigger.pattern)
    }


def _newest_table(ws: Workspace, name: str) -> int:
    try:
        return registry.table_version(ws, name).version
    except NotFound:
        return -1


def _newest_model(ws: Workspace, name: str) -> int:
    try:
        return registry.model_version(ws, name).version
    except NotFound:
        return 0


def _last_event(ws: Workspace) -> int:
    from sqlalchemy import func
    from sqlmodel import select

    from ..registry.engine import reading
    from ..registry.schema import EventRow

    with reading(ws) as session:
        return int(session.scalar(select(func.max(EventRow.id))) or 0)
