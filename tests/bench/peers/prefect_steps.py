"""Prefect on the same chain of steps, with its own local server and SQLite.

Its local server refuses (503) the run after a map over 1,000 tasks here, so the wide map has no figure of it.
"""

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

CHAIN = int(sys.argv[1])


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


logging.disable(logging.CRITICAL)
emit([timed("a step of a chain", "Prefect (local server, SQLite)", lambda: chain(0), per=CHAIN, unit="us")])
