"""Batch jobs through a real `ray job submit` to a real `ray start --head`, as cluster/README.md shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylake import pipelines, registry
from raylake.core import LocalCluster, Workspace, start_cluster, stop_cluster

ROOT = Path(__file__).resolve().parents[1]
RAY = str(Path(sys.executable).with_name("ray"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A head node of its own; what `raylake up` runs is `ray start --head`."""
    ws = Workspace.open(tmp_path_factory.mktemp("head"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_DEPS", "1")
        started = start_cluster(ws)
    yield started
    stop_cluster(ws)


def submit(cluster: LocalCluster, options: list[str], entrypoint: list[str]) -> str:
    env = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    env |= {"RAY_AUTH_MODE": "token", "NO_COLOR": "1"}
    command = [RAY, "job", "submit", "--address", cluster.dashboard_url, *options, "--", *entrypoint]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout + done.stderr
    return done.stdout


def answer(output: str) -> dict[str, object]:
    lines = [line for line in output.splitlines() if line.startswith('{"rows"')]
    assert len(lines) == 1, output
    return dict(json.loads(lines[0]))


def check_workspace(folder: Path, told: dict[str, object]) -> None:
    ws = Workspace.open(folder)
    assert told["rows"] == sum(table.rows or 0 for table in registry.tables(ws) if table.name in RAW)
    version = registry.model_version(ws, "flight-delay-batch")
    assert str(version) == told["model"]
    assert {edge.source.name for edge in registry.upstream(ws, version.node)} >= RAW


RAW = {"main.flights", "main.weather", "main.planes"}


def test_raylake_installed_in_the_environment(cluster: LocalCluster, tmp_path: Path) -> None:
    entrypoint = ["python", "cluster/jobs/first_flight.py", "--workspace", str(tmp_path), "--rounds", "10"]
    told = answer(submit(cluster, ["--working-dir", "."], entrypoint))
    check_workspace(tmp_path, told)


def test_raylake_shipped_as_a_wheel(cluster: LocalCluster, wheel: Path, tmp_path: Path) -> None:
    shipped = ["--runtime-env-json", json.dumps({"py_modules": [str(wheel)]})]
    script = tmp_path / "probe.py"
    script.write_text("import raylake.core\nprint('CODE', raylake.core.__file__)\n", encoding="utf-8")
    where = submit(cluster, shipped, ["python", str(script)])
    (path,) = [line.split()[1] for line in where.splitlines() if line.startswith("CODE ")]
    assert ROOT not in Path(path).resolve().parents, "the job ran the checkout's code, not the wheel's"
    entrypoint = ["python", "-m", "raylake.demo.job", "--workspace", str(tmp_path), "--rounds", "10"]
    check_workspace(tmp_path, answer(submit(cluster, shipped, entrypoint)))


JOB = """
from raylake import pipelines

@pipelines.step(cpus=0.5)
def numbers(upto: int) -> list[int]:
    return list(range(upto))

@pipelines.step(cpus=0.5)
def square(n: int) -> int:
    return n * n

@pipelines.step(cpus=0.5)
def total(parts: list[int]) -> int:
    return sum(parts)

@pipelines.pipeline
def squares(upto: int = 3):
    return total(square.map(numbers(upto)))
"""


def test_a_pipeline_as_a_job(cluster: LocalCluster, tmp_path: Path) -> None:
    folder, lake = tmp_path / "jobs", tmp_path / "lake"
    folder.mkdir()
    (folder / "my_jobs.py").write_text(JOB, encoding="utf-8")
    command = ["raylake", "pipeline", "run", "my_jobs:squares", "-p", "upto=4", "--workspace", str(lake), "--json"]
    submit(cluster, ["--working-dir", str(folder)], command)
    (run,) = pipelines.runs(Workspace.open(lake))
    assert (run.state, pipelines.output(Workspace.open(lake), run, "total")) == ("finished", 14)
