"""Cursors against a simple model: files come, go, are touched; a process dies before or after a commit."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from raylake import data
from raylake.core import SourceError, Workspace

commits = importlib.import_module("raylake.data.commits")


class Died(BaseException):
    """Stands for SIGKILL: nothing handles it but what handles everything."""


class FilesAndCrashes(RuleBasedStateMachine):
    """The table always holds what was in a file when an ingest that committed looked, each row once."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name)
        self.raw = place / "raw"
        self.raw.mkdir()
        self.ws = Workspace.open(place / "lake", registry_url="", online_url="")
        self.source = data.Source("t", data.Json(str(self.raw / "*.jsonl")), schema={"n": "int64"})
        self.files: dict[str, list[int]] = {}
        self.table: list[int] = []
        self.read: set[str] = set()
        self.count = 0

    @rule(rows=st.integers(1, 3))
    def add(self, rows: int) -> None:
        name = f"{len(self.read) + len(self.files)}-{self.count}.jsonl"
        self.files[name] = list(range(self.count, self.count + rows))
        self.count += rows
        (self.raw / name).write_text("".join(f'{{"n": {n}}}\n' for n in self.files[name]))

    @precondition(lambda self: self.files)
    @rule(which=st.integers(0, 99))
    def remove(self, which: int) -> None:
        name = sorted(self.files)[which % len(self.files)]
        (self.raw / name).unlink()
        del self.files[name]

    @precondition(lambda self: self.files)
    @rule(which=st.integers(0, 99), when=st.integers(1, 2**30))
    def touch(self, which: int, when: int) -> None:
        import os

        os.utime(self.raw / sorted(self.files)[which % len(self.files)], (when, when))

    @precondition(lambda self: set(self.files) & self.read)
    @rule()
    def change(self) -> None:
        name = sorted(set(self.files) & self.read)[0]
        before = (self.raw / name).read_text()
        (self.raw / name).write_text(before + '{"n": -1}\n')
        try:
            data.ingest(self.ws, self.source)
            raise AssertionError("a changed file was accepted")
        except SourceError as error:
            assert "changed after it was ingested" in str(error)
        (self.raw / name).write_text(before)

    @precondition(lambda self: self.files)
    @rule(fate=st.sampled_from(["lives", "lives", "before", "after"]))
    def ingest(self, fate: str) -> None:
        original = commits._commit_once

        def deadly(*arguments: object) -> None:
            if fate == "before":
                raise Died
            original(*arguments)
            if fate == "after":
                raise Died

        news = [name for name in self.files if name not in self.read]
        commits._commit_once = deadly
        try:
            data.ingest(self.ws, self.source)
        except Died:
            pass
        finally:
            commits._commit_once = original
        if fate != "before":
            self.table += [row for name in news for row in self.files[name]]
            self.read |= set(news)

    @invariant()
    def every_row_is_there_once(self) -> None:
        found = data.table(self.ws, "t")["n"].to_pylist() if data.exists(self.ws, "t") else []
        assert sorted(found) == sorted(self.table)

    def teardown(self) -> None:
        self.folder.cleanup()


TestFilesAndCrashes = FilesAndCrashes.TestCase
TestFilesAndCrashes.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
