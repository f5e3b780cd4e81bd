"""Tagged cells of a notebook give what the notebook gives when it is run from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raylake import pipelines
from raylake.core import PipelineInvalid, Workspace
from raylake.testing.pipelines import LocalExecutor

CELLS = [
    ("imports", "import math\nfrom collections import Counter"),
    ("functions", "def scale(values, by):\n    return [value * by for value in values]"),
    ("parameters", "count = 4\nfactor = 2"),
    ("step:load", "rows = list(range(count))"),
    ("", "print(rows)  # looked at, no step"),
    ("step:clean", "rows = [row for row in rows if row % 2]"),
    ("step:features", "scaled = scale(rows, factor)\nkinds = Counter(row % 3 for row in scaled)"),
    (
        "step:total",
        "total = 0\nfor row in scaled:\n    square = row ** 2\n    total += square\nroot = math.sqrt(total)",
    ),
]


def write(folder: Path, cells: list[tuple[str, str]]) -> Path:
    file = folder / "my_notebook.ipynb"
    made = [
        {"cell_type": "code", "source": source, "metadata": {"tags": [tag] if tag else []}} for tag, source in cells
    ]
    file.write_text(json.dumps({"cells": made, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
    return file


@pytest.mark.parametrize("count", [4, 9])
def test_the_same_result(ws: Workspace, tmp_path: Path, count: int) -> None:
    loaded = pipelines.load_notebook(write(tmp_path, CELLS))
    assert loaded.name == "my-notebook"
    assert [sorted(node.upstream()) for node in loaded.graph] == [[], ["load"], ["clean"], ["features"]]
    run_id = pipelines.submit(ws, loaded, {"count": str(count)})
    done = pipelines.drive(ws, run_id, executor=LocalExecutor())
    names: dict[str, object] = {}
    for _, source in CELLS:
        exec(source.replace("count = 4", f"count = {count}"), names)
    found = pipelines.result(ws, done)
    assert (found["total"], found["root"]) == (names["total"], names["root"])
    assert pipelines.output(ws, done, "features")["kinds"] == names["kinds"]


def test_wrong_notebooks(tmp_path: Path) -> None:
    with pytest.raises(PipelineInvalid, match=r"step 'late' of notebook .* reads 'nothing', which no earlier step"):
        pipelines.load_notebook(write(tmp_path, [("step:late", "x = nothing + 1")]))
    with pytest.raises(PipelineInvalid, match="has no step: tag cells with step:NAME"):
        pipelines.load_notebook(write(tmp_path, [("", "x = 1")]))
    with pytest.raises(PipelineInvalid, match=r"'x = f.1.' is no `name = constant`"):
        pipelines.load_notebook(write(tmp_path, [("parameters", "x = f(1)"), ("step:a", "y = x")]))
