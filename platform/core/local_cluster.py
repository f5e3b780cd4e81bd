"""A Ray cluster on this machine that outlives the process: what `raylake up` starts and `raylake down` stops.

The head runs as `ray start --head --block` in a session of its own. Its process id and start time are written to
`<workspace>/cluster.json`, so that `stop_cluster` ends exactly this cluster and no other Ray process.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from . import urls
from .errors import ConfigError, StorageError
from .process import start_ticks
from .ray_session import LOCAL_ENVIRONMENT, logical_cpus, object_store_bytes, use_local_token
from .workspace import Workspace

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """A running local cluster.

    Attributes:
        pid: Process id of the head's supervisor.
        started: Start time of that process in clock ticks since boot; tells a reused process id.
        address: GCS address, ``host:port``.
        dashboard_url: URL of the Ray dashboard.
    """

    pid: int
    started: int
    address: str
    dashboard_url: str


def find_cluster(ws: Workspace) -> LocalCluster | None:
    """The cluster that `start_cluster` started for this workspace, if it still runs.

    Example:
        >>> import tempfile
        >>> find_cluster(Workspace.open(tempfile.mkdtemp())) is None
        True
    """
    if not urls.is_local(ws.root):
        return None
    try:
        cluster = LocalCluster(**json.loads(_state_file(ws).read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None
    return cluster if start_ticks(cluster.pid) == cluster.started else None


def start_cluster(ws: Workspace) -> LocalCluster:
    """Start a cluster for this workspace, or return the one that runs.

    Args:
        ws: A workspace on the local disk.

    Raises:
        ConfigError: The workspace is remote, or the head did not come up within a minute (its log is named).
        StorageError: The state file cannot be written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> cluster = start_cluster(ws)  # doctest: +SKIP
        >>> stop_cluster(ws)  # doctest: +SKIP
        True
    """
    if running := find_cluster(ws):
        return running
    if not urls.is_local(ws.root):
        raise ConfigError(
            f"workspace {ws.root} is remote: start its cluster with `ray start` or on Kubernetes, and set ray_address"
        )
    use_local_token()
    port, dashboard, agent = _free_ports(3)
    log = Path(ws.root) / "cluster.log"
    try:
        with log.open("wb") as out:
            process = subprocess.Popen(
                _command(port, dashboard, agent),
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
    except OSError as error:
        raise StorageError(f"{log} cannot be written: {error.strerror}. Free or unlock the disk") from error
    host = _wait_until_up(process, port, log)
    cluster = LocalCluster(process.pid, start_ticks(process.pid), f"{host}:{port}", f"http://127.0.0.1:{dashboard}")
    _state_file(ws).write_text(json.dumps(asdict(cluster)), encoding="utf-8")
    return cluster


def stop_cluster(ws: Workspace) -> bool:
    """Stop the cluster of this workspace and everything that runs on it.

    Returns:
        Whether a cluster was running.

    Example:
        >>> import tempfile
        >>> stop_cluster(Workspace.open(tempfile.mkdtemp()))
        False
    """
    cluster = find_cluster(ws)
    if cluster is None:
        return False
    os.kill(cluster.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while start_ticks(cluster.pid) == cluster.started:
        _reap(cluster.pid)
        if time.monotonic() > deadline:
            os.killpg(cluster.pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    _state_file(ws).unlink(missing_ok=True)
    return True


def _state_file(ws: Workspace) -> Path:
    return Path(ws.root) / "cluster.json"


def _reap(pid: int) -> None:
    """Collect the head when it is a child of this process, so that it does not stay as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _environment() -> dict[str, str]:
    """This process's environment; `python` of a submitted job is the interpreter that started the cluster."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**LOCAL_ENVIRONMENT, **os.environ, "RAY_AUTH_MODE": "token", "PATH": path}


def _command(port: int, dashboard: int, agent: int) -> list[str]:
    return [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--head",
        "--block",
        f"--port={port}",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={agent}",
        f"--num-cpus={logical_cpus()}",
        f"--object-store-memory={object_store_bytes()}",
        "--disable-usage-stats",
    ]


def _wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> str:
    """Wait for the line that `ray start` prints when the node is registered; return the node's address."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        text = log.read_text(encoding="utf-8", errors="replace")
        if "Ray runtime started" in text:
            return _node_host(text)
        time.sleep(0.1)
    if process.poll() is None:
        process.terminate()
    tail = log.read_text(encoding="utf-8", errors="replace")[-500:]
    raise ConfigError(f"the local Ray cluster did not come up on port {port}; the end of {log}:\n{tail}")


def _node_host(text: str) -> str:
    found = re.search(r"Local node IP.*?(\d+\.\d+\.\d+\.\d+)", text)
    return found.group(1) if found else "127.0.0.1"
