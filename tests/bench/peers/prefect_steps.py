"""Prefect on the same graphs, with its own local server and SQLite: chain.py's fifty steps, a map over a list."""

from __future__ import annotations

import logging
import os
import sys
import tempfile

os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="bench-prefect-")
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"

from figures import emit, timed
from prefect import flow, task

CHAIN, WIDE = int(sys.argv[1]), int(sys.argv[2])


@task
def one(n: int) -> int:
    """Hardly any work."""
    return n + 1


@flow
def chain(n: int) -> int:
    """Steps one after the other."""
    for _ in range(CHAIN):
        n = one(n)
    return n


@flow
def wide(n: int) -> list[int]:
    """A map over a list."""
    return one.map(list(range(n))).result()


logging.disable(logging.CRITICAL)
emit(
    [
        timed("a step of a chain", "Prefect (local server, SQLite)", lambda: chain(0), per=CHAIN, unit="us"),
        timed(f"{WIDE:,} parallel steps", "Prefect (local server, SQLite)", lambda: wide(WIDE), repeat=1),
    ]
)
