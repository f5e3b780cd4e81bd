"""Notebook cells tagged as steps become a pipeline, as Kale does for Kubeflow."""

from __future__ import annotations

import ast
import builtins
import json
import symtable
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import PipelineInvalid, check_name
from .bindings import FromParameter, FromStep
from .code import Code
from .graph import GraphNode, ordered
from .pipeline import Parameter, Pipeline
from .step import Step, StepOptions


@dataclass(frozen=True)
class _Cell:
    key: str
    source: str
    reads: frozenset[str]
    perhaps: frozenset[str]
    makes: frozenset[str]


def load_notebook(path: str | Path, *, name: str | None = None) -> Pipeline:
    """The pipeline of a notebook's tagged cells; the other cells are left out.

    Tags: ``imports`` and ``functions`` (run before every step), ``parameters`` (plain assignments: the pipeline's
    parameters with their defaults), ``step:NAME`` (a step; cells of one name are joined). A step waits for those that
    make the names it reads; only these names travel, so they must be picklable.

    Args:
        path: The ``.ipynb`` file.
        name: The pipeline's name; the file's by default.

    Raises:
        PipelineInvalid: The file is no notebook, has no step, or a step reads a name that nothing makes.

    Example:
        >>> load_notebook("none.ipynb")
        Traceback (most recent call last):
        ...
        raylake.core.errors.PipelineInvalid: notebook 'none.ipynb' cannot be read: ...
    """
    file = Path(path)
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError) as error:
        raise PipelineInvalid(f"notebook {str(file)!r} cannot be read: {error}") from error
    prelude, parameters, steps = _sorted(cells, str(file))
    known = _names(prelude)[2] | set(dir(builtins))
    called = check_name(name or file.stem.lower().replace("_", "-"), "pipeline")
    nodes: dict[str, GraphNode] = {}
    makers: dict[str, str] = {}
    for cell in (_cell(key, source) for key, source in steps.items()):
        bindings: dict[str, FromParameter | FromStep] = {}
        for read in sorted((cell.reads | cell.perhaps) - known):
            if read in makers:
                bindings[read] = FromStep(makers[read], (read,))
            elif read in parameters:
                bindings[read] = FromParameter(read)
            elif read in cell.reads:
                raise PipelineInvalid(
                    f"step {cell.key!r} of notebook {str(file)!r} reads {read!r}, which no earlier step, parameter or "
                    "import makes: tag the cell that makes it"
                )
        step = Step(Code(_function(cell, prelude, tuple(bindings))), cell.key, StepOptions())
        nodes[cell.key] = GraphNode(cell.key, step, bindings)
        makers.update(dict.fromkeys(cell.makes, cell.key))
    if not nodes:
        raise PipelineInvalid(f"notebook {str(file)!r} has no step: tag cells with step:NAME")
    given = tuple(Parameter(each, type(value), value) for each, value in parameters.items())
    return Pipeline(called, ordered(nodes, FromStep(list(nodes)[-1])), given)


def _sorted(cells: Sequence[Mapping[str, Any]], file: str) -> tuple[str, dict[str, Any], dict[str, str]]:
    prelude = ""
    parameters: dict[str, Any] = {}
    steps: dict[str, str] = {}
    for cell in cells:
        source = "".join(cell["source"])
        for tag in cell.get("metadata", {}).get("tags", ()):
            if tag in ("imports", "functions"):
                prelude += source + "\n"
            elif tag == "parameters":
                parameters.update(_constants(source, file))
            elif tag.startswith("step:"):
                key = check_name(tag.removeprefix("step:"), "step")
                steps[key] = steps.get(key, "") + source + "\n"
    return prelude, parameters, steps


def _constants(source: str, file: str) -> dict[str, Any]:
    found = {}
    for node in ast.parse(source).body:
        try:
            assert isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            found[node.targets[0].id] = ast.literal_eval(node.value)
        except (AssertionError, ValueError) as error:
            raise PipelineInvalid(
                f"parameters of notebook {file!r}: {ast.unparse(node)!r} is no `name = constant`"
            ) from error
    return found


def _cell(key: str, source: str) -> _Cell:
    reads, perhaps, makes = _names(source)
    return _Cell(key, source, frozenset(reads), frozenset(perhaps), frozenset(makes))


def _names(source: str) -> tuple[set[str], set[str], set[str]]:
    """Names that a cell needs from outside, those that it needs if somebody makes them, and those it makes.

    The second kind is used and assigned in one statement, as in ``for row in rows: total = total + row``.
    """
    reads: set[str] = set()
    perhaps: set[str] = set()
    makes: set[str] = set()
    for statement in ast.parse(source).body:
        table = symtable.symtable(ast.unparse(statement), "cell", "exec")
        symbols = table.get_symbols()
        used = {each.get_name() for each in symbols if each.is_referenced()}
        used |= {
            n.target.id for n in ast.walk(statement) if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
        }
        for scope in _scopes(table):
            used |= {each.get_name() for each in scope.get_symbols() if each.is_global() and each.is_referenced()}
        assigned = {each.get_name() for each in symbols if each.is_assigned() or each.is_imported()}
        reads |= used - makes - assigned
        perhaps |= (used & assigned) - makes
        makes |= assigned
    return reads, perhaps, makes


def _scopes(table: Any) -> list[Any]:
    return [scope for child in table.get_children() for scope in (child, *_scopes(child))]


def _function(cell: _Cell, prelude: str, inputs: tuple[str, ...]) -> Any:
    """A function of the inputs that runs the cell and returns what it made."""
    wanted = "{" + ", ".join(f"{each!r}: {each}" for each in sorted(cell.makes)) + "}"
    body = f"{prelude}\n{cell.source}\nreturn {wanted}"
    source = f"def {cell.key.replace('-', '_')}({', '.join(inputs)}):\n" + "\n".join(
        f"    {line}" for line in body.splitlines()
    )
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, f"<step {cell.key}>", "exec"), names)
    return names[cell.key.replace("-", "_")]
