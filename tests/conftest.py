"""Fixtures shared by all tests: a fresh workspace each, learnable data; the session's Ray is in the root's conftest."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from raylake.core import Workspace

if TYPE_CHECKING:
    from raylake.features import TrainingSet

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def _in_process_callers_come_from_loopback() -> Iterator[None]:
    """Starlette's test client calls itself "testclient" at "testserver", which the server refuses like any stranger."""
    from starlette.testclient import TestClient

    usual = TestClient.__init__.__defaults__
    named = dict(zip(inspect.signature(TestClient.__init__).parameters, (None, None, *(usual or ())), strict=True))
    named |= {"base_url": "http://127.0.0.1:5000", "client": ("127.0.0.1", 50000)}
    TestClient.__init__.__defaults__ = tuple(named.values())[2:]  # type: ignore[misc]
    yield
    TestClient.__init__.__defaults__ = usual  # type: ignore[misc]


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """A fresh embedded workspace; nothing is started."""
    return Workspace.open(tmp_path / "lake", ray_address="local", http_port=0, registry_url="", online_url="")


@pytest.fixture
def ray_ws(ws: Workspace, ray_cluster: None) -> Workspace:
    """As `ws`, with Ray running."""
    return ws


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built as a release would be, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (built,) = folder.glob("raylake-*.whl")
    return built


@pytest.fixture
def frame() -> Callable[..., pa.Table]:
    """Builds label rows."""
    from raylake.testing.learnable import label_frame

    return label_frame


@pytest.fixture
def training() -> Callable[..., TrainingSet]:
    """Builds a training set from label rows."""
    from raylake.testing.learnable import make_training

    return make_training
