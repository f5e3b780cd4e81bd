"""Rules of the repository as checks: sizes, public names, docstrings, names that say nothing."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "platform").rglob("*.py"))
LAYERS = [
    *("core", "registry", "data", "pipelines", "features", "train", "tune", "serve", "monitor"),
    *("flights", "demo", "console", "testing"),
]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, f"{path.name} is longer than 400 lines: split it by idea"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = len((ast.get_docstring(node) or "").splitlines())
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - documented
            assert length <= 60, f"{node.name} in {path.name} has {length} lines"
        if isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            assert len(methods) <= 20, f"{node.name} in {path.name} has {len(methods)} methods"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_is_named_after_nothing(path: Path) -> None:
    assert not re.fullmatch(r"(utils?|helpers?|common|misc)", path.stem)


@pytest.mark.parametrize("layer", LAYERS)
def test_all_equals_the_visible_names(layer: str) -> None:
    package = importlib.import_module(f"raylake.{layer}")
    visible = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    public = set(getattr(package, "__all__", ()))
    submodules = {name for name in public if inspect.ismodule(getattr(package, name))}
    assert public - submodules == visible


def _undocumented(package: object) -> list[str]:
    missing = []
    for name in getattr(package, "__all__", ()):
        value = getattr(package, name)
        if (inspect.isclass(value) or inspect.isfunction(value)) and not (value.__doc__ or "").strip():
            missing.append(name)
    return missing


@pytest.mark.parametrize("layer", LAYERS)
def test_every_public_name_has_a_docstring(layer: str) -> None:
    assert _undocumented(importlib.import_module(f"raylake.{layer}")) == []


def test_every_public_function_has_an_example() -> None:
    lacking = set()
    for layer in LAYERS:
        package = importlib.import_module(f"raylake.{layer}")
        for name in getattr(package, "__all__", ()):
            value = getattr(package, name)
            if inspect.isfunction(value) and ">>>" not in (value.__doc__ or ""):
                lacking.add(f"{layer}.{name}")
    assert lacking == set()


def test_errors_are_drawn_in_the_tree() -> None:
    errors = importlib.import_module("raylake.core.errors")
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.RaylakeError) and value is not errors.RaylakeError
    }
    assert drawn == defined
