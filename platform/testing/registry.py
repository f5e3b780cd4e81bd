"""The registry's contract as tests that any database must pass: subclass and give it a `ws` fixture.

Example:
    >>> class TestSqlite(RegistryConformance):
    ...     pass
"""

from __future__ import annotations

import multiprocessing
import os
from datetime import UTC, datetime, timedelta
from threading import Barrier

from .. import registry
from ..core import Node, Workspace
from .registry_access import AccessContract
from .registry_governance import GovernanceContract
from .registry_lineage import LineageContract, same_thing, walk_by_hand
from .registry_models import ModelsContract
from .registry_operations import OperationsContract
from .registry_runs import RunsContract
from .registry_steps import finished
from .registry_tables import TablesContract
from .registry_tracking import TrackingContract
from .registry_versions import VersionsContract

__all__ = ["RegistryConformance", "same_thing", "walk_by_hand"]


class ProcessContract:
    """Several processes, forks, time."""

    def test_times_are_aware_utc_with_microseconds(self, ws: Workspace) -> None:
        before = datetime.now(UTC)
        run = finished(ws)
        after = datetime.now(UTC)
        assert run.ended_at is not None
        for moment in (run.created_at, run.ended_at, registry.run(ws, run.id).created_at):
            assert moment.utcoffset() == timedelta(0) and before <= moment <= after
        assert registry.run(ws, run.id) == run

    def test_processes_that_open_a_new_registry_at_once(self, ws: Workspace) -> None:
        context = multiprocessing.get_context("spawn")
        gate = context.Barrier(4)
        workers = [context.Process(target=_open_and_record, args=(ws, gate, n)) for n in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0] * 4
        assert [found.version for found in registry.table_versions(ws, "flights")] == [0, 1, 2, 3]

    def test_a_forked_child_takes_its_own_connection(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x")
        child = multiprocessing.get_context("fork").Process(target=_finish, args=(ws, run.id))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert registry.run(ws, run.id).status == "finished"
        assert registry.start_run(ws, "fit", "y").status == "running"

    def test_a_process_killed_inside_a_transaction_leaves_nothing(self, ws: Workspace) -> None:
        first = registry.record_event(ws, "before", Node("model", "m"))
        child = multiprocessing.get_context("fork").Process(target=_die_in_transaction, args=(ws,))
        child.start()
        child.join(30)
        assert child.exitcode == -9
        second = registry.record_event(ws, "after", Node("model", "m"))
        assert registry.events(ws) == [first, second]


class RegistryConformance(
    TablesContract,
    GovernanceContract,
    RunsContract,
    ModelsContract,
    VersionsContract,
    OperationsContract,
    LineageContract,
    AccessContract,
    ProcessContract,
    TrackingContract,
):
    """The whole contract. A subclass gives a `ws` fixture: a `Workspace` with a new registry for every test."""


def _open_and_record(ws: Workspace, gate: Barrier, version: int) -> None:
    gate.wait()
    registry.record_table(ws, "flights", version, rows=0, schema={}, operation="write")


def _finish(ws: Workspace, run_id: str) -> None:
    registry.finish_run(ws, run_id)


def _die_in_transaction(ws: Workspace) -> None:
    from ..registry.engine import now, writing
    from ..registry.schema import EventRow

    with writing(ws) as session:
        session.add(EventRow(kind="x", subject="model:lost", payload={}, created_at=now()))
        session.flush()
        os.kill(os.getpid(), 9)
