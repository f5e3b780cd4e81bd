"""The OpenAPI description of endpoints that are values, merged into FastAPI's of the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .api.mlflow.endpoint import PREFIXES, Endpoint, Field

_PLACEHOLDER = re.compile(r"\{(\w+)(?::\w+)?\}")
_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "format": "int64"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "array": {"type": "array", "items": {}},
    "object": {"type": "object"},
}
_ANSWERS = {
    "200": {"description": "The answer", "content": {"application/json": {"schema": {"type": "object"}}}},
    "default": {
        "description": "Why not",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
                    "required": ["message"],
                }
            }
        },
    },
}
_BODYLESS = ("GET", "HEAD")


def describe(document: dict[str, Any], endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Add endpoints to an OpenAPI document, and that every operation takes a token.

    Args:
        document: An OpenAPI 3.1 document; it is changed and returned.
        endpoints: What to add; described once, below the first of the prefixes.

    Example:
        >>> added = Endpoint("GET", "/2.0/mlflow/runs/get", lambda ws, message: {}, (Field("run_id", required=True),))
        >>> document = describe({"paths": {}}, [added])
        >>> document["paths"]["/api/2.0/mlflow/runs/get"]["get"]["parameters"][0]["name"]
        'run_id'
    """
    paths = document.setdefault("paths", {})
    for endpoint in endpoints:
        path = PREFIXES[0] + _PLACEHOLDER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = operation(endpoint)
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["token"] = {"type": "http", "scheme": "bearer"}
    document["security"] = [{"token": []}, {}]
    return document


def operation(endpoint: Endpoint) -> dict[str, Any]:
    """One endpoint as an OpenAPI operation."""
    placed = _PLACEHOLDER.findall(endpoint.path)
    fields = [field for field in endpoint.fields if field.name not in placed]
    made: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}{re.sub('[^a-zA-Z0-9]+', '_', endpoint.path)}",
        "tags": ["mlflow"],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in placed
        ],
        "responses": _ANSWERS,
    }
    if endpoint.method in _BODYLESS:
        made["parameters"] += [_parameter(field) for field in fields]
    else:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(fields)}}}
    return made


def _parameter(field: Field) -> dict[str, Any]:
    schema = dict(_TYPES.get(field.kind, {}))
    if field.kind == "array":
        schema["items"] = {"type": "string"}
    return {"name": field.name, "in": "query", "required": field.required, "schema": schema}


def _schema(fields: Iterable[Field]) -> dict[str, Any]:
    listed = list(fields)
    return {
        "type": "object",
        "properties": {field.name: _TYPES.get(field.kind, {}) for field in listed},
        "required": [field.name for field in listed if field.required],
    }
