"""Servers that the connectors' tests read from."""

from __future__ import annotations

from tests.postgres import server
from tests.stream_servers import nats_server, redis_server

__all__ = ["nats_server", "redis_server", "server"]
