"""Configured sources on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from raylake import registry
from raylake.core import ConfigError, DataError, InvalidName, NotFound, Workspace


def test_a_change_grows_the_revision_and_keeps_the_status(any_ws: Workspace) -> None:
    first = registry.save_source(any_ws, "trips", {"every": "5m"})
    assert (first.revision, first.status, first.error, first.last_run_at) == (1, "active", "", None)
    assert registry.save_source(any_ws, "trips", {"every": "5m"}) == first
    assert registry.set_source_status(any_ws, "trips", "paused").status == "paused"
    changed = registry.save_source(any_ws, "trips", {"every": "1h"})
    assert (changed.revision, changed.status, changed.definition) == (2, "paused", {"every": "1h"})
    assert registry.source_records(any_ws, status="active") == []
    assert registry.source_records(any_ws) == [changed]


def test_runs_are_noted_and_a_change_clears_the_error(any_ws: Workspace) -> None:
    registry.save_source(any_ws, "trips", {"n": 1})
    registry.record_source_run(any_ws, "trips", error="no such file")
    found = registry.source_record(any_ws, "trips")
    assert found.error == "no such file" and found.last_run_at is not None and found.last_run_at.tzinfo is not None
    assert registry.save_source(any_ws, "trips", {"n": 2}).error == ""


def test_what_is_wrong_is_named(any_ws: Workspace) -> None:
    with pytest.raises(InvalidName):
        registry.save_source(any_ws, "../x", {})
    with pytest.raises(DataError):
        registry.save_source(any_ws, "x", {"a": object()})
    registry.save_source(any_ws, "x", {})
    with pytest.raises(ConfigError, match="active, paused"):
        registry.set_source_status(any_ws, "x", "asleep")
    registry.delete_source(any_ws, "x")
    with pytest.raises(NotFound, match="sources: none"):
        registry.delete_source(any_ws, "x")


def test_changes_from_many_threads_are_all_counted(any_ws: Workspace) -> None:
    registry.save_source(any_ws, "trips", {"n": -1})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: registry.record_source_run(any_ws, "trips", error=str(n)), range(20)))
    assert registry.source_record(any_ws, "trips").revision == 1
