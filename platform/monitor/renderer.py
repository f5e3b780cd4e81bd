"""The process that renders reports, seen from outside: started when needed, fed one report after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.closing import Closing
from . import render

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rendered:
    """What became of one rendering.

    Attributes:
        html: The page, empty when it failed.
        json: evidently's figures, empty when it failed.
        skipped: Columns left out because one side has no value.
        error: Why it failed, empty when it did not.
    """

    html: bytes = b""
    json: bytes = b""
    skipped: tuple[str, ...] = ()
    error: str = ""


class Renderer(Closing):
    """A live handle on one rendering process, for as many reports as you like; close it when done.

    The process starts with the first report and works beside the caller. Reports are rendered in the order they
    were given. A process that dies fails the report it was at; the next report starts a new one. Thread-safe.

    Args:
        seconds: After this long a rendering is ended and counts as failed; default 120.
        command: The command that renders; for tests.

    Example:
        >>> table = pa.table({"x": [1.0, 2.0]})
        >>> with Renderer() as renderer:
        ...     renderer.submit(table, table).result().error
        ''
        >>> with Renderer(command=("false",)) as renderer:
        ...     renderer.submit(table, table).result().error
        'the rendering process exited with 1: it said nothing'
    """

    def __init__(self, *, seconds: float = 120.0, command: tuple[str, ...] = ()) -> None:
        # by its path, not by its name: the package would import much that rendering does not need
        self._command = command or (sys.executable, "-P", str(Path(render.__file__)))
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="raylake-render")
        self._folder = tempfile.TemporaryDirectory(prefix="raylake-render-")
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None
        self._jobs = 0

    def submit(
        self, reference: pa.Table, current: pa.Table, thresholds: Mapping[str, float] | None = None
    ) -> Future[Rendered]:
        """Render a report of two samples with the same columns; returns at once."""
        return self.then(reference, current, thresholds or {}, lambda rendered: rendered)

    def then(
        self,
        reference: pa.Table,
        current: pa.Table,
        thresholds: Mapping[str, float],
        finish: Callable[[Rendered], T],
    ) -> Future[T]:
        """As `submit`, handing the result to `finish` in the renderer's thread."""
        return self._threads.submit(lambda: finish(self._render(reference, current, thresholds)))

    def warm(self) -> None:
        """Start the process now, so that it imports evidently while something else is going on."""
        self._threads.submit(self._started)

    def close(self) -> None:
        """Wait for the reports under way, then end the process."""
        self._threads.shutdown(wait=True)
        self._cleaned()

    def _cleaned(self) -> None:
        self._end()
        self._folder.cleanup()

    def close_later(self) -> None:
        """Take no more reports; the process ends by itself after those already given."""
        self._threads.submit(self._cleaned)
        self._threads.shutdown(wait=False)

    def _render(self, reference: pa.Table, current: pa.Table, thresholds: Mapping[str, float]) -> Rendered:
        self._jobs += 1
        folder = Path(self._folder.name) / str(self._jobs)
        try:
            folder.mkdir()
            pq.write_table(reference, folder / "reference.parquet")
            pq.write_table(current, folder / "current.parquet")
            answer = self._ask(folder, thresholds)
            if answer is None:
                return Rendered(error=self._reason())
            skipped = tuple(json.loads(answer)["skipped"])
            return Rendered((folder / "html").read_bytes(), (folder / "json").read_bytes(), skipped)
        except (OSError, ValueError, LookupError, TypeError) as error:  # no disk, or an answer of another kind
            self._end()
            return Rendered(error=f"{type(error).__name__}: {error}")

    def _ask(self, folder: Path, thresholds: Mapping[str, float]) -> str | None:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        files = {"reference": "reference.parquet", "current": "current.parquet", "html": "html", "json": "json"}
        job = {key: str(folder / name) for key, name in files.items()} | {"thresholds": dict(thresholds)}
        watchdog = threading.Timer(self._seconds, process.kill)
        watchdog.start()
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return process.stdout.readline() or None
        except BrokenPipeError:
            return None
        finally:
            watchdog.cancel()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._log = (Path(self._folder.name) / "log").open("wb")
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                env={**os.environ, "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"},
            )
        return self._process

    def _reason(self) -> str:
        """Why the process died: how it ended and the last line of its log."""
        assert self._process is not None
        code = self._process.wait()
        log = (Path(self._folder.name) / "log").read_text(errors="replace").strip()
        self._end()
        last = log.splitlines()[-1] if log else "it said nothing"
        killed = f" (ended after {self._seconds:.0f} s)" if code == -9 else ""
        return f"the rendering process exited with {code}{killed}: {last}"

    def _end(self) -> None:
        if self._process is not None:
            with self._process as process:  # closes the pipes; the process ends at the end of its input
                if process.stdin is not None:
                    with suppress(BrokenPipeError):  # it died with a job unread
                        process.stdin.close()
        if self._log is not None:
            self._log.close()
        self._process, self._log = None, None
