"""Feature sets as JSON and back: the form that travels inside a model's folder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..core import ConfigError
from .dtypes import span_micros
from .feature_set import FeatureSet, OnDemand
from .functions import FunctionRef, StoredFunction, reference
from .view import Entity, FeatureView
from .windows import Rolling

FORMAT = 1


def pack_set(features: FeatureSet) -> dict[str, Any]:
    """`FeatureSet.to_dict`."""
    return {
        "format": FORMAT,
        "name": features.name,
        "version": features.version,
        "passthrough": list(features.passthrough),
        "event_time": features.event_time,
        "types": dict(features.types),
        "exclude": list(features.exclude),
        "features": [
            pack_view(feature) if isinstance(feature, FeatureView) else _pack_on_demand(feature)
            for feature in features.features
        ],
    }


def unpack_set(data: Mapping[str, Any]) -> FeatureSet:
    """`FeatureSet.from_dict`."""
    if data.get("format") != FORMAT:
        raise ConfigError(f"feature set of format {data.get('format')!r} cannot be read: this version reads {FORMAT}")
    features = [unpack_view(f) if f["kind"] == "view" else _unpack_on_demand(f) for f in data["features"]]
    made = FeatureSet(
        data["name"], features, data["passthrough"], data["event_time"], data["types"], data.get("exclude", ())
    )
    if made.version != data["version"]:
        raise ConfigError(f"feature set {made.name!r} was packaged as {data['version']} but reads as {made.version}")
    return made


def pack_view(view: FeatureView) -> dict[str, Any]:
    """A view as JSON-able mapping."""
    return view.definition() | {
        "kind": "view",
        "transform": None if view.transform is None else reference(view.transform).to_dict(),
        "parents": [pack_view(parent) for parent in view.parents],
        "units": dict(view.units),
        "descriptions": dict(view.descriptions),
        "retention_us": None if view.retention is None else span_micros(view.retention),
        "description": view.description,
        "tags": dict(view.tags),
        "owner": view.owner,
    }


def unpack_view(data: Mapping[str, Any]) -> FeatureView:
    """The reverse of `pack_view`; a transform is imported when it runs."""
    transform = data["transform"]
    tables = data["table"] if isinstance(data["table"], list) else [data["table"]]
    sources: dict[str, str | FeatureView] = {name: name for name in tables}
    sources |= {str(parent.ref): parent for parent in map(unpack_view, data.get("parents", ()))}
    return FeatureView(
        data["name"],
        Entity(**data["entity"]),
        event_time=data["event_time"],
        table=[sources[name] for name in tables],
        columns=data["columns"],
        sql=data.get("sql", ""),
        transform=None if transform is None else StoredFunction(FunctionRef.from_dict(transform)),
        created_time=data["created_time"],
        ttl=_span(data["ttl_us"]),
        window=[
            Rolling(w["column"], timedelta(microseconds=w["over_us"]), w["agg"], w["name"], w.get("where", ()))
            for w in data["window"]
        ],
        types=data["types"],
        units=data.get("units"),
        descriptions=data.get("descriptions"),
        retention=_span(data.get("retention_us")),
        description=data["description"],
        tags=data["tags"],
        owner=data["owner"],
    )


def _span(micros: int | None) -> timedelta | None:
    return None if micros is None else timedelta(microseconds=micros)


def _pack_on_demand(feature: OnDemand) -> dict[str, Any]:
    return feature.definition() | {"kind": "on-demand", "function": reference(feature.function).to_dict()}


def _unpack_on_demand(data: Mapping[str, Any]) -> OnDemand:
    function = FunctionRef.from_dict(data["function"]).load()
    return OnDemand(data["name"], data["inputs"], function, data["outputs"])
