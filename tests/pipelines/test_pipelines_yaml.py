"""Pipelines from YAML: the same as from Python, and errors with lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from raylake import pipelines
from raylake.core import PipelineInvalid, Workspace
from raylake.testing.pipelines import LocalExecutor

GOOD = """\
pipeline: squares
import: [pipeline_cases]
parameters:
  count: {type: int, default: 4}
steps:
  total: {step: total, with: {parts: $square}}
  square:
    step: square
    map: {n: $numbers}
    options: {cpus: 0.25}
  numbers: {step: "pipeline_cases:numbers", with: {count: $count}}
  even: {step: is-even, with: {n: $total}}
  told:
    step: named
    with: {text: $$5}
    when: $even
    after: numbers
result: [$total, $square.1]
"""


def test_it_runs_as_one_from_python(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(GOOD)
    loaded = pipelines.load_yaml(tmp_path / "p.yaml")
    assert loaded.graph["square"].step.options.cpus == 0.25
    done = pipelines.drive(ws, pipelines.submit(ws, loaded, {"count": "5"}), executor=LocalExecutor())
    assert pipelines.result(ws, done) == [30, 1]
    assert pipelines.output(ws, done, "told") == "$5"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("step: total", "step: totl", "line 6: step 'totl' is not known; known steps: cleanup, fail-while"),
        ("$square}", "$sqare}", r"line 6: \$sqare names no step or parameter; there are: count, total, square"),
        ("{n: $numbers}", "{m: $numbers}", "line 7: step 'square': missing a required argument: 'n'"),
        (
            "{text: $$5}",
            "{text: $total}",
            "line 13: step 'told' takes text: str, but the output of step 'total' is int",
        ),
        ("with: {count: $count}", "after: told, with: {count: $count}", "line 5: .*numbers.* -> .* form a cycle"),
        ("cpus: 0.25", "cpu: 1", "line 10: step 'square' has no option 'cpu'"),
        ("type: int", "type: integer", "line 4: parameter 'count' has type 'integer': use one of str, int"),
        ("result:", "results:", "line 18: a pipeline has no 'results'"),
        ("import: [pipeline_cases]", "import: [nowhere]", "line 2: No module named 'nowhere'"),
        ("  even:", "  total:", "line 12: 'total' stands twice"),
        ("when: $even", "when: [", "line 1[5-9]: "),
        ("pipeline: squares", "pipeline: Squares!", "line 1: pipeline 'Squares!' is not valid"),
    ],
)
def test_errors_carry_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "p.yaml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(PipelineInvalid, match=message):
        pipelines.load_yaml(file)


def test_a_missing_file() -> None:
    with pytest.raises(PipelineInvalid, match=r"pipeline file 'none.yaml' cannot be read: No such file"):
        pipelines.load_yaml("none.yaml")
