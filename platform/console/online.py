"""The online stores that the server reads from: opened once per workspace, what is online remembered for a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from .. import registry
from ..core import InvalidRequest, Workspace

if TYPE_CHECKING:
    from ..features import FeatureSet, FeatureView, LookUp, OnlineStore

_FRESH_SECONDS = 1.0
_MOST = 1_000  # remembered at once: callers choose the names
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for.

    Attributes:
        look: Looks up the views.
        names: For each view the features asked for.
        features: The feature set, when a request names one.
    """

    look: LookUp
    names: tuple[tuple[str, ...], ...]
    features: FeatureSet | None


class OnlineStores:
    """The stores of a server's workspaces. Safe in many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Workspace, OnlineStore] = {}
        self._kept: dict[tuple[object, ...], tuple[float, object]] = {}

    def store(self, ws: Workspace) -> OnlineStore:
        """The store of a workspace, opened at its first use."""
        from .. import features  # not before it is needed: it loads polars and pandas

        with self._lock:
            found = self._open.get(ws)
            if found is None:
                found = self._open[ws] = features.open_online(ws)
            return found

    def view(self, ws: Workspace, name: str) -> FeatureView:
        """The view that is online as ``name``, or as ``name@2`` (number or hash of a registered version).

        Raises:
            NotFound: None is; the message lists what there is.
        """
        from .. import features

        def find() -> FeatureView:
            plain, _, version = name.partition("@")
            if version:
                version = features.find_view(ws, name).version
            return features.online_view(registry.online_definition(ws, "view", plain, version or None))

        return self._remember(("view", ws, name), find)

    def feature_set(self, ws: Workspace, name: str) -> FeatureSet:
        """The feature set that is online as ``name`` or ``name@version``."""
        from ..features import FeatureSet

        plain, _, version = name.partition("@")
        return self._remember(
            ("set", ws, name),
            lambda: FeatureSet.from_dict(registry.online_definition(ws, "set", plain, version or None).definition),
        )

    def wanted(self, ws: Workspace, service: str | None, names: Sequence[str]) -> Wanted:
        """What a request names: a feature set, or features as ``view:feature``.

        Raises:
            InvalidRequest: Nothing is named, or a name has another form; `field` says which.
            NotFound: A view, feature or set is not online.
        """
        return self._remember(("wanted", ws, service, *names), lambda: self._find(ws, service, names))

    def close(self) -> None:
        """Close all stores."""
        with self._lock:
            for store in self._open.values():
                store.close()
            self._open.clear()

    def _find(self, ws: Workspace, service: str | None, names: Sequence[str]) -> Wanted:
        from ..features import LookUp

        if service:
            found = self.feature_set(ws, service)
            views = found.views
            return Wanted(LookUp(self.store(ws), views), tuple(view.feature_columns for view in views), found)
        asked: dict[str, list[str]] = {}
        for name in names:
            view, colon, feature = name.partition(":")
            if not colon or not view or not feature:
                raise InvalidRequest(f"feature {name!r:.200} is not valid: use view:feature", field="features")
            asked.setdefault(view, []).append(feature)
        if not asked:
            raise InvalidRequest("no feature is asked for: give features or feature_service", field="features")
        views = tuple(self.view(ws, view) for view in asked)
        for found_view, wanted in zip(views, asked.values(), strict=True):
            for feature in wanted:
                if feature not in found_view.feature_columns:
                    known = ", ".join(found_view.feature_columns)
                    told = f"view {found_view.name!r} has no feature {feature!r:.200}; it has {known}"
                    raise InvalidRequest(told, field="features")
        return Wanted(LookUp(self.store(ws), views, same_names=True), tuple(map(tuple, asked.values())), None)

    def _remember(self, key: tuple[object, ...], make: Callable[[], _Made]) -> _Made:
        until, found = self._kept.get(key, (0.0, None))
        if time.monotonic() >= until:
            found = make()
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[key] = time.monotonic() + _FRESH_SECONDS, found
        return found  # type: ignore[return-value]
