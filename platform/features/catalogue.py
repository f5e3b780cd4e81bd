"""Registered views and sets: numbered versions by content, references such as ``weather@2``, search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import func
from sqlmodel import Session, col, select

from .. import data, registry
from ..core import Conflict, Node, NotFound, Ref, Workspace
from ..registry.columns import plain
from ..registry.engine import now, reading, writing
from ..registry.rows import listed
from ..registry.schema import FeatureDefinitionRow
from .feature_set import FeatureSet, OnDemand
from .packing import pack_set, pack_view, unpack_set, unpack_view
from .view import Feature, FeatureView

VIEW, SET = "view", "feature-set"
SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class Registered:
    """One registered version of a view or set.

    Attributes:
        kind: ``view`` or ``feature-set``, as in lineage.
        name: Its name.
        number: 1 for the first content registered under the name, 2 for the next other one, ...
        version: Hash of the content, 12 hex digits; what lineage and the online store go by.
        description: What people say of it.
        owner: Who answers for it.
        tags: Free key-value pairs.
        features: Its columns with type, unit and description.
        created_at: When this content was first registered.
        used_by: Names of what uses it: sets, training sets, models, newest versions of each; filled by `search_views`.
    """

    kind: str
    name: str
    number: int
    version: str
    description: str
    owner: str
    tags: Mapping[str, str]
    features: tuple[Feature, ...]
    created_at: datetime
    used_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


def register(ws: Workspace, definition: FeatureView | FeatureSet) -> Registered:
    """Check a view or set against the tables that are there and give its content a number.

    The same content gets the same number, whatever is said for people; that is replaced. A view's sources are read
    (up to 1,000 rows) and its values computed from them. A set's views are registered with it.

    Raises:
        NotFound: A source table does not exist.
        SchemaMismatch: A column is missing or of another type, a time has no time zone, or the transform fails to
            give what is declared.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> seen = datetime.fromisoformat("2013-01-01T00:00:00Z")
        >>> source = data.write(ws, "weather", pa.table({"origin": ["EWR"], "at": [seen], "temp": [39]}))
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> str(register(ws, view)), str(register(ws, view))
        ('weather@1', 'weather@1')
        >>> from dataclasses import replace
        >>> str(register(ws, replace(view, ttl="3h"))), find_view(ws, "weather@1") == view
        ('weather@2', True)
    """
    for view in definition.views if isinstance(definition, FeatureSet) else (definition,):
        validate_view(ws, view)
    return remember(ws, definition)


def validate_view(ws: Workspace, view: FeatureView) -> None:
    """Compute a view's values from up to 1,000 rows of each of its sources.

    Raises:
        NotFound: See `register`.
        SchemaMismatch: See `register`.
    """
    from .build import compute_values, pin_sources

    for parent in view.parents:
        validate_view(ws, parent)
    parents = {str(parent.ref): parent for parent in view.parents}
    waiting = {name for name in parents if not data.exists(ws, name)}  # not built yet, but the columns are declared
    if not view.sql:
        rows = [parents[n].schema.empty_table() if n in waiting else _head(ws, n) for n in view.tables]
        compute_values(view, rows[0] if len(rows) == 1 else rows)
    elif not waiting:
        pins = {name: pin.version for name, pin in pin_sources(ws, view).items()}
        compute_values(view, data.sql(ws, f"select * from (\n{view.sql}\n) limit {SAMPLE}", at=pins))


def remember(ws: Workspace, definition: FeatureView | FeatureSet) -> Registered:
    """Number a view or set (and the views of a set) without looking at tables."""
    if isinstance(definition, FeatureSet):
        for view in definition.views:
            remember(ws, view)
        packed = pack_set(definition) | {"types": {}, "event_time": "event_time"}  # these come from the labels
        return _number(ws, SET, definition.name, definition.version, packed)
    for parent in definition.parents:
        remember(ws, parent)
    return _number(ws, VIEW, definition.name, definition.version, pack_view(definition))


def find_view(ws: Workspace, ref: str) -> FeatureView:
    """The registered view that `ref` names: ``weather`` (newest), ``weather@2``, or ``weather@`` and its hash.

    Raises:
        NotFound: There is none; the message lists those that exist.

    Example: see `register`.

        >>> import tempfile
        >>> find_view(Workspace.open(tempfile.mkdtemp()), "weather@2")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: view 'weather' is not registered; registered are: none
    """
    return unpack_view(_find(ws, VIEW, ref).definition)


def find_set(ws: Workspace, ref: str) -> FeatureSet:
    """The registered feature set that `ref` names, in the forms of `find_view`.

    Raises:
        NotFound: There is none; the message lists those that exist.
        ConfigError: An on-demand function cannot be imported, or changed since.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = register(ws, FeatureSet("delay", [], passthrough=["distance"]))
        >>> find_set(ws, "delay@1").columns
        ('distance',)
    """
    return unpack_set(_find(ws, SET, ref).definition)


def define_set(
    ws: Workspace,
    name: str,
    features: Sequence[str | FeatureView | OnDemand],
    *,
    passthrough: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> FeatureSet:
    """A feature set of registered views, ``["weather@2", congestion, CALENDAR]``.

    Raises:
        NotFound: A view is not registered.
        ConfigError: See `FeatureSet`.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> seen = datetime.fromisoformat("2013-01-01T00:00:00Z")
        >>> source = data.write(ws, "weather", pa.table({"origin": ["EWR"], "at": [seen], "temp": [39]}))
        >>> made = register(ws, FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"]))
        >>> define_set(ws, "delay", ["weather@1"]).views[0].version == made.version
        True
    """
    found = [find_view(ws, one) if isinstance(one, str) else one for one in features]
    return FeatureSet(name, found, passthrough, exclude=exclude)


def search_views(
    ws: Workspace,
    words: str = "",
    *,
    tag: str | None = None,
    owner: str | None = None,
    used_by: str | None = None,
) -> list[Registered]:
    """Newest versions of the views in which every word stands: in name, description, tags, or a feature's own.

    Args:
        ws: Workspace.
        words: Words or parts of words, in any case; empty finds all.
        tag: Only views with this tag, ``team`` or ``team=ops``.
        owner: Only this owner's.
        used_by: Only views that this set, training set or model uses, ``late-arrival`` or ``flight-delay``.

    Returns:
        Views whose name has the words first, then by name.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> view = FeatureView(
        ...     "weather", "origin", event_time="at", table="weather", columns=["temp"], tags={"team": "ops"}
        ... )
        >>> _ = remember(ws, view)
        >>> [str(found) for found in search_views(ws, "temp", tag="team=ops")], search_views(ws, "snow")
        (['weather@1'], [])
    """
    newest: dict[str, FeatureDefinitionRow] = {}
    sets: dict[str, FeatureDefinitionRow] = {}
    with reading(ws) as session:
        query = select(FeatureDefinitionRow).order_by(col(FeatureDefinitionRow.number))
        for row in session.exec(query):
            (newest if row.kind == VIEW else sets)[row.name] = row
    asked = words.lower().split()
    found = []
    for row in newest.values():
        view = unpack_view(row.definition)
        told = _told(view)
        if not all(word in told for word in asked) or (owner is not None and view.owner != owner):
            continue
        if tag is not None and tag not in view.tags and tag not in {f"{k}={v}" for k, v in view.tags.items()}:
            continue
        users = _users(ws, view, sets.values())
        if used_by is None or used_by in users:
            found.append(_registered(row, users))
    return sorted(found, key=lambda one: (not all(word in one.name for word in asked), one.name))


def view_versions(ws: Workspace, name: str) -> list[Registered]:
    """Every registered version of a view, oldest first.

    Raises:
        NotFound: There is no such view.

    Example: see `register`.

        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = remember(ws, FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"]))
        >>> [one.number for one in view_versions(ws, "weather")]
        [1]
    """
    _find(ws, VIEW, name)
    query = select(FeatureDefinitionRow).where(FeatureDefinitionRow.kind == VIEW, FeatureDefinitionRow.name == name)
    with reading(ws) as session:
        return [_registered(row) for row in session.exec(query.order_by(col(FeatureDefinitionRow.number)))]


def _head(ws: Workspace, name: str) -> pa.Table:
    ref = Ref.parse(str(registry.table_version(ws, name).ref))
    return data.sql(ws, f'select * from "{ref.namespace}"."{ref.name}" limit {SAMPLE}')


def _number(ws: Workspace, kind: str, name: str, digest: str, packed: Mapping[str, Any]) -> Registered:
    body = plain(packed, "definition")
    with reading(ws) as session:
        row = _by_digest(session, kind, name, digest)
        if row is not None and row.definition == body:
            return _registered(row)
    for _ in range(20):
        try:
            return _write(ws, kind, name, digest, body)
        except Conflict:  # another process took the number: look again
            continue
    raise Conflict(f"{kind} {name!r} is registered by others all the time: try again")


def _write(ws: Workspace, kind: str, name: str, digest: str, body: dict[str, Any]) -> Registered:
    with writing(ws) as session:
        row = _by_digest(session, kind, name, digest)
        moment = now()
        if row is None:
            query = select(func.max(FeatureDefinitionRow.number)).where(
                FeatureDefinitionRow.kind == kind, FeatureDefinitionRow.name == name
            )
            row = FeatureDefinitionRow(
                kind=kind,
                name=name,
                number=(session.exec(query).one() or 0) + 1,
                digest=digest,
                definition=body,
                created_at=moment,
                changed_at=moment,
            )
        else:
            row.definition, row.changed_at = body, moment
        session.add(row)
        session.flush()
        return _registered(row)


def _by_digest(session: Session, kind: str, name: str, digest: str) -> FeatureDefinitionRow | None:
    return session.exec(
        select(FeatureDefinitionRow).where(
            FeatureDefinitionRow.kind == kind,
            FeatureDefinitionRow.name == name,
            FeatureDefinitionRow.digest == digest,
        )
    ).first()


def _find(ws: Workspace, kind: str, ref: str) -> FeatureDefinitionRow:
    name, _, version = ref.partition("@")
    Ref.parse(name)
    query = (
        select(FeatureDefinitionRow)
        .where(FeatureDefinitionRow.kind == kind)
        .order_by(col(FeatureDefinitionRow.name), col(FeatureDefinitionRow.number))
    )
    with reading(ws) as session:
        rows = session.exec(query).all()
    known = [row for row in rows if row.name == name]
    if not known:
        raise NotFound(f"{kind} {name!r} is not registered; registered are: {listed(row.name for row in rows)}")
    if not version:
        return known[-1]
    for row in known:
        if version in (str(row.number), row.digest):
            return row
    there = ", ".join(f"{row.number} ({row.digest})" for row in known[-20:])
    raise NotFound(f"{kind} {name!r} has no version {version!r}; it has {there}")


def _told(view: FeatureView) -> str:
    features = [f"{one.name} {one.unit} {one.description}" for one in view.features]
    tags = [f"{key}={value}" for key, value in view.tags.items()]
    return " ".join([view.name, view.description, view.owner, *tags, *features, *view.tables]).lower()


def _users(ws: Workspace, view: FeatureView, sets: Any) -> tuple[str, ...]:
    named = {row.name for row in sets if any(one.get("name") == view.name for one in row.definition["features"])}
    below = registry.downstream(ws, Node("view", view.name))
    for edge in below:
        if edge.target.kind == "model":
            named.add(edge.target.name)
        elif edge.target.kind == "table" and edge.target.name.startswith("training."):
            named.add(edge.target.name.removeprefix("training."))
    return tuple(sorted(named))


def _registered(row: FeatureDefinitionRow, used_by: tuple[str, ...] = ()) -> Registered:
    body = row.definition
    features = unpack_view(body).features if row.kind == VIEW else ()
    return Registered(
        row.kind,
        row.name,
        row.number,
        row.digest,
        body.get("description", ""),
        body.get("owner", ""),
        dict(body.get("tags", {})),
        features,
        row.created_at,
        used_by,
    )
