"""The collector removes what nothing refers to, and nothing else, whatever writers do meanwhile."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raylake import registry
from raylake.core import ArtifactCorrupt, DataError, Workspace

NOW = timedelta(0)
STEP = st.tuples(
    st.sampled_from(["put", "add", "snapshot", "register", "remove", "delete", "collect"]), st.integers(0, 5)
)


def stored(ws: Workspace) -> set[str]:
    return {path.name for path in (Path(ws.artifacts_url) / "sha256").rglob("*") if path.is_file()}


def test_bytes_freed_are_reported_and_the_young_stay(any_ws: Workspace) -> None:
    kept, lost = registry.put_bytes(any_ws, b"kept"), registry.put_bytes(any_ws, b"forgotten")
    registry.add_artifact(any_ws, "a", kept, 4)
    assert registry.collect_garbage(any_ws).removed == 0
    assert registry.collect_garbage(any_ws, older_than=NOW, dry_run=True).freed == 9 and lost in stored(any_ws)
    found = registry.collect_garbage(any_ws, older_than=NOW)
    assert (found.removed, found.freed, found.kept, stored(any_ws)) == (1, 9, 1, {kept})
    with pytest.raises(DataError, match="negative"):
        registry.collect_garbage(any_ws, older_than=timedelta(seconds=-1))


def test_every_kind_of_reference_counts(any_ws: Workspace, tmp_path: Path) -> None:
    for name in ("run", "version", "report", "tag"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    folders = {name: registry.put_folder(any_ws, tmp_path / name) for name in ("run", "version", "tag")}
    registry.finish_run(any_ws, registry.start_run(any_ws, "fit", "x").id, artifact=folders["run"])
    registry.register_artifact(any_ws, folders["version"], name="delay")
    registry.start_run(any_ws, "fit", "y", tags={"note": f"see {folders['tag']} there"})
    event = registry.put_bytes(any_ws, b"event")
    node = registry.model_version(any_ws, "delay").node
    registry.record_event(any_ws, "stored", node, {"deep": [{"digest": event}]})
    before = stored(any_ws)
    assert registry.collect_garbage(any_ws, older_than=NOW).removed == 0 and stored(any_ws) == before
    registry.delete_version(any_ws, "delay", 1)
    assert registry.collect_garbage(any_ws, older_than=NOW).removed == 2


def test_a_folder_that_cannot_be_read_stops_it(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "f").write_text("weights")
    digest = registry.put_folder(ws, tmp_path / "m")
    registry.register_artifact(ws, digest, name="delay")
    Path(registry.locate(ws, digest)).write_text('{"f": ')
    with pytest.raises(ArtifactCorrupt):
        registry.collect_garbage(ws, older_than=NOW)
    assert len(stored(ws)) == 2


def test_leftovers_of_killed_writers_go(ws: Workspace) -> None:
    registry.Incoming(ws).write(b"half")
    assert registry.collect_garbage(ws).removed == 0
    assert registry.collect_garbage(ws, older_than=NOW).freed in (0, 4)
    assert not [path for path in Path(ws.artifacts_url).rglob("*") if path.is_file()]


def test_storing_again_makes_young(ws: Workspace) -> None:
    digest = registry.put_bytes(ws, b"old")
    past = time.time() - 7 * 86400
    os.utime(registry.locate(ws, digest), (past, past))
    assert registry.collect_garbage(ws, dry_run=True).removed == 1
    registry.put_bytes(ws, b"old")
    assert registry.collect_garbage(ws).removed == 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=14))
def test_what_is_referred_to_is_never_removed(ws: Workspace, steps: list[tuple[str, int]]) -> None:
    """Against a model: the digests that a reader may ask for."""
    registry.remove_artifact(ws, "t")
    versions: list[tuple[int, str]] = []
    tree: dict[int, str] = {}
    known = {str(each): each.artifact for each in registry.model_versions(ws, "m")}
    for what, number in steps:
        content = f"content {number}".encode()
        if what == "put":
            registry.put_bytes(ws, content)
        elif what == "add":
            tree[number] = registry.put_bytes(ws, content)
            registry.add_artifact(ws, f"t/{number}", tree[number], len(content))
        elif what == "remove" and number in tree:
            registry.remove_artifact(ws, f"t/{number}")
            del tree[number]
        elif what == "register" and tree:
            made = registry.register_artifact(ws, registry.snapshot_artifacts(ws, "t"), name="m")
            versions.append((made.version, made.artifact))
        elif what == "delete" and versions:
            registry.delete_version(ws, "m", versions.pop(number % len(versions))[0])
        elif what == "collect":
            registry.collect_garbage(ws, older_than=NOW)
    registry.collect_garbage(ws, older_than=NOW)
    wanted = set(tree.values())
    for artifact in [*known.values(), *(artifact for _, artifact in versions)]:
        listed = json.loads(registry.get_bytes(ws, artifact))
        wanted |= {artifact, *(entry["sha256"] for entry in listed.values())}
    assert stored(ws) == wanted
    for digest in wanted:
        registry.get_bytes(ws, digest)


def _write(ws: Workspace, seed: int, seconds: float) -> None:
    """Store and record the same few contents again and again; each must be there as long as it is recorded."""
    end, turn = time.monotonic() + seconds, seed
    while time.monotonic() < end:
        turn += 1
        content = f"shared {turn % 4}".encode()
        registry.add_artifact(ws, f"w{seed}/x", registry.put_bytes(ws, content), len(content))
        entry = registry.find_artifact(ws, f"w{seed}/x")
        assert registry.get_bytes(ws, entry.digest or "") == content
        registry.remove_artifact(ws, f"w{seed}/x")


def test_writers_run_at_the_same_time(ws: Workspace) -> None:
    registry.tables(ws)
    writers = [multiprocessing.get_context("fork").Process(target=_write, args=(ws, n, 4.0)) for n in range(3)]
    for writer in writers:
        writer.start()
    removed = 0
    while any(writer.is_alive() for writer in writers):
        removed += registry.collect_garbage(ws, older_than=timedelta(milliseconds=700)).removed
    assert [writer.exitcode for writer in writers] == [0] * 3
    time.sleep(0.8)
    removed += registry.collect_garbage(ws, older_than=timedelta(milliseconds=700)).removed
    assert removed >= 4 and stored(ws) == set()
