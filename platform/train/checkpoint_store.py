"""Checkpoints of a run in the storage root.

``<root>/runs/fit-<run>/checkpoint-<number>/`` holds the files and, written last, ``checkpoint.json`` with the size
and hash of each: without it there is no checkpoint, and with a file that differs there is none either. So a writer
that is killed, a full disk or a truncated file cost no more than the time since the checkpoint before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pyarrow.fs as pafs

from ..core import StorageError, Workspace, urls
from .background import Background
from .checkpoints import Checkpoints

INFO = "checkpoint.json"
_PREFIX = "checkpoint-"


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint.

    Attributes:
        run: Id of the run that saved it.
        number: Steps done when it was saved; it grows.
        state: What the loop needs to go on, such as epoch and step.
        metrics: The newest metrics at that moment.
        files: Size and hash of each file.
    """

    run: str
    number: int
    state: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{_PREFIX}{self.number:010d}"


class CheckpointStore:
    """The checkpoints of one run. Safe for one writing process and any number of readers.

    Example:
        >>> import tempfile
        >>> store = CheckpointStore(Workspace.open(tempfile.mkdtemp()), "r1")
        >>> store.put(Saved("r1", 5, {"epoch": 1}), {"weights": b"abc"})
        >>> store.newest().state, store.read(store.newest())
        ({'epoch': 1}, {'weights': b'abc'})
    """

    def __init__(self, ws: Workspace, run: str) -> None:
        self.run, self.url = run, urls.join(ws.runs_url, f"fit-{run}")
        self._files, self._path = urls.filesystem(self.url)

    def put(self, saved: Saved, files: Mapping[str, bytes]) -> None:
        """Write a checkpoint.

        Raises:
            StorageError: It cannot be written, such as on a full disk.
        """
        facts = {name: self.put_file(saved, name, content) for name, content in files.items()}
        self.complete(saved, facts)

    def put_file(self, saved: Saved, name: str, content: bytes) -> dict[str, Any]:
        """Write one file; returns what `complete` needs to know of it."""
        folder = f"{self._path}/{saved.folder}"
        try:
            self._files.create_dir(folder, recursive=True)
            with self._files.open_output_stream(f"{folder}/{name}") as stream:
                stream.write(content)
        except OSError as error:
            raise cannot_write(self, saved, error) from error
        return {"size": len(content), "sha256": sha256(content).hexdigest()}

    def complete(self, saved: Saved, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the written files a checkpoint."""
        info = {"number": saved.number, "state": saved.state, "metrics": _finite(saved.metrics), "files": dict(files)}
        self.put_file(saved, INFO, json.dumps(info).encode())

    def all(self) -> list[Saved]:
        """Complete checkpoints, the oldest first; their files may be damaged."""
        selector = pafs.FileSelector(self._path, allow_not_found=True)
        found = []
        for entry in self._files.get_file_info(selector):
            if entry.type == pafs.FileType.Directory and entry.base_name.startswith(_PREFIX):
                found.append(self._info(entry.base_name))
        return sorted((saved for saved in found if saved is not None), key=lambda saved: saved.number)

    def newest(self) -> Saved | None:
        """The newest checkpoint whose files are all there, whole and unchanged."""
        return next((saved for saved in reversed(self.all()) if self.read(saved) is not None), None)

    def read(self, saved: Saved) -> dict[str, bytes] | None:
        """The files of a checkpoint, or ``None`` when one is missing or differs from what was written."""
        found = {}
        for name, facts in saved.files.items():
            content = self._content(f"{saved.folder}/{name}")
            if content is None or sha256(content).hexdigest() != facts["sha256"]:
                return None
            found[name] = content
        return found

    def prune(self, settings: Checkpoints) -> None:
        """Remove all but the newest, and the best if `settings` names a metric."""
        found = self.all()
        kept = {saved.number for saved in found[-settings.keep :]}
        measured = [saved for saved in found if settings.best in saved.metrics] if settings.best else []
        if measured:
            sign = 1 if settings.higher_is_better else -1
            kept.add(max(measured, key=lambda saved: sign * saved.metrics[str(settings.best)]).number)
        for saved in found:
            if saved.number not in kept:
                # Its description first: what is left of a cut removal is no checkpoint.
                self._files.delete_file(f"{self._path}/{saved.folder}/{INFO}")
                self._files.delete_dir(f"{self._path}/{saved.folder}")

    def remove(self) -> None:
        """Remove everything of the run."""
        if self._files.get_file_info(self._path).type == pafs.FileType.Directory:
            self._files.delete_dir(self._path)

    def _info(self, folder: str) -> Saved | None:
        content = self._content(f"{folder}/{INFO}")
        try:
            return None if content is None else Saved(run=self.run, **json.loads(content))
        except (ValueError, TypeError):
            return None

    def _content(self, name: str) -> bytes | None:
        try:
            with self._files.open_input_stream(f"{self._path}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None


class Writer:
    """Writes checkpoints beside the training, one at a time; an error is raised by the next call."""

    def __init__(self, store: CheckpointStore, settings: Checkpoints) -> None:
        self._store, self._settings = store, settings
        self._background = Background()

    def write(self, saved: Saved, files: Mapping[str, bytes]) -> None:
        """Begin to write; waits for the one before, so that memory holds two at most."""
        self._background.begin(self._write, saved, files)

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            StorageError: It could not be.
        """
        self._background.wait()

    def _write(self, saved: Saved, files: Mapping[str, bytes]) -> None:
        self._store.put(saved, files)
        self._store.prune(self._settings)


def cannot_write(store: CheckpointStore, saved: Saved, error: BaseException) -> StorageError:
    """The error of a checkpoint that could not be written."""
    return StorageError(
        f"checkpoint {saved.number} of run {store.run} cannot be written to {store.url}: {error}. Free some space or "
        f"fix the storage, then go on with train.fit(..., resume={store.run!r})"
    )


def newest_of(ws: Workspace, *runs: str) -> tuple[Saved, dict[str, bytes]] | None:
    """The newest valid checkpoint of the first of `runs` that has one, with its files."""
    for run in runs:
        store = CheckpointStore(ws, run)
        for saved in reversed(store.all() if run else []):
            files = store.read(saved)
            if files is not None:
                return saved, files
    return None


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
