"""What only a PostgreSQL server can do wrong."""

from __future__ import annotations

import dataclasses
import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from raylake import registry
from raylake.core import StorageError, Workspace
from raylake.registry import engine


def test_the_plain_scheme_takes_our_driver(server: Any, tmp_path: Path) -> None:
    url = server.url(server.new_database()).replace("+psycopg", "")
    ws = Workspace.open(tmp_path, registry_url=url)
    assert registry.tables(ws) == []


def test_no_message_shows_the_password(server: Any, ws: Workspace) -> None:
    good = server.url("postgres")
    for wrong, secret in (
        (good.replace("s3cret", "hunter2"), "hunter2"),
        (good.replace(f":{server.port}", ":1"), "s3cret"),
        (server.url("missing"), "s3cret"),
        (good.replace(":s3cret-of-the-tests@", "@") + "?password=hunter2", "hunter2"),
    ):
        with pytest.raises(StorageError, match=r"127\.0\.0\.1") as caught:
            registry.tables(dataclasses.replace(ws, registry_url=wrong))
        assert secret not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_restarts(server: Any, postgres_ws: Workspace) -> None:
    registry.start_run(postgres_ws, "fit", "before")
    server.stop()
    with pytest.raises(StorageError, match="Check that it is reachable"):
        registry.runs(postgres_ws)
    server.start()
    assert [run.name for run in registry.runs(postgres_ws)] == ["before"]


def test_a_read_only_database(server: Any, postgres_ws: Workspace) -> None:
    registry.start_run(postgres_ws, "fit", "before")
    name = postgres_ws.registry_url.rpartition("/")[2]
    with engine.writing(postgres_ws) as session:
        session.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    engine.raw_engine(postgres_ws.registry_url, os.getpid()).dispose()
    with pytest.raises(StorageError, match="read-only transaction"):
        registry.start_run(postgres_ws, "fit", "lost")
    assert len(registry.runs(postgres_ws)) == 1
