"""The same Spec by one process, on two nodes, and on two of which one is lost: the same model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_two_nodes_agree_with_one_process_and_one_may_be_lost(tmp_path):
    path = os.pathsep.join(sys.path)
    command = [sys.executable, str(Path(__file__).parent / "two_nodes.py"), str(tmp_path / "lake")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=500, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, done.stderr[-3000:]
    found = json.loads(lines[0].removeprefix("FOUND "))
    one, two = found["xgboost"]
    assert two == pytest.approx(one, abs=0.05)
    single, shrunk = found["torch"]
    assert shrunk == pytest.approx(single, abs=1e-4)
    assert found["alive"] == 1 and found["steps"][-1] == 24


def test_the_gpu_script_says_that_there_is_no_gpu(ray_ws):
    import ray

    if ray.cluster_resources().get("GPU"):
        pytest.skip("this cluster has a GPU: run cluster/jobs/gpu_smoke.py itself")
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, str(ROOT / "cluster/jobs/gpu_smoke.py"), "--workspace", ray_ws.root]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RAYLAKE_RAY_ADDRESS": address}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 3 and done.stdout.startswith("no GPU: this cluster has none"), done.stderr[-2000:]
