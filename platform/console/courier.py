"""The thread that delivers a workspace's webhooks while a server runs."""

from __future__ import annotations

import logging
import threading

from ..core import RaylakeError, Workspace
from ..registry import deliver_due, seconds_until_due

LONGEST_SLEEP = 1.0  # seconds; other processes write messages too
_log = logging.getLogger(__name__)


class Courier:
    """Delivers due messages of a workspace until it is stopped. What is not delivered then stays in the registry.

    Args:
        ws: The workspace.

    Example:
        >>> import tempfile
        >>> courier = Courier(Workspace.open(tempfile.mkdtemp()))
        >>> courier.start()
        >>> courier.stop()
    """

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"courier-{ws.name}", daemon=True)

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if not self._thread.is_alive():
            self._stopped.clear()
            self._thread = threading.Thread(target=self._run, name=f"courier-{self._ws.name}", daemon=True)
            self._thread.start()

    def stop(self, seconds: float = 15.0) -> None:
        """Ask the thread to end, and wait for the message it is sending."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if deliver_due(self._ws):
                    continue
                pause = seconds_until_due(self._ws)
            except RaylakeError as error:  # a registry that is away comes back
                _log.warning("webhooks of workspace %s wait: %s", self._ws.name, error)
                pause = None
            self._stopped.wait(LONGEST_SLEEP if pause is None else min(pause, LONGEST_SLEEP))
