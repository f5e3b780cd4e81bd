"""Online features over HTTP, as Feast's feature server speaks it, so that Feast's clients work unchanged.

Source: `feast/feature_server.py` and `feast/infra/online_stores/remote.py` of Feast 0.67. The layer of
features is imported by the routes that need it: starting the server must not load polars and pandas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field

from ... import registry
from ...core import InvalidRequest, NotFound, Ref, Workspace
from ..context import current_workspace
from ..online import OnlineStores, Wanted

if TYPE_CHECKING:
    from ...features import FeatureView

router = APIRouter(tags=["features"])
_MOST_ROWS, _MOST_FEATURES = 10_000, 2_000
_NEVER = "1970-01-01T00:00:00Z"
_PRESENT = "present"
_STATUSES = {_PRESENT: "PRESENT", "expired": "OUTSIDE_MAX_AGE"}
_Name = Annotated[str, Field(max_length=300)]
_Frame = Annotated[dict[str, list[Any]], Field(max_length=_MOST_FEATURES)]


class GetOnlineFeatures(BaseModel):
    """Which features of which entities."""

    entities: Annotated[dict[str, list[Any]], Field(max_length=200)]
    feature_service: _Name | None = None
    features: Annotated[list[_Name], Field(max_length=_MOST_FEATURES)] = []
    full_feature_names: bool = False


class Push(BaseModel):
    """Rows of a table that views are made from; `push_source_name` is the table."""

    push_source_name: _Name
    df: _Frame
    to: Literal["online", "offline", "online_and_offline"] = "online"


class WriteOnline(BaseModel):
    """Values of a view, with the columns ``event_timestamp`` and perhaps ``created``."""

    feature_view_name: _Name
    df: _Frame


class Materialize(BaseModel):
    """Which views, and what became known when."""

    start_ts: _Name | None = None
    end_ts: _Name | None = None
    feature_views: list[_Name] | None = None
    disable_event_timestamp: bool = False


class MaterializeIncremental(BaseModel):
    """Which views, up to when."""

    end_ts: _Name
    feature_views: list[_Name] | None = None


class FreshnessAnswer(BaseModel):
    """How far a view is behind its source."""

    view: str
    version: str
    tables: list[str]
    behind: int
    lag_seconds: float
    newest_event: datetime | None


@router.post("/get-online-features", summary="Feature values of entities, as Feast's clients ask for them")
def get_online_features(request: Request, body: GetOnlineFeatures) -> Response:
    """For each entity key and each feature: values, statuses and event timestamps, in the order of the entities."""
    ws, stores = current_workspace(request), _stores(request)
    rows = _entity_rows(body.entities)
    wanted = stores.wanted(ws, body.feature_service, body.features)
    names: list[str] = list(body.entities)
    results = [_result([row[name] for row in rows], ["PRESENT"] * len(rows), [_NEVER] * len(rows)) for name in names]
    for view, asked, found in zip(wanted.look.views, wanted.names, wanted.look.find_many(rows), strict=True):
        statuses = [_STATUSES.get(each.status, "NOT_FOUND") for each in found]
        stamps = [_stamp(each.event) if each.status == _PRESENT else _NEVER for each in found]
        for name in asked:
            place = view.feature_columns.index(name)
            names.append(f"{view.name}__{name}" if body.full_feature_names else name)
            results.append(_result([each.values[place] for each in found], statuses, stamps))
    for name, values in _on_demand(wanted, stores, ws, body.entities, len(rows)).items():
        names.append(name)
        results.append(_result(values, ["PRESENT"] * len(rows), [_NEVER] * len(rows)))
    answer = {"metadata": {"feature_names": names}, "results": results}
    return Response(orjson.dumps(answer), media_type="application/json")


@router.post("/push", summary="Rows for the table that views are made from, online, offline or both")
def push(request: Request, body: Push) -> None:
    """Offline the rows are appended to the table. Online they are visible when this returns.

    Views with windows or a transform need the rows before: push to ``online_and_offline``.
    """
    from ... import data, features
    from ...features.view_sources import is_changed_by_rows, source_tables
    from ..feature_rows import rows_of_table, rows_of_view

    ws = current_workspace(request)
    table = Ref.parse(body.push_source_name)
    made = {view: {Ref.parse(name).qualified for name in source_tables(view)} for view in _online_views(ws)}
    views = [view for view, tables in made.items() if table.qualified in tables]
    if not views:
        known = sorted({name for tables in made.values() for name in tables})
        raise NotFound(f"no view that is online is made from {table.qualified!r}; tables: {', '.join(known) or 'none'}")
    if body.to == "online":
        for view in views:
            if view.window or view.transform is not None or not is_changed_by_rows(view):
                told = f"view {view.name!r} is computed from the rows before as well: push to online_and_offline"
                raise InvalidRequest(told, field="to")
        for view, rows in [(view, rows_of_view(view, body.df)) for view in views]:
            features.put_values(ws, view, rows, store=_stores(request).store(ws))
        return
    data.write(ws, table.qualified, rows_of_table(ws, table, body.df), operation="push")
    if body.to == "online_and_offline":
        features.refresh(ws, views, store=_stores(request).store(ws))


@router.post("/write-to-online-store", summary="Values of a view, as Feast's remote online store writes them")
def write_to_online_store(request: Request, body: WriteOnline) -> None:
    """Visible when this returns; older values never overwrite newer ones."""
    from ... import features
    from ..feature_rows import values_of

    ws, stores = current_workspace(request), _stores(request)
    view = stores.view(ws, body.feature_view_name)
    features.put_values(ws, view, values_of(view, body.df), store=stores.store(ws))


@router.post("/materialize", summary="Bring online what became known between two moments")
def materialize(request: Request, body: Materialize) -> None:
    """With ``disable_event_timestamp`` everything."""
    from ... import features

    ws = current_workspace(request)
    views = _chosen(request, body.feature_views)
    if body.disable_event_timestamp:
        features.materialise(ws, views)
        return
    if body.start_ts is None or body.end_ts is None:
        raise InvalidRequest(
            "start_ts and end_ts are required unless disable_event_timestamp is true", field="start_ts"
        )
    start, end = _moment(body.start_ts, "start_ts"), _moment(body.end_ts, "end_ts")
    if start >= end:
        raise InvalidRequest(f"start_ts {body.start_ts} must be before end_ts {body.end_ts}", field="start_ts")
    features.materialise(ws, views, since=start, until=end)


@router.post("/materialize-incremental", summary="Bring online what changed since the last time")
def materialize_incremental(request: Request, body: MaterializeIncremental) -> None:
    """Up to `end_ts`: up to the newest version of the sources when it is not in the past."""
    from ... import features

    ws = current_workspace(request)
    views = _chosen(request, body.feature_views)
    end = _moment(body.end_ts, "end_ts")
    if end < datetime.now(UTC) - timedelta(minutes=1):
        features.materialise(ws, views, until=end)
    else:
        features.refresh(ws, views, store=_stores(request).store(ws))


@router.get("/health")
def health(request: Request) -> dict[str, str]:
    """Whether registry and online store answer."""
    ws = current_workspace(request)
    registry.online_definitions(ws)
    _stores(request).store(ws).get_many([b"\0"])
    return {"status": "ok"}


@router.get("/api/raylake/features/freshness")
def freshness(request: Request) -> list[FreshnessAnswer]:
    """How far each view that is online is behind its source."""
    from ... import features

    ws = current_workspace(request)
    return [
        FreshnessAnswer(
            view=each.view,
            version=each.version,
            tables=list(each.tables),
            behind=each.behind,
            lag_seconds=each.lag.total_seconds(),
            newest_event=each.newest_event,
        )
        for each in features.freshness(ws, store=_stores(request).store(ws))
    ]


@router.get("/api/raylake/features/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> PlainTextResponse:
    """The same for Prometheus."""
    from ... import features

    ws = current_workspace(request)
    return PlainTextResponse(features.freshness_metrics(ws, store=_stores(request).store(ws)))


def _stores(request: Request) -> OnlineStores:
    found: OnlineStores = request.app.state.online
    return found


def _online_views(ws: Workspace) -> list[FeatureView]:
    """The newest version of each view that is online."""
    from ... import features

    newest = {each.name: each for each in registry.online_definitions(ws, "view")}
    return [features.online_view(each) for each in newest.values()]


def _chosen(request: Request, names: Sequence[str] | None) -> list[FeatureView]:
    ws = current_workspace(request)
    return _online_views(ws) if names is None else [_stores(request).view(ws, name) for name in names]


def _entity_rows(entities: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    lengths = {name: len(values) for name, values in entities.items()}
    if not lengths or max(lengths.values()) == 0:
        raise InvalidRequest("no entity is given: entities must hold a list of values for each key", field="entities")
    if len(set(lengths.values())) > 1:
        raise InvalidRequest(f"entities must have as many values each, not {lengths}", field="entities")
    if max(lengths.values()) > _MOST_ROWS:
        raise InvalidRequest(f"{max(lengths.values())} entities are too many: ask for {_MOST_ROWS}", field="entities")
    names = list(entities)
    return [dict(zip(names, row, strict=True)) for row in zip(*entities.values(), strict=True)]


def _on_demand(
    wanted: Wanted, stores: OnlineStores, ws: Workspace, entities: Mapping[str, list[Any]], rows: int
) -> dict[str, list[Any]]:
    """Features of a set that are computed from the request: Feast gives their inputs among the entities."""
    from ...features import FeatureReader, FeatureSet
    from ..feature_rows import rows_of_request

    found = wanted.features
    if found is None or not found.on_demand:
        return {}
    # Passthrough columns are the caller's own; only the functions' inputs are needed.
    needed = FeatureSet(found.name, found.features, (), found.event_time, found.types)
    frame = {name: values for name, values in entities.items() if name in needed.request_columns}
    frame.setdefault(found.event_time, [datetime.now(UTC)] * rows)
    made = FeatureReader(stores.store(ws), needed).assemble(rows_of_request(frame))
    return {name: made[name].to_pylist() for feature in found.on_demand for name in feature.outputs}


def _result(values: Sequence[Any], statuses: list[str], stamps: list[str]) -> dict[str, Any]:
    plain = [_plain(value) for value in values]
    told = [
        "NULL_VALUE" if value is None and status == "PRESENT" else status
        for value, status in zip(plain, statuses, strict=True)
    ]
    return {"values": plain, "statuses": told, "event_timestamps": stamps}


def _plain(value: Any) -> Any:
    """As Feast sends it: moments are seconds since 1970."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, date):
        return value.isoformat()
    return value if not isinstance(value, float) or value == value else None


def _stamp(event: int | None) -> str:
    if event is None:
        return _NEVER
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=event)
    return moment.isoformat().replace("+00:00", "Z")


def _moment(text: str, field: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(f"{field} {text!r:.100} is not a moment: use ISO 8601", field=field) from error
    try:
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise InvalidRequest(f"{field} {text!r:.100} is out of range", field=field) from error
