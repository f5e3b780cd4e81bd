"""Makes `feature_cases` importable by name, as a module that serving would import; the session's Redis server."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.stream_servers import redis_server  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
