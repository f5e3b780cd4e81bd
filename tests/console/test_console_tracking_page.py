"""The blocks of docs/tracking.md, run as a reader would: raylake's API, then MLflow's client against the server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tracking_server import serving

from raylake.core import Workspace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tracking.md"


def _run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_ways_in_show_the_same_runs(tmp_path: Path) -> None:
    ours, theirs = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    told = _run(ours, tmp_path)
    assert "0.71 (99, 0.01)" in told and "depth" in told
    with serving(Workspace.open(tmp_path / "lake", registry_url="", online_url="")) as url:
        found = _run(theirs.replace("http://127.0.0.1:5000", url), tmp_path)
    assert re.findall(r"\d +(\S+) +0\.\d+", found) == ["logistic", "by-hand-2"]
