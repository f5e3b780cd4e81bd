"""The example of docs/pipelines.md runs, and its YAML loads."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from raylake import pipelines

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_runs(ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python, yaml = re.findall(
        r"^```(?:python|yaml)\n(.*?)^```", (ROOT / "docs/pipelines.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert len([line for line in python.splitlines() if line.strip()]) <= 16
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_steps.py").write_text(python[: python.index("run = ")])
    names: dict[str, object] = {"__name__": "nightly_example"}
    exec(compile(python, "docs/pipelines.md", "exec"), names)
    from raylake.core import Workspace

    assert pipelines.result(Workspace.open(), names["run"]) == 13.0  # type: ignore[arg-type]
    (tmp_path / "nightly.yaml").write_text(yaml)
    loaded = pipelines.load_yaml(tmp_path / "nightly.yaml")
    assert loaded.graph.keys == ("stations", "hottest", "report")
    sys.modules.pop("my_steps", None)
