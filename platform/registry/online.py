"""Which views and sets are in the online store, by which definition, and how long their values are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlmodel import col, select

from ..core import ConfigError, NotFound, Workspace, check_name
from .columns import plain
from .engine import now, reading, writing
from .rows import listed
from .schema import OnlineRow
from .show import Shown

OnlineKind = Literal["view", "set"]


@dataclass(frozen=True, slots=True)
class OnlineDefinition(Shown):
    """A feature view or set that is in the online store.

    Attributes:
        kind: ``view`` or ``set``.
        name: Its name.
        version: Its version; several may be online, for models of several ages.
        definition: Its JSON form.
        keep: How long after its event time a value is kept, or ``None``: for ever.
        saved_at: When it was materialised first, or anew.
    """

    kind: str
    name: str
    version: str
    definition: dict[str, Any]
    keep: timedelta | None
    saved_at: datetime


def save_online(
    ws: Workspace,
    kind: OnlineKind,
    name: str,
    version: str,
    definition: Mapping[str, Any],
    *,
    keep: timedelta | None = None,
) -> OnlineDefinition:
    """Note that a version of a view or set is online; it is then the newest of its name. No `keep`: as it was.

    Raises:
        InvalidName: The name breaks the rule.
        DataError: The definition has no JSON form.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> save_online(ws, "view", "weather", "0f", {"columns": ["temp"]}).version
        '0f'
        >>> [one.name for one in online_definitions(ws, "view")]
        ['weather']
    """
    body = plain(definition, "definition")
    with writing(ws) as session:
        row = session.get(OnlineRow, (kind, check_name(name, kind), version))
        if row is None:
            row = OnlineRow(kind=kind, name=name, version=version, definition=body, keep_us=None, saved_at=now())
        row.definition, row.saved_at = body, now()
        if keep is not None:
            row.keep_us = keep // timedelta(microseconds=1)
        session.add(row)
        session.flush()
        return _record(row)


def set_online_keep(ws: Workspace, name: str, keep: timedelta | None) -> None:
    """How long the values of a view, in all its versions, are kept online.

    Raises:
        NotFound: No view of that name is online.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = save_online(ws, "view", "weather", "0f", {})
        >>> set_online_keep(ws, "weather", timedelta(days=1))
        >>> online_definition(ws, "view", "weather").keep
        datetime.timedelta(days=1)
    """
    if keep is not None and keep <= timedelta(0):
        raise ConfigError(f"keep={keep} is not valid: use a span above zero, or None to keep everything")
    online_definition(ws, "view", name)
    with writing(ws) as session:
        for row in session.exec(select(OnlineRow).where(OnlineRow.kind == "view", OnlineRow.name == name)):
            row.keep_us = None if keep is None else keep // timedelta(microseconds=1)
            session.add(row)


def remove_online(ws: Workspace, kind: OnlineKind, name: str, version: str) -> None:
    """Note that a version is no longer online; one that is not is ignored.

    Example:
        >>> import tempfile
        >>> remove_online(Workspace.open(tempfile.mkdtemp()), "view", "weather", "0f")
    """
    with writing(ws) as session:
        row = session.get(OnlineRow, (kind, name, version))
        if row is not None:
            session.delete(row)


def online_definition(ws: Workspace, kind: OnlineKind, name: str, version: str | None = None) -> OnlineDefinition:
    """What is online under a name: the version, or the one that was materialised last.

    Raises:
        NotFound: Nothing is; the message lists what there is.

    Example:
        >>> import tempfile
        >>> online_definition(Workspace.open(tempfile.mkdtemp()), "view", "weather")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: view 'weather' is not online; online are: none. Run features.materialise first
    """
    found = [one for one in online_definitions(ws, kind) if one.name == name and version in (None, one.version)]
    if not found:
        names = [
            each.name if version is None else f"{each.name}@{each.version}" for each in online_definitions(ws, kind)
        ]
        wanted = name if version is None else f"{name}@{version}"
        raise NotFound(
            f"{kind} {wanted!r} is not online; online are: {listed(list(dict.fromkeys(names)))}. "
            "Run features.materialise first"
        )
    return max(found, key=lambda one: one.saved_at)


def online_definitions(ws: Workspace, kind: OnlineKind | None = None) -> list[OnlineDefinition]:
    """Everything that is online, by kind, name and age.

    Example:
        >>> import tempfile
        >>> online_definitions(Workspace.open(tempfile.mkdtemp()))
        []
    """
    query = select(OnlineRow).order_by(OnlineRow.kind, OnlineRow.name, col(OnlineRow.saved_at))
    if kind is not None:
        query = query.where(OnlineRow.kind == kind)
    with reading(ws) as session:
        return [_record(row) for row in session.exec(query)]


def _record(row: OnlineRow) -> OnlineDefinition:
    keep = None if row.keep_us is None else timedelta(microseconds=row.keep_us)
    return OnlineDefinition(row.kind, row.name, row.version, row.definition, keep, row.saved_at)
