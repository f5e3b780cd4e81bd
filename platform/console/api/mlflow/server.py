"""What the server says of itself."""

from __future__ import annotations

from importlib.metadata import version

from ....core import Workspace
from .endpoint import Endpoint, Message


def _info(ws: Workspace, message: Message) -> Message:
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": True,
        # Clients then send large files in parts, side by side. Downloads in parts would need ranges: not offered.
        "multipart_uploads_enabled": True,
        "multipart_downloads_enabled": False,
        "raylake_version": version("raylake"),
    }


SERVER = (Endpoint("GET", "/3.0/mlflow/server-info", _info),)
