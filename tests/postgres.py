"""A PostgreSQL server of the tests' own; imported by the folders whose tests use one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

PASSWORD = "s3cret-of-the-tests"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server that the tests started, on loopback."""

    binaries: Path
    folder: Path
    port: int

    def run(self, tool: str, *arguments: str) -> None:
        """Run one of PostgreSQL's tools; as root, which it refuses, as the user postgres."""
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*user, str(self.binaries / tool), *arguments]
        # Not captured: the server would keep a pipe open.
        with (self.folder / "tools.log").open("ab") as log:
            subprocess.run(command, check=True, cwd=self.folder, stdout=log, stderr=log)

    def start(self) -> None:
        options = (
            f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off -c max_connections=300 -c timezone=Asia/Tokyo"
        )
        log = str(self.folder / "server.log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template1") -> str:
        """A new database, as a copy of another one that nobody is connected to."""
        name = f"t{uuid4().hex}"
        with psycopg.connect(self.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return name


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The PostgreSQL server of the session; Debian keeps its programs outside of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("pg_ctl") or "pg_ctl").parent]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Not below pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="raylake-pg-"))
    (folder / "password").write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder / "password", folder):
            shutil.chown(path, "postgres")
    running = Server(found[-1], folder, port)
    running.run(
        "initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "-N",
        f"--pwfile={folder / 'password'}",
    )  # fmt: skip
    running.start()
    yield running
    running.stop()
    shutil.rmtree(folder)
