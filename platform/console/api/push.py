"""Push over HTTP: events for configured sources, behind the same door as everything else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from ...core import Workspace
from ..context import current_workspace

if TYPE_CHECKING:
    from ...data.push import PushDoor

router = APIRouter(tags=["push"])


class PushDoors:
    """The doors of a server's workspaces, each opened by its first event."""

    def __init__(self) -> None:
        self._open: dict[Workspace, PushDoor] = {}
        self._lock = threading.Lock()

    def of(self, ws: Workspace) -> PushDoor:
        """The door of a workspace."""
        with self._lock:
            if ws not in self._open:
                # Here and not above: a server without pushed events loads nothing of the data layer.
                from ...data.push import PushDoor

                self._open[ws] = PushDoor(ws)
            return self._open[ws]

    def close(self) -> None:
        """End their threads and close their logs; what is in a log is ingested at the next start."""
        with self._lock:
            doors, self._open = list(self._open.values()), {}
        for door in doors:
            door.close()


@router.post(
    "/api/raylake/events/{source}",
    summary="Send events to a source",
    responses={404: {"description": "No such source"}, 422: {"description": "An event does not fit"}},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
)
async def push(source: Annotated[str, Path(max_length=200)], request: Request) -> Response:
    """Answers when every event is on the disk."""
    doors: PushDoors = request.app.state.push
    return await doors.of(current_workspace(request)).answer(request)
