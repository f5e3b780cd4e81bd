"""Entities and feature views: what a feature belongs to, and how its values come about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from textwrap import dedent
from typing import Any

import pyarrow as pa

from ..core import ConfigError, Node, Ref, check_name, duration
from .dtypes import KEY_TYPES, TIMESTAMP, arrow_type, span_micros
from .functions import Transform, reference
from .windows import Rolling


def content_hash(definition: Mapping[str, Any]) -> str:
    """12 hex digits that change whenever `definition` does.

    Example:
        >>> content_hash({"a": 1}) == content_hash({"a": 1}), len(content_hash({}))
        (True, 12)
    """
    return sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Entity:
    """What features are about, named by one or several key columns.

    Attributes:
        name: Name of the entity.
        keys: Key columns, by default one called like the entity.
        types: Type of each key, ``string`` (default) or ``int64``. Declared, because a request that asks for
            ``"42"`` where 42 is stored must be an error and not a silent miss.

    Raises:
        ConfigError: No key, a doubled key, or another type.

    Example:
        >>> Entity("origin").keys
        ('origin',)
        >>> Entity("seat", ("flight_id", "row"), {"flight_id": "int64"}).key_types
        ('int64', 'string')
    """

    name: str
    keys: Sequence[str] = ()
    types: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "entity")
        keys = (self.keys,) if isinstance(self.keys, str) else tuple(self.keys) or (self.name,)
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "types", dict(self.types))
        if len(set(keys)) != len(keys):
            raise ConfigError(f"entity {self.name!r} names a key twice: {', '.join(keys)}")
        for key, dtype in self.types.items():
            if key not in keys or dtype not in KEY_TYPES:
                raise ConfigError(
                    f"entity {self.name!r}: types={{{key!r}: {dtype!r}}} is not valid: "
                    f"use a key ({', '.join(keys)}) with one of {', '.join(KEY_TYPES)}"
                )

    def __hash__(self) -> int:
        return hash((self.name, self.keys, self.key_types))

    @property
    def key_types(self) -> tuple[str, ...]:
        """Type of each key, in order."""
        return tuple(self.types.get(key, "string") for key in self.keys)

    def definition(self) -> dict[str, Any]:
        """JSON-able form, accepted by ``Entity(**definition)``."""
        return {"name": self.name, "keys": list(self.keys), "types": dict(sorted(self.types.items()))}


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of a view, for people and pages.

    Attributes:
        name: Column name.
        type: ``float64``, ``string``, ...
        unit: Unit of its values, such as ``minutes``; empty when nobody said.
        description: What it means.
    """

    name: str
    type: str
    unit: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, init=False)
class FeatureView:
    """Timestamped feature values of an entity, computed from one or several tables, or from other views.

    Rows become values in this order: `sql` (if any), `transform` (if any), columns checked and cast, rows without key
    or event time dropped, windows computed. Every row is a value that holds from its event time on, until a newer one
    of the same entity or until `ttl` has passed.

    Attributes:
        name: Name; the values are stored as table ``features.<name>``.
        entity: Entity, or the name of one whose only key is a string column of that name, or several of them: then
            the keys of all of them together name a value.
        event_time: Column (timestamp with time zone): from when on the row is true.
        table: Source table, ``flights`` or ``namespace.flights``, without a version; or another view, whose values
            are then the source; or several of these.
        columns: Columns used as features as they are.
        sql: Query over the sources by name (a view ``weather`` is table ``features.weather``), as `raylake.data.sql`
            takes it; its result is what `transform` or the columns are taken from.
        transform: Top-level function, table to table, applied to the whole source (to one table per source when there
            are several and no `sql`). The same rows must come out whatever the other entities' rows are.
        created_time: Column (timestamp with time zone): when the row became known. A row is used only from the later
            of event and created time on, so a backfill does not leak into the past. Null means: at its event time.
        ttl: A value older than this is null (age of exactly `ttl` still counts). None: never too old.
        window: Windowed aggregations, each one more feature. See `raylake.features.Rolling`.
        types: Type of each column or window, ``float64`` by default; others: float32, int64, bool, string, timestamp,
            date.
        units: Unit of a feature's values, ``{"temp": "degrees Fahrenheit"}``. Like all that follows for people, and
            not part of the version.
        descriptions: What each feature means.
        description: What the view is about.
        tags: Free key-value pairs.
        owner: Who answers for it.
        retention: Values whose event is older than this are not kept, ``"90d"`` or a timedelta. None: all are kept.
        version: 12 hex digits, hash of all that decides the values, the transform's source included.

    Raises:
        ConfigError: No feature, a doubled name, an unknown type, or a transform without import path.
        InvalidName: The name or the table breaks the naming rule.

    Example:
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"], ttl="3h")
        >>> view.feature_columns, view.entity.keys, len(view.version)
        (('temp',), ('origin',), 12)
        >>> from dataclasses import replace
        >>> replace(view, ttl="2h").version == view.version, replace(view, owner="me").version == view.version
        (False, True)
    """

    name: str
    entity: Entity
    event_time: str
    table: Any  # str, FeatureView, or a tuple of these: a name within the class is not a type yet
    columns: Sequence[str] = ()
    sql: str = ""
    transform: Transform | None = field(default=None, compare=False)  # by its digest, in version
    created_time: str | None = None
    ttl: timedelta | None = None
    window: Sequence[Rolling] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    retention: timedelta | None = None
    version: str = field(init=False, repr=False)

    def __init__(  # the generated one cannot say that text is accepted for entity, ttl and one window
        self,
        name: str,
        entity: Entity | str | Sequence[Entity | str],
        *,
        event_time: str,
        table: str | FeatureView | Sequence[str | FeatureView],
        columns: Sequence[str] = (),
        sql: str = "",
        transform: Transform | None = None,
        created_time: str | None = None,
        ttl: str | timedelta | None = None,
        window: Rolling | Sequence[Rolling] = (),
        types: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        descriptions: Mapping[str, str] | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
        retention: str | timedelta | None = None,
    ) -> None:
        given = {
            "name": check_name(name, "feature view"),
            "entity": _entity(entity),
            "event_time": event_time,
            "table": _sources(table),
            "columns": (columns,) if isinstance(columns, str) else tuple(columns),
            "sql": dedent(sql).strip(),
            "transform": transform,
            "created_time": created_time,
            "ttl": None if ttl is None else duration(ttl, "ttl"),
            "window": (window,) if isinstance(window, Rolling) else tuple(window),
            "types": dict(types or {}),
            "units": dict(units or {}),
            "descriptions": dict(descriptions or {}),
            "description": description,
            "tags": dict(tags or {}),
            "owner": owner,
            "retention": None if retention is None else duration(retention, "retention"),
        }
        for key, value in given.items():
            object.__setattr__(self, key, value)
        self._check()
        object.__setattr__(self, "version", content_hash(self.definition()))

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def _check(self) -> None:
        names = [*self.feature_columns, *self.entity.keys, *self.time_columns]
        if not self.feature_columns:
            raise ConfigError(f"feature view {self.name!r} has no feature: name columns or a window")
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError(f"feature view {self.name!r} uses {doubled[0]!r} twice among features, keys and times")
        for dtype in self.types.values():
            arrow_type(dtype)
        for kind in ("types", "units", "descriptions"):
            for column in getattr(self, kind):
                if column not in self.feature_columns:
                    raise ConfigError(
                        f"feature view {self.name!r}: {kind} names {column!r}, which is not one of its columns"
                    )
        if len(self.tables) > 1 and not self.sql and self.transform is None:
            raise ConfigError(
                f"feature view {self.name!r} has {len(self.tables)} sources: say in sql=... or transform=... how they "
                "become one table"
            )
        if any(parent.name == self.name for parent in self.parents):
            raise ConfigError(f"feature view {self.name!r} cannot have the name of a view that it is made from")

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the source tables, in order; that of a view is ``features.<name>``."""
        sources = self.table if isinstance(self.table, tuple) else (self.table,)
        return tuple(str(one.ref) if isinstance(one, FeatureView) else one for one in sources)

    @property
    def parents(self) -> tuple[FeatureView, ...]:
        """The views among the sources."""
        sources = self.table if isinstance(self.table, tuple) else (self.table,)
        return tuple(one for one in sources if isinstance(one, FeatureView))

    @property
    def features(self) -> tuple[Feature, ...]:
        """Each feature with its type, unit and description, in order."""
        return tuple(
            Feature(name, kind, self.units.get(name, ""), self.descriptions.get(name, ""))
            for name, kind in zip(self.feature_columns, self.feature_types, strict=True)
        )

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """Names of the features: columns, then windows."""
        return (*self.columns, *(window.name for window in self.window))

    @property
    def time_columns(self) -> tuple[str, ...]:
        """Event time, and created time if there is one."""
        return (self.event_time,) if self.created_time is None else (self.event_time, self.created_time)

    @property
    def feature_types(self) -> tuple[str, ...]:
        """Type name of each feature, in order."""
        return tuple(self.types.get(name, "float64") for name in self.feature_columns)

    @property
    def schema(self) -> pa.Schema:
        """Columns of the values: keys, times, features."""
        keys = [pa.field(k, arrow_type(t)) for k, t in zip(self.entity.keys, self.entity.key_types, strict=True)]
        times = [pa.field(name, TIMESTAMP) for name in self.time_columns]
        features = [pa.field(c, arrow_type(t)) for c, t in zip(self.feature_columns, self.feature_types, strict=True)]
        return pa.schema([*keys, *times, *features])

    @property
    def ref(self) -> Ref:
        """The table of the values, ``features.<name>``."""
        return Ref(self.name, namespace="features")

    @property
    def node(self) -> Node:
        """Vertex of the lineage graph, ``view:<name>@<version>``."""
        return Node("view", self.name, self.version)

    def definition(self) -> dict[str, Any]:
        """What decides the values, JSON-able; `version` is its hash."""
        function = None if self.transform is None else reference(self.transform)
        more: dict[str, Any] = {"sql": self.sql} if self.sql else {}
        if self.parents:
            more["parents"] = {parent.name: parent.version for parent in self.parents}
        return more | {
            "name": self.name,
            "entity": self.entity.definition(),
            "event_time": self.event_time,
            "table": self.tables[0] if len(self.tables) == 1 else list(self.tables),
            "columns": list(self.columns),
            "transform": None if function is None else {"path": function.path, "digest": function.digest},
            "created_time": self.created_time,
            "ttl_us": None if self.ttl is None else span_micros(self.ttl),
            "window": [window.definition() for window in self.window],
            "types": dict(sorted(self.types.items())),
        }


def _entity(given: Entity | str | Sequence[Entity | str]) -> Entity:
    if isinstance(given, Entity | str):
        return Entity(given) if isinstance(given, str) else given
    parts = [_entity(one) for one in given]
    if len(parts) == 1:
        return parts[0]
    types = {key: dtype for part in parts for key, dtype in part.types.items()}
    return Entity("-".join(part.name for part in parts), [key for part in parts for key in part.keys], types)


def _sources(given: str | FeatureView | Sequence[str | FeatureView]) -> Any:
    if isinstance(given, FeatureView):
        return given
    if isinstance(given, str):
        return _table_name(given)
    found = tuple(_sources(one) for one in given)
    if not found:
        raise ConfigError("table=[] of a feature view names no source: give a table or a view")
    return found[0] if len(found) == 1 else found


def _table_name(table: str) -> str:
    ref = Ref.parse(table)
    if ref.version is not None or ref.alias is not None:
        raise ConfigError(f"table {table!r} of a feature view must not be pinned: pin it in build_view(table_ref=...)")
    return str(ref)
