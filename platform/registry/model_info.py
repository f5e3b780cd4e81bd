"""What a model's folder says about itself: its `model.json`."""

from __future__ import annotations

import json
from typing import Any

from ..core import ArtifactCorrupt, Workspace
from .artifacts import get_bytes
from .records import ModelVersion

INFO_FILE = "model.json"


def model_info(ws: Workspace, version: ModelVersion) -> dict[str, Any]:
    """The content of `model.json`; empty for a model of another make, or whose folder is gone.

    Example:
        >>> import tempfile
        >>> from raylake.registry import register_artifact
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> model_info(ws, register_artifact(ws, "0" * 64, name="flight-delay"))
        {}
    """
    try:
        manifest = json.loads(get_bytes(ws, version.artifact))
        found = json.loads(get_bytes(ws, manifest[INFO_FILE]["sha256"]))
    except (ArtifactCorrupt, ValueError, LookupError, TypeError):
        # A comparison or a card is worth reading without it.
        return {}
    return found if isinstance(found, dict) else {}
