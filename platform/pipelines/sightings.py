"""What event triggers see: new things since the last look, and where the next look begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from sqlalchemy import func
from sqlmodel import select

from .. import registry
from ..core import NotFound, Ref, StorageError, Workspace, urls
from ..registry.engine import reading
from ..registry.schema import EventRow, TableVersionRow
from .triggers import EventTrigger, OnAlert, OnEvent, OnFiles, OnModel, OnPipeline, OnTable, Trigger

MOST = 1000  # events that are looked at in one turn


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing that happened: what makes it unique, and what a run is told of it."""

    what: str
    event: Mapping[str, Any]


class Look:
    """One look at the registry, shared by all event triggers of a turn: what is newest is asked once."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws

    def table(self, name: str) -> int:
        """The newest version of a table; -1 when there is none."""
        return self._tables.get(Ref.parse(name).qualified, -1)

    def model(self, name: str) -> int:
        """The newest version of a model; 0 when there is none."""
        try:
            return registry.model_version(self.ws, name).version
        except NotFound:
            return 0

    @cached_property
    def event(self) -> int:
        """Number of the newest event."""
        with reading(self.ws) as session:
            return int(session.scalar(select(func.max(EventRow.id))) or 0)

    @cached_property
    def alert(self) -> int:
        """Number of the newest alert."""
        return max((alert.id for alert in registry.alerts(self.ws, limit=1)), default=0)

    @cached_property
    def _tables(self) -> dict[str, int]:
        newest = select(TableVersionRow.name, func.max(TableVersionRow.version)).group_by(TableVersionRow.name)
        with reading(self.ws) as session:
            return {name: int(version) for name, version in session.exec(newest)}


def first_sight(ws: Workspace, trigger: Trigger) -> dict[str, Any]:
    """Where a new trigger begins: what is there already does not count."""
    look = Look(ws)
    if isinstance(trigger, OnTable):
        return {"version": look.table(trigger.table)}
    if isinstance(trigger, OnModel):
        return {"version": look.model(trigger.model)}
    if isinstance(trigger, OnAlert):
        return {"alert": look.alert}
    if isinstance(trigger, OnFiles):
        return {"files": _files(trigger), "growing": {}}
    return {"cursor": look.event}


def sightings(look: Look, trigger: EventTrigger, memory: Mapping[str, Any]) -> tuple[list[Sighting], dict[str, Any]]:
    """What is new, oldest first, and the memory from which to go on."""
    if isinstance(trigger, OnTable):
        return _versions("table", trigger.table, memory, look.table(trigger.table))
    if isinstance(trigger, OnModel):
        return _versions("model", trigger.model, memory, look.model(trigger.model))
    if isinstance(trigger, OnAlert):
        return ([], {**memory}) if look.alert <= memory["alert"] else _alerts(look.ws, trigger, memory)
    if isinstance(trigger, OnFiles):
        return _arrived(trigger, memory)
    return ([], {**memory}) if look.event <= memory["cursor"] else _events(look.ws, trigger, memory)


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
