"""What a fit really used: processor time, memory, graphics card."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_EVERY = 0.5  # seconds between two looks at the graphics card
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(slots=True)
class Usage:
    """Figures of the block that `measured` watched; complete when it has ended.

    Attributes:
        figures: ``cpu_seconds`` of all threads, ``wall_seconds``, ``peak_memory_bytes`` (resident), and on a machine
            with an NVIDIA card ``gpu_peak_memory_bytes`` and ``gpu_share`` (mean share of time that it was busy).
    """

    figures: dict[str, float] = field(default_factory=dict)


@contextmanager
def measured() -> Iterator[Usage]:
    """Measure this process while the block runs; child processes are not counted.

    Example:
        >>> with measured() as usage:
        ...     total = sum(range(1000))
        >>> sorted(usage.figures)[:3]
        ['cpu_seconds', 'peak_memory_bytes', 'wall_seconds']
    """
    usage, watch = Usage(), _Card()
    _forget_peak()
    started, before = time.perf_counter(), time.process_time()
    watch.start()
    try:
        yield usage
    finally:
        usage.figures = {
            "cpu_seconds": time.process_time() - before,
            "wall_seconds": time.perf_counter() - started,
            "peak_memory_bytes": _peak(),
            **watch.stop(),
        }


def _forget_peak() -> None:
    # A warm worker process has peaks of earlier work. Linux forgets them when asked.
    with suppress(OSError):
        _RESET.write_text("5")


def _peak() -> float:
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


class _Card:
    """Watches the first graphics card from a thread, if there is one and pynvml knows it."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._memory: list[float] = []
        self._busy: list[float] = []
        self._thread: threading.Thread | None = None
        self._library: Any = None

    def start(self) -> None:
        """Begin, if there is something to watch."""
        try:
            import pynvml

            pynvml.nvmlInit()
        except (ImportError, OSError):
            return
        except Exception as error:
            # NVMLError: no driver, or no card.
            if type(error).__module__.partition(".")[0] != "pynvml":
                raise
            return
        self._library = pynvml
        self._thread = threading.Thread(target=self._run, name="gpu-usage", daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """End; the figures, none without a card."""
        if self._thread is None:
            return {}
        self._done.set()
        self._thread.join()
        self._library.nvmlShutdown()
        if not self._memory:
            return {}
        return {
            "gpu_peak_memory_bytes": max(self._memory),
            "gpu_share": sum(self._busy) / len(self._busy) / 100,
        }

    def _run(self) -> None:
        handle = self._library.nvmlDeviceGetHandleByIndex(0)
        while True:
            self._memory.append(float(self._library.nvmlDeviceGetMemoryInfo(handle).used))
            self._busy.append(float(self._library.nvmlDeviceGetUtilizationRates(handle).gpu))
            if self._done.wait(_EVERY):
                return
