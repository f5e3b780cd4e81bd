"""The artifacts proxy: list, get, put, delete, and uploads in parts. Bodies stream; memory stays constant.

Files are answered as downloads that a browser neither shows nor guesses about: a stored page never runs here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ....core import DataError, NotFound, RaylakeError, Workspace
from ....registry import (
    ArtifactEntry,
    Incoming,
    add_artifact,
    check_path,
    drop_parts,
    find_artifact,
    join_parts,
    list_artifacts,
    part_name,
    read_artifact,
    remove_artifact,
    start_upload,
)
from ...context import current_workspace
from .endpoint import PREFIXES
from .errors import failure

_ROOT = "/2.0/mlflow-artifacts"
_PIECE = 1 << 20
_MOST_JSON = 8 << 20
_OF_THE_CALLER = ("authorization", "x-mlflow-workspace")
_SAFE = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment", "Accept-Ranges": "none"}
Answer = Callable[[Workspace, Request], Awaitable[Response]]


def routes() -> list[Route]:
    """Starlette routes of the proxy, below each prefix."""
    table: tuple[tuple[str, str, Answer], ...] = (
        ("GET", "/artifacts", _list),
        ("GET", "/artifacts/{path:path}", _download),
        ("PUT", "/artifacts/{path:path}", _upload),
        ("DELETE", "/artifacts/{path:path}", _remove),
        ("POST", "/mpu/create/{path:path}", _create_upload),
        ("PUT", "/mpu/part/{upload}/{number:int}", _upload_part),
        ("POST", "/mpu/complete/{path:path}", _complete_upload),
        ("POST", "/mpu/abort/{path:path}", _abort_upload),
    )
    return [
        Route(prefix + _ROOT + path, _guarded(answer), methods=[method], include_in_schema=False)
        for method, path, answer in table
        for prefix in PREFIXES
    ]


def file_info(entry: ArtifactEntry, path: str) -> dict[str, Any]:
    """MLflow's FileInfo of an entry, under the given path."""
    if entry.digest is None:
        return {"path": path, "is_dir": True}
    return {"path": path, "is_dir": False, "file_size": entry.size}


def _guarded(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        try:
            return await answer(current_workspace(request), request)
        except RaylakeError as error:
            return failure(error)

    return respond


async def _list(ws: Workspace, request: Request) -> Response:
    folder = request.query_params.get("path", "").rstrip("/")
    entries = await run_in_threadpool(list_artifacts, ws, folder)
    return _json({"files": [file_info(entry, entry.name) for entry in entries]})


async def _download(ws: Workspace, request: Request) -> Response:
    entry = await run_in_threadpool(find_artifact, ws, request.path_params["path"])
    if entry.digest is None:
        raise NotFound(f"artifact path {entry.path!r} is a folder: list it and download its files")
    pieces = read_artifact(ws, entry.digest)
    # The first piece is read here: a missing file is an error with a status, not a broken body.
    first = await run_in_threadpool(next, pieces, b"")
    headers = {**_SAFE, "Content-Length": str(entry.size), "ETag": f'"{entry.digest}"'}
    body = iterate_in_threadpool(_chain(first, pieces))
    return StreamingResponse(body, headers=headers, media_type="application/octet-stream")


async def _upload(ws: Workspace, request: Request) -> Response:
    path = check_path(request.path_params["path"])
    incoming = await _receive(ws, request.stream())
    digest = await run_in_threadpool(incoming.finish)
    await run_in_threadpool(add_artifact, ws, path, digest, incoming.size)
    return _json({})


async def _remove(ws: Workspace, request: Request) -> Response:
    await run_in_threadpool(remove_artifact, ws, request.path_params["path"].rstrip("/"))
    return _json({})


async def _create_upload(ws: Workspace, request: Request) -> Response:
    body = await _body(request)
    check_path(_target(request, body))
    count, upload = _whole(body.get("num_parts", 1)), start_upload()
    part_name(upload, count)
    base = f"{request.base_url}api{_ROOT}/mpu/part/{upload}".replace("//api", "/api")
    # The client sends nothing of its own with a part: it needs the token and the workspace that it came with.
    headers = {
        name: request.headers[name] for name in ("authorization", "x-mlflow-workspace") if name in request.headers
    }
    parts = [{"url": f"{base}/{number}", "part_number": number, "headers": headers} for number in range(1, count + 1)]
    return _json({"upload_id": upload, "credentials": parts})


async def _upload_part(ws: Workspace, request: Request) -> Response:
    name = part_name(request.path_params["upload"], request.path_params["number"])
    incoming = await _receive(ws, request.stream())
    digest = await run_in_threadpool(incoming.keep, name)
    return Response(status_code=200, headers={"ETag": f'"{digest}"'})


async def _complete_upload(ws: Workspace, request: Request) -> Response:
    body = await _body(request)
    path = check_path(_target(request, body))
    listed = body.get("parts", [])
    if not isinstance(listed, list) or not all(isinstance(part, dict) for part in listed):
        raise DataError("Invalid value for parameter 'parts': send a list of objects with part_number and etag")
    parts = {_whole(part.get("part_number")): str(part.get("etag", "")) for part in listed}
    digest, size = await run_in_threadpool(join_parts, ws, body.get("upload_id", ""), parts)
    await run_in_threadpool(add_artifact, ws, path, digest, size)
    return _json({})


async def _abort_upload(ws: Workspace, request: Request) -> Response:
    body = await _body(request)
    await run_in_threadpool(drop_parts, ws, body.get("upload_id", ""))
    return _json({})


async def _receive(ws: Workspace, stream: AsyncIterator[bytes]) -> Incoming:
    incoming = await run_in_threadpool(Incoming, ws)
    buffer = bytearray()
    try:
        async for chunk in stream:
            buffer += chunk
            if len(buffer) >= _PIECE:
                await run_in_threadpool(incoming.write, bytes(buffer))
                buffer.clear()
        await run_in_threadpool(incoming.write, bytes(buffer))
    except BaseException:  # also of a client that goes away
        incoming.discard()
        raise
    return incoming


async def _body(request: Request) -> dict[str, Any]:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MOST_JSON:
            raise DataError(f"The request body is longer than {_MOST_JSON} bytes: send fewer parts")
    try:
        found = orjson.loads(bytes(data) or b"{}")
    except orjson.JSONDecodeError as error:
        raise DataError(f"The request body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"The request body is a {type(found).__name__}: send a JSON object")
    return found


def _target(request: Request, body: Mapping[str, Any]) -> str:
    """Where the file shall lie: the folder of the URL and the name of the client's local file."""
    folder = request.path_params["path"].rstrip("/")
    name = str(body.get("path", "")).replace("\\", "/").rpartition("/")[2]
    return f"{folder}/{name}" if folder else name


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"Invalid value {value!r:.100} for a number of parts: send a whole number") from error


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _json(found: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(found), media_type="application/json")
