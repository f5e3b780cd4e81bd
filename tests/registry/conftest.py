"""Fixtures of the registry's tests: a new database for every test, disks that fail."""

from __future__ import annotations

import dataclasses
import os
import pwd
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.postgres import Server, server

from raylake.core import Workspace

__all__ = ["server"]


@pytest.fixture
def postgres_ws(ws: Workspace, server: Server) -> Workspace:
    """A workspace whose registry is a new database."""
    return dataclasses.replace(ws, registry_url=server.url(server.new_database()))


@pytest.fixture(params=["sqlite", "postgres"])
def any_ws(request: pytest.FixtureRequest, ws: Workspace) -> Workspace:
    """A new workspace on each kind of registry."""
    return ws if request.param == "sqlite" else request.getfixturevalue("postgres_ws")


@contextmanager
def full_disk(limit: int = 4096) -> Iterator[None]:
    """No file may grow beyond `limit` bytes: a write fails halfway, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing below `folder` may be written; root, whom permissions do not stop, becomes another user meanwhile."""
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(user)
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)


@pytest.fixture
def open_ws() -> Iterator[Workspace]:
    """A workspace in a folder that every user may enter (pytest's own may not be)."""
    folder = Path(tempfile.mkdtemp(prefix="raylake-registry-"))
    folder.chmod(0o755)
    yield Workspace.open(folder / "lake", registry_url="", online_url="")
    shutil.rmtree(folder)


@pytest.fixture
def disk() -> SimpleNamespace:
    """Faults of a disk, as context managers: `full(limit)`, `read_only(folder)`."""
    return SimpleNamespace(full=full_disk, read_only=read_only)
