"""The Ray session: join the cluster that runs, else start a local one sized for this machine.

Ray is imported inside the functions, so that `import raylake.core` stays light.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import ConfigError
from .workspace import Workspace

GIB = 1024**3
# Logical CPUs are Ray's admission tickets, not cores. An idle Serve replica or a Tune controller holds one while
# it computes nothing, so a machine with two cores needs more tickets than cores, or training waits for serving.
MINIMUM_LOGICAL_CPUS = 6

# Read by Ray's own processes when they start; anything that the user set stays.
LOCAL_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "1",
    # OpenMP threads that spin while they wait take the cores from everybody else on a small machine.
    "OMP_WAIT_POLICY": "passive",
}


@dataclass(frozen=True, slots=True)
class RaySession:
    """What was joined or started.

    Attributes:
        address: GCS address, ``host:port``.
        dashboard_url: URL of the Ray dashboard, or ``""`` when it does not run.
        started: Whether this process started the cluster (and so stops it when it ends).
        cpus: Logical CPUs of the cluster.
        gpus: GPUs of the cluster.
    """

    address: str
    dashboard_url: str
    started: bool
    cpus: float
    gpus: float


def ensure_ray(ws: Workspace) -> RaySession:
    """Connect this process to Ray, once; later calls return the same session's facts.

    Inside a Ray job or worker this joins the cluster that runs it. Otherwise `ws.ray_address` decides: ``auto``
    joins a cluster that was started with ``ray start`` on this machine or is named by ``RAY_ADDRESS``, else starts
    a local one; ``local`` always starts one; anything else is an address to join.

    Raises:
        ConfigError: Nothing answers at the given address.

    Example:
        >>> session = ensure_ray(ws)
        >>> session.cpus >= 2, session.started  # it ran already
        (True, False)
    """
    import ray

    if ray.is_initialized():
        return _describe(started=False)
    for key, value in LOCAL_ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    _expect_token()
    if ws.ray_address == "local":
        _start(ws)
        return _describe(started=True)
    address = _own_cluster(ws) if ws.ray_address == "auto" else ws.ray_address
    named = os.environ.get("RAY_ADDRESS") or (address if address != "auto" else "")
    known = named or _remembered()
    if known and _answers(known):
        try:
            ray.init(address=address, namespace=ws.name, logging_level=logging.WARNING, log_to_driver=False)
            return _describe(started=False)
        except ConnectionError as error:
            if named:
                raise _no_answer(named) from error
    elif named:
        raise _no_answer(named)
    _start(ws)
    return _describe(started=True)


@contextmanager
def ray_session(ws: Workspace) -> Iterator[RaySession]:
    """`ensure_ray` for a block of code; on exit a cluster that this block started is stopped, a joined one is not.

    Example:
        >>> with ray_session(ws) as session:
        ...     print(session.dashboard_url)
        http://127.0.0.1:...
    """
    import ray

    already = ray.is_initialized()
    session = ensure_ray(ws)
    try:
        yield session
    finally:
        if not already:
            ray.shutdown()


def _answers(address: str) -> bool:
    """Whether something listens there. Asked first: Ray ends the process, or tries for minutes, when nothing does."""
    host, _, port = address.rpartition(":")
    if "//" in address or not port.isdecimal():
        return True  # no host and port: Ray says what it thinks of it
    try:
        socket.create_connection((host, int(port)), timeout=10.0).close()
    except OSError:
        return False
    return True


def _remembered() -> str:
    """The address of the cluster that was started last on this machine, or ``""``; it may have been killed since."""
    from ray._private.services import get_ray_address_from_environment

    try:
        return str(get_ray_address_from_environment("auto", None))
    except ConnectionError:
        return ""


def _no_answer(address: str) -> ConfigError:
    return ConfigError(
        f"no Ray cluster answers at {address!r}: start one with `ray start --head`, "
        "or set ray_address to 'local' (unset RAY_ADDRESS)"
    )


def _own_cluster(ws: Workspace) -> str:
    """The cluster that `raylake up` started for this workspace wins over any other on the machine."""
    from .local_cluster import find_cluster

    own = None if os.environ.get("RAY_ADDRESS") else find_cluster(ws)
    if own is None:
        return "auto"
    use_local_token()
    return own.address


def use_local_token() -> None:
    """Authenticate with this user's Ray token, creating it when there is none.

    Ray does this by itself for clusters that `ray.init` starts or finds, not for an explicit address or for
    `ray start`, which then runs unprotected.
    """
    from ray._private.authentication import authentication_token_setup as setup

    _expect_token()
    setup.enable_token_auth_by_default()
    setup.ensure_token_if_auth_enabled(None, create_token_if_missing=True)


def _expect_token() -> None:
    """Keep Ray's notice that it uses a token off the terminal; that it uses none is still told."""
    logging.getLogger("ray._private.authentication.authentication_token_setup").addFilter(_is_no_token_notice)


def _is_no_token_notice(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Token authentication is enabled")


def _start(ws: Workspace) -> None:
    import ray

    ray.init(
        address="local",
        num_cpus=logical_cpus(),
        object_store_memory=object_store_bytes(),
        namespace=ws.name,
        include_dashboard=True,
        logging_level=logging.WARNING,
        log_to_driver=False,
    )


def logical_cpus() -> int:
    """CPUs that a local cluster offers: the machine's, but at least `MINIMUM_LOGICAL_CPUS`."""
    return max(MINIMUM_LOGICAL_CPUS, os.cpu_count() or 1)


def object_store_bytes() -> int:
    """A fifth of the memory, between 256 MiB and 4 GiB, and never more than the shared memory that is free."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted = min(max(total // 5, GIB // 4), 4 * GIB)
    shared = Path("/dev/shm")
    if not shared.is_dir():
        return wanted
    facts = os.statvfs(shared)
    return max(min(wanted, int(facts.f_bavail * facts.f_frsize * 0.8)), GIB // 10)


def _describe(*, started: bool) -> RaySession:
    import ray
    from ray._private.worker import get_dashboard_url

    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    url = get_dashboard_url() or ""  # type: ignore[no-untyped-call]
    return RaySession(
        address=ray.get_runtime_context().gcs_address,
        dashboard_url=f"http://{url}" if url else "",
        started=started,
        cpus=resources.get("CPU", 0.0),
        gpus=resources.get("GPU", 0.0),
    )
