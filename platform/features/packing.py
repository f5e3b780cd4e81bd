"""Feature sets as JSON and back: the form that travels inside a model's folder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..core import ConfigError
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
        "features": [
            pack_view(feature) if isinstance(feature, FeatureView) else _pack_on_demand(feature)
            for feature in features.features
        ],
    }


def unpack_set(data: Mapping[str, Any]) -> FeatureSet:
    """`FeatureSet.from_dict`."""
    if data.get("format") != FORMAT:
        raise ConfigError(f"feature set of format {data.get('format')!r} cannot be read: this version reads {FORMAT}")
    features = [_unpack_view(f) if f["kind"] == "view" else _unpack_on_demand(f) for f in data["features"]]
    made = FeatureSet(data["name"], features, data["passthrough"], data["event_time"], data["types"])
    if made.version != data["version"]:
        raise ConfigError(f"feature set {made.name!r} was packaged as {data['version']} but reads as {made.version}")
    return made


def pack_view(view: FeatureView) -> dict[str, Any]:
    """A view as JSON-able mapping."""
    return view.definition() | {
        "kind": "view",
        "transform": None if view.transform is None else reference(view.transform).to_dict(),
        "description": view.description,
        "tags": dict(view.tags),
        "owner": view.owner,
    }


def _unpack_view(data: Mapping[str, Any]) -> FeatureView:
    transform = data["transform"]
    ttl = data["ttl_us"]
    return FeatureView(
        data["name"],
        Entity(**data["entity"]),
        event_time=data["event_time"],
        table=data["table"],
        columns=data["columns"],
        transform=None if transform is None else StoredFunction(FunctionRef.from_dict(transform)),
        created_time=data["created_time"],
        ttl=None if ttl is None else timedelta(microseconds=ttl),
        window=[
            Rolling(w["column"], timedelta(microseconds=w["over_us"]), w["agg"], w["name"]) for w in data["window"]
        ],
        types=data["types"],
        description=data["description"],
        tags=data["tags"],
        owner=data["owner"],
    )


def _pack_on_demand(feature: OnDemand) -> dict[str, Any]:
    return feature.definition() | {"kind": "on-demand", "function": reference(feature.function).to_dict()}


def _unpack_on_demand(data: Mapping[str, Any]) -> OnDemand:
    function = FunctionRef.from_dict(data["function"]).load()
    return OnDemand(data["name"], data["inputs"], function, data["outputs"])
