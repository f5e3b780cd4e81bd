"""Feature values of entities by key, as Python values: the quick way for code that needs no table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..core import ConfigError, InvalidRequest
from .codec import ViewCodec
from .dtypes import EPOCH, micros, span_micros
from .feature_set import FeatureSet
from .online import OnlineStore
from .view import FeatureView

PRESENT, NOT_FOUND, EXPIRED, FUTURE = "present", "not-found", "expired", "future"
_NOBODY = b"\0"  # no key of any view starts with a zero byte
_MISSING = object()
_FEW = 8  # up to so many values are read quicker one by one
_TIMES: Mapping[str, Callable[[int], Any]] = MappingProxyType(
    {
        "timestamp": lambda micros: EPOCH + timedelta(microseconds=micros),
        "date": lambda days: EPOCH.date() + timedelta(days=days),
    }
)
Keys = Mapping[str, str | int | None]


class Found(NamedTuple):
    """What one view says of one entity.

    Attributes:
        view: The view's name.
        status: ``present``; ``not-found``: nothing is stored for the key; ``expired``: it is older than the view's
            `ttl`; ``future``: it was not known yet at the moment asked for.
        event: Event time of the stored value, µs since 1970, or None.
        values: The features in order, None where null; all None unless `status` is ``present``.
    """

    view: str
    status: str
    event: int | None
    values: Sequence[Any]

    @property
    def event_time(self) -> datetime | None:
        """Event time of the stored value."""
        return None if self.event is None else EPOCH + timedelta(microseconds=self.event)


class LookUp:
    """Looks up views in an online store, all of them in one call. Safe in many threads; lives as long as its store.

    Args:
        store: Online store that holds the views' values.
        views: Feature set (its views), view, or several views.
        same_names: Whether two views may have features of one name; then only `find` and `find_many` tell them apart.

    Raises:
        ConfigError: Two views have a feature of one name.

    Example:
        >>> import tempfile
        >>> from raylake.core import Workspace
        >>> from raylake.features import FeatureView, LookUp, open_online
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> with open_online(Workspace.open(tempfile.mkdtemp())) as store:
        ...     LookUp(store, view).get({"origin": "EWR"}), LookUp(store, view).find({"origin": "EWR"})[0].status
        ({'temp': None}, 'not-found')
    """

    def __init__(
        self,
        store: OnlineStore,
        views: FeatureSet | FeatureView | Iterable[FeatureView],
        *,
        same_names: bool = False,
    ) -> None:
        self._store = store
        if isinstance(views, FeatureView):
            views = (views,)
        self.views = views.views if isinstance(views, FeatureSet) else tuple(views)
        self._each = tuple(_View(view) for view in self.views)
        self._one = self._each[0] if len(self._each) == 1 else None
        self.names = tuple(name for view in self.views for name in view.feature_columns)
        doubled = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubled and not same_names:
            raise ConfigError(f"two views have a feature {doubled[0]!r}: look them up apart")

    def get(self, keys: Keys, at: datetime | None = None) -> dict[str, Any]:
        """The features of one entity by name; None where null or where there is none (`find` says why).

        Args:
            keys: Entity keys by name, of all views; others are ignored. A key that is None is nobody's.
            at: The moment asked for, which decides what is too old; by default now.

        Raises:
            InvalidRequest: A key is missing or of another type; `field` names it.
        """
        one = self._one
        if one is not None:
            moment = time.time_ns() // 1000 if at is None else micros(at, "at")
            return dict(zip(one.names, one.read(self._store.get_many([one.key(keys)])[0], moment)[3], strict=True))
        values: list[Any] = []
        for found in self.find(keys, at):
            values += found.values
        return dict(zip(self.names, values, strict=True))

    def find(self, keys: Keys, at: datetime | None = None) -> list[Found]:
        """What each view says of one entity, and when it was true; see `get`."""
        moment = time.time_ns() // 1000 if at is None else micros(at, "at")
        stored = self._store.get_many([view.key(keys) for view in self._each])
        return [view.read(value, moment) for view, value in zip(self._each, stored, strict=True)]

    def find_many(self, rows: Sequence[Keys], at: datetime | None = None) -> list[list[Found]]:
        """`find` for many entities, with one call of the store: for each view the answers in the order of `rows`.

        Raises:
            InvalidRequest: As `get`; `row` tells where.
        """
        moment = time.time_ns() // 1000 if at is None else micros(at, "at")
        return [[view.read(value, moment) for value in stored] for view, stored in self._stored(rows)]

    def get_many(self, rows: Sequence[Keys], at: datetime | None = None) -> dict[str, list[Any]]:
        """`get` for many entities, with one call of the store: for each feature a list in the order of `rows`."""
        moment = time.time_ns() // 1000 if at is None else micros(at, "at")
        columns: dict[str, list[Any]] = {}
        for view, stored in self._stored(rows):
            columns.update(zip(view.names, view.columns(stored, moment), strict=True))
        return columns

    def _stored(self, rows: Sequence[Keys]) -> list[tuple[_View, list[bytes | None]]]:
        keys: list[bytes] = []
        for view in self._each:
            keys += view.all_keys(rows)
        stored, count = self._store.get_many(keys), len(rows)
        return [(view, stored[place * count : place * count + count]) for place, view in enumerate(self._each)]


class _View:
    """Keys and values of one view."""

    __slots__ = ("_codec", "_convert", "_keys", "_nothing", "_ttl", "_types", "_unpack", "name", "names")

    def __init__(self, view: FeatureView) -> None:
        self.name, self.names = view.name, view.feature_columns
        self._codec = ViewCodec(view)
        self._unpack = self._codec.unpack
        self._keys = view.entity.keys
        self._types = tuple(str if kind == "string" else int for kind in view.entity.key_types)
        self._ttl = None if view.ttl is None else span_micros(view.ttl)
        self._nothing = (None,) * len(self.names)
        times = [(place, _TIMES[kind]) for place, kind in enumerate(view.feature_types) if kind in _TIMES]
        self._convert = tuple(times)

    def key(self, keys: Keys, row: int | None = None) -> bytes:
        parts = []
        for name, kind in zip(self._keys, self._types, strict=True):
            part = keys.get(name, _MISSING)
            if type(part) is not kind:
                if part is None:
                    return _NOBODY
                raise self._refusal(keys, name, kind, row)
            parts.append(part)
        return self._codec.key(parts)

    def all_keys(self, rows: Sequence[Keys]) -> list[bytes]:
        if len(self._keys) == 1:
            name, kind = self._keys[0], self._types[0]
            parts = [(keys.get(name),) for keys in rows]
            if all(type(part) is kind for (part,) in parts):
                return self._codec.keys(parts)  # type: ignore[arg-type]
        return [self.key(keys, row) for row, keys in enumerate(rows)]

    def read(self, value: bytes | None, moment: int) -> Found:
        if value is None:
            return Found(self.name, NOT_FOUND, None, self._nothing)
        event, created, values = self._unpack(value)
        if event > moment or created > moment:
            return Found(self.name, FUTURE, event, self._nothing)
        if self._ttl is not None and moment - event > self._ttl:
            return Found(self.name, EXPIRED, event, self._nothing)
        if self._convert:
            values = list(values)
            for place, convert in self._convert:
                if values[place] is not None:
                    values[place] = convert(values[place])
        return Found(self.name, PRESENT, event, values)

    def columns(self, stored: Sequence[bytes | None], moment: int) -> list[list[Any]]:
        """The features of many entities, a list each."""
        found = self._codec.unpack_many(stored) if len(stored) > _FEW and not self._convert else None
        if found is None:
            read = [self.read(value, moment).values for value in stored]
            return [list(column) for column in zip(*read, strict=True)] if read else [[] for _ in self.names]
        usable = found.present & (found.event <= moment) & (found.created <= moment)
        if self._ttl is not None:
            usable &= moment - found.event <= self._ttl
        columns: list[list[Any]] = [column for block in found.blocks for column in block.T.tolist()]
        for row in np.flatnonzero(~usable).tolist():
            for column in columns:
                column[row] = None
        if found.nulls is not None:
            for row, place in np.argwhere(found.nulls[:, : len(columns)]).tolist():
                columns[place][row] = None
        return columns

    def _refusal(self, keys: Keys, name: str, kind: type, row: int | None) -> InvalidRequest:
        if name not in keys:
            told = f"key {name!r} of view {self.name!r} is missing; given: {', '.join(keys) or 'none'}"
        else:
            told = f"key {name!r} of view {self.name!r} is {keys[name]!r}, expected {kind.__name__}"
        return InvalidRequest(told, field=name, row=row)
