"""Fixtures of the monitor's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylake.monitor import Renderer

sys.path.insert(0, str(Path(__file__).parent))  # for `monitor_world`, in whatever way pytest was started
from monitor_world import FAKE


@pytest.fixture
def renderer() -> Iterator[Renderer]:
    """A rendering process that answers at once, without evidently."""
    with Renderer(command=(sys.executable, "-c", FAKE)) as live:
        yield live
