"""Wrong pipelines are refused when they are defined, with the step's name."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from datetime import date

import cloudpickle
import pytest
from pipeline_cases import is_even, named, numbers, outer, square, squares, total

from raylake import pipelines
from raylake.core import InvalidName, PipelineInvalid, Workspace
from raylake.pipelines import pipeline, step
from raylake.pipelines.compatibility import assignable


def define(function: Callable[..., object]) -> None:
    pipeline(name="wrong")(function)


@pytest.mark.parametrize(
    ("wiring", "message"),
    [
        (lambda: square(), r"step 'square': missing a required argument: 'n'; its inputs are: n: .*int"),
        (lambda: square(1, m=2), "step 'square': got an unexpected keyword argument 'm'"),
        (lambda: total(square(1)), r"step 'total' takes parts: list\[int\], but the output of step 'square' is int"),
        (lambda: square("x"), "step 'square' takes n: int, but 'x' is str"),
        (lambda: square.map(square(1)), "step 'square-2' cannot be mapped over the output of step 'square', a int"),
        (lambda: named.map(numbers(3)), "step 'named' takes text: str, but the output of step 'numbers' is int"),
        (lambda: square.map(), r"step 'square'.map\(\) has nothing to map over"),
        (lambda: 1 if is_even(2) else 0, r"the output of step 'is-even' is not known .* write `with pipelines.when"),
        (lambda: [square(n) for n in numbers(3)], r"cannot be iterated over: write `step.map\(output\)`"),
        (lambda: [square.named("a")(1), square.named("a")(2)], "two steps of pipeline 'wrong' are named 'a'"),
        (lambda: square.after(3)(1), r"step 'square'.after\(3\) is not valid"),
        (lambda: squares("many"), "nested pipeline 'squares' takes count: int, not str"),
    ],
)
def test_wrong_wiring(wiring: Callable[[], object], message: str) -> None:
    with pytest.raises(PipelineInvalid, match=message):
        define(wiring)


def test_a_pipeline_inside_itself() -> None:
    inner = pipeline(name="selfish")(lambda: square(1))
    with pytest.raises(PipelineInvalid, match="pipeline 'selfish' contains itself: selfish -> selfish is a cycle"):
        pipeline(name="selfish")(lambda: inner())


def test_an_output_of_another_pipeline() -> None:
    kept: list[object] = []
    define(lambda: kept.append(square.named("elsewhere")(1)))
    with pytest.raises(PipelineInvalid, match="'square' uses the output of step 'elsewhere', which is no step"):
        define(lambda: square(kept[0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpu": 1}, "step 'work' has no option 'cpu': options are name, cpus"),
        ({"cpus": -1}, "step 'work': step option cpus=-1 is not valid"),
        ({"timeout": 0}, "timeout=0 is not valid: give seconds above 0"),
        ({"retries": "3"}, "retries='3' is not valid"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(PipelineInvalid, match=message):

        @step(**options)  # type: ignore[arg-type]
        def work() -> None: ...


def test_names() -> None:
    with pytest.raises(InvalidName, match=r"@step\(name=...\)"):
        step(lambda: 1)
    with pytest.raises(PipelineInvalid, match="name every input, or take a list"):

        @step
        def many(*parts: int) -> None: ...


def test_parameters_are_converted_and_checked() -> None:
    @pipeline
    def daily(day: date, limit: int = 3, names: list[str] = ["a"]):  # noqa: B006
        return named("x")

    assert daily.parse({"day": "2026-01-31", "limit": "4"}) == {"day": date(2026, 1, 31), "limit": 4, "names": ["a"]}
    for given, message in (
        ({}, "pipeline 'daily' needs parameter 'day' .date."),
        ({"day": "soon"}, "parameter day='soon' of pipeline 'daily' is not valid: it takes date"),
        ({"day": "2026-01-31", "dya": 1}, "has no parameter 'dya'; it has: day, limit, names"),
    ):
        with pytest.raises(PipelineInvalid, match=message):
            daily.parse(given)


def test_steps_and_pipelines_outside_of_a_definition() -> None:
    assert (square(3), square.map([1, 2])) == (9, [1, 4])
    with pytest.raises(PipelineInvalid, match=r"is run with pipelines.run\(ws, squares"):
        squares(3)


def test_what_can_be_imported_travels_by_name() -> None:
    assert len(cloudpickle.dumps(squares)) < 400
    assert pickle.loads(cloudpickle.dumps(squares)) is squares

    local = pipeline(name="local")(lambda: square(1))
    copy = pickle.loads(cloudpickle.dumps(local))
    assert copy.fingerprint == local.fingerprint
    assert copy.graph["square"].step.code.function is square.code.function


def test_the_fingerprint_follows_code_and_wiring_only() -> None:
    def make(body: str) -> str:
        names: dict[str, object] = {}
        source = f"def work(n: int) -> int:\n    {body}\n"
        import linecache

        file = f"<{len(linecache.cache)}-{body}>"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        exec(compile(source, file, "exec"), names)
        return step(names["work"]).code.fingerprint  # type: ignore[arg-type]

    assert make("return n + 1  # a comment") == make("return (n  +  1)") != make("return n + 2")


def test_diff_of_versions(ws: Workspace) -> None:
    before = pipeline(name="p")(lambda: total(square.map(numbers(3))))
    after = pipeline(name="p")(lambda: total(square.with_options(cpus=2).map(numbers(4))))
    found = pipelines.compare(ws, before, after)
    assert str(found) == "~ numbers: inputs: count 3 -> 4\n~ square: options: cpus 0.5 -> 2"
    assert not pipelines.compare(ws, before, before)
    pipelines.submit(ws, before)
    pipelines.submit(ws, after)
    assert pipelines.compare(ws, ("p", 1), ("p", 2)) == found


@pytest.mark.parametrize(
    ("given", "wanted", "fits"),
    [
        (int, float, True), (bool, int, True), (float, int, False), (list[int], list[str], False),
        (int | None, int, False), (int, int | str, True), (dict[str, int], dict[str, float], True),
        (list, list[int], True), (str, object, True), (type(None), None, True), (tuple[int, ...], list[int], False),
    ],
)  # fmt: skip
def test_types(given: object, wanted: object, fits: bool) -> None:
    assert assignable(given, wanted) is fits


def test_drawings() -> None:
    assert outer.mermaid().count("-->") == 6
    svg = outer.svg()
    assert svg.startswith("<svg ") and svg.count("<rect") == 7
    assert "squares/numbers" in outer._repr_html_()


def test_a_deep_pipeline_goes_down_and_no_line_passes_behind_a_box() -> None:
    @pipelines.pipeline
    def deep(count: int = 3):
        first = numbers(count)
        values = first
        for _ in range(20):
            values = square.map(values)
        # A long way that no other implies: the line has to pass twenty layers.
        aside = total.named("aside")(numbers.named("other")(count))
        return total.named("end")([total(values), aside, total.named("again")(first)])

    svg = deep.svg()
    width, height = (float(found) for found in re.findall(r'width="(\d+)" height="(\d+)"', svg)[0])
    assert height > width
    boxes = [
        tuple(map(float, found)) for found in re.findall(r'<rect x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"', svg)
    ]
    assert len(boxes) == len(deep.graph.keys)
    for path in re.findall(r'<path d="(M[^"]*)" fill="none"', svg):
        for x, y in zip(*[iter(map(float, re.findall(r"[\d.]+", path)))] * 2, strict=True):
            inside = [b for b in boxes if b[0] + 2 < x < b[0] + b[2] - 2 and b[1] + 2 < y < b[1] + b[3] - 2]
            assert not inside, (path, inside)
