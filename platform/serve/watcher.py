"""Follows an alias: loads the version it points at beside the running one, and swaps them in one step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ..core import RaylakeError
from ..registry import ModelVersion
from .predictor import Predictor

POLL_SECONDS = 1.0
_log = logging.getLogger("ray.serve")


@dataclass(slots=True)
class Watcher:
    """Polls the target and swaps. The old predictor stays in place until the new one has really predicted.

    Attributes:
        resolve: Which version the target names now (a read of the registry).
        load: Loads a version; may take long.
        swap: Puts a checked predictor in place; must be atomic.
        version: Version in place.
        every: Seconds between two looks.
        problem: Why the newest look or load failed, or ``""``.
    """

    resolve: Callable[[], ModelVersion]
    load: Callable[[ModelVersion], Predictor]
    swap: Callable[[Predictor], None]
    version: int
    every: float = POLL_SECONDS
    problem: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)
    _refused: int | None = None

    def look(self) -> bool:
        """Look once; True if a new version was put in place.

        An error leaves the old version answering and is kept in `problem`; a version that cannot be loaded is
        not tried again until the target moves.
        """
        try:
            wanted = self.resolve()
        except (RaylakeError, OSError) as error:
            self.problem = f"the registry cannot be read: {error}"
            return False
        if wanted.version == self.version:
            self.problem, self._refused = "", None
            return False
        if wanted.version == self._refused:
            return False
        try:
            fresh = self.load(wanted)
            fresh.check()
        except (RaylakeError, OSError, ValueError) as error:
            self.problem = f"{wanted} cannot be loaded: {error}"
            self._refused = wanted.version
            _log.error("version %s goes on answering: %s", self.version, self.problem)
            return False
        self.swap(fresh)
        self.version, self.problem, self._refused = wanted.version, "", None
        return True

    def run(self) -> None:
        """Look until `stop`. The body of the watcher thread."""
        while not self._stop.wait(self.every):
            self.look()

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()
