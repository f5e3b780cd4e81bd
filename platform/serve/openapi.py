"""The OpenAPI document of an endpoint and a page that shows it, with a real example of the model's data."""

from __future__ import annotations

import html
import shlex
from datetime import date, datetime
from typing import Any

import orjson

from .fields import Field
from .predictor import Predictor, example_columns


def example_request(predictor: Predictor, *, rows: int = 2) -> dict[str, Any]:
    """A request of the first rows of the model's reference sample, JSON-able."""
    columns = example_columns(predictor.model, predictor.decoder.fields, rows=rows)
    names, values = list(columns), list(columns.values())
    return {"rows": [dict(zip(names, map(_plain, row), strict=True)) for row in zip(*values, strict=True)]}


def openapi(predictor: Predictor, endpoint: str, server: str) -> dict[str, Any]:
    """OpenAPI 3.1 document of one endpoint.

    Args:
        predictor: The model in place.
        endpoint: Name of the endpoint.
        server: URL that the paths are relative to.
    """
    base = f"/models/{endpoint}"
    request = example_request(predictor)
    error = {"$ref": "#/components/schemas/Error"}
    answers = {
        "200": _json("Predictions, in the order of the rows", {"$ref": "#/components/schemas/Prediction"}),
        "405": _json("Not a POST", error),
        "413": _json("Body too large", error),
        "422": _json("A field is missing, unknown, null or of a wrong type; the body names it", error),
        "503": _json("Too many requests wait; try again after Retry-After seconds", error),
    }
    predict = {
        "operationId": "predict",
        "summary": f"Predict with {predictor.name}@{predictor.version}",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}, "example": request}},
        },
        "responses": answers,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"raylake endpoint {endpoint}", "version": str(predictor.version)},
        "servers": [{"url": server}],
        "paths": {
            f"{base}/predict": {"post": predict},
            base: {"get": _get("describe", "The model's version and signature")},
            f"{base}/health": {"get": _get("health", "200 when the model really predicts")},
        },
        "components": {"schemas": _schemas(predictor)},
    }


def docs_page(predictor: Predictor, endpoint: str, server: str) -> str:
    """A self-contained page (no script, nothing from elsewhere): fields, an example, the answer's shape."""
    url = f"{server}/models/{endpoint}/predict"
    body = orjson.dumps(example_request(predictor, rows=1)).decode()
    curl = f"curl -s {url} -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    rows = "".join(
        f"<tr><td><code>{html.escape(f.name)}</code><td>{html.escape(f.kind.expected)}"
        f"<td>{'required' if f.required else 'optional, else looked up'}<td>{'yes' if f.nullable else 'no'}</tr>"
        for f in predictor.decoder.fields
    )
    return _PAGE.format(
        name=html.escape(endpoint),
        model=html.escape(f"{predictor.name}@{predictor.version}"),
        rows=rows,
        curl=html.escape(curl),
        max_rows=predictor.decoder.max_rows,
    )


def _schemas(predictor: Predictor) -> dict[str, Any]:
    fields = predictor.decoder.fields
    row = {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in fields if field.required],
        "properties": {field.name: _field_schema(field) for field in fields},
    }
    columns = {
        name: {"type": "array", "items": schema}
        for name, schema in row["properties"].items()  # type: ignore[attr-defined]
    }
    extras = {
        "ids": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Your own id of each row; unique",
        },
        "features": {"type": "boolean", "description": "Also answer with the model's inputs"},
    }
    by_rows = {"type": "array", "minItems": 1, "maxItems": predictor.decoder.max_rows, "items": row}
    by_columns = {**row, "properties": columns}
    return {
        "Request": {
            "oneOf": [
                _object({"rows": by_rows, **extras}, ["rows"]),
                _object({"columns": by_columns, **extras}, ["columns"]),
            ]
        },
        "Prediction": _object(
            {
                "predictions": {"type": "array", "items": {"type": "number"}},
                "model": {"type": "string"},
                "version": {"type": "integer"},
                "id": {"type": "string", "description": "Id of the request; row i is captured as id#i"},
                "features": {"type": "array", "items": {"type": "object"}},
            },
            ["predictions", "model", "version", "id"],
        ),
        "Error": _object(
            {
                "error": _object(
                    {
                        "code": {"type": "string"},
                        "message": {"type": "string"},
                        "field": {"type": ["string", "null"]},
                        "row": {"type": ["integer", "null"]},
                    },
                    ["code", "message", "field", "row"],
                )
            },
            ["error"],
        ),
    }


def _field_schema(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = dict(field.kind.json_schema)
    if field.nullable:
        schema["type"] = [schema["type"], "null"]
    if field.role == "override":
        schema["description"] = "Looked up when not sent"
    return schema


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _get(name: str, summary: str) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": {"200": _json(summary, {"type": "object"})}}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}}
pre{{background:#f4f4f4;padding:1rem;overflow:auto;white-space:pre-wrap;word-break:break-all}}
td,th{{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid #ddd}}</style>
<h1>{name}</h1><p>Model {model}. Machine-readable: <a href="openapi.json">openapi.json</a>,
<a href="../{name}">signature</a>, <a href="health">health</a>.</p>
<h2>Try it</h2><pre>{curl}</pre>
<h2>Fields of a row</h2><p>1 to {max_rows} rows, as <code>{{"rows": [{{...}}]}}</code> or
<code>{{"columns": {{...}}}}</code>.</p>
<table><tr><th>field<th>send<th>when<th>null</tr>{rows}</table></html>
"""
