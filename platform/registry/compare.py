"""What differs between two runs, two model versions or two versions of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..core import DataError, Node, NotFound, Ref, Workspace
from . import catalog, modelling, tracking
from .lineage_walk import walk
from .model_info import model_info
from .records import ModelVersion, Run, TableVersion
from .show import Shown, block, heading, plain_text, table_html

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

Comparable: TypeAlias = Run | ModelVersion | TableVersion
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_MISSING = None
_ORDER = ["metric", "parameter", "data", "schema", "table", "code", "library", "environment", "tag", "run", "model"]


@dataclass(frozen=True, slots=True)
class Difference(Shown):
    """One thing that differs.

    Attributes:
        part: ``parameter``, ``metric``, ``data``, ``code``, ``library``, ``schema``, ...
        name: Its name.
        a: The value of the first; ``None`` when it has none.
        b: The value of the second; ``None`` when it has none.
    """

    part: str
    name: str
    a: Any
    b: Any

    @property
    def change(self) -> float | None:
        """Second minus first, for numbers.

        Example:
            >>> Difference("metric", "auc", 0.5, 0.75).change
            0.25
        """
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (self.a, self.b))
        return float(self.b - self.a) if numbers else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two things of a kind; it shows itself as a table, in a terminal and in a notebook.

    Attributes:
        kind: ``run``, ``model`` or ``table``.
        a: Name of the first.
        b: Name of the second.
        differences: What differs, part by part.
        equal: How many things are equal.
    """

    kind: str
    a: str
    b: str
    differences: tuple[Difference, ...]
    equal: int

    def part(self, name: str) -> dict[str, tuple[Any, Any]]:
        """The differences of one part: name to both values."""
        return {found.name: (found.a, found.b) for found in self.differences if found.part == name}

    def to_pandas(self) -> pd.DataFrame:
        """Columns part, name, a, b and change (NaN unless both are numbers), a row per difference."""
        import pandas as pd

        rows = [(one.part, one.name, one.a, one.b, one.change) for one in self.differences]
        return pd.DataFrame(rows, columns=["part", "name", self.a, self.b, "change"])

    def __str__(self) -> str:
        lines = [f"{part:<10} {name:<28} {a} -> {b}{f'  ({change})' if change else ''}" for part, name, a, b, change in
                 self._cells()]  # fmt: skip
        return "\n".join([self._title(), *lines])

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self._title(), title_justify="left")
        for column in ("", "", self.a, self.b, "change"):
            table.add_column(Text(column))
        for cells in self._cells():
            table.add_row(*map(Text, cells))
        return table

    def _repr_html_(self) -> str:
        body = table_html(("", "", self.a, self.b, "change"), self._cells())
        return block(heading("Comparison", self._title()) + (body if self.differences else ""))

    def _title(self) -> str:
        count = len(self.differences)
        return f"{self.a} and {self.b}: {count or 'no'} difference{'' if count == 1 else 's'}, {self.equal} equal"

    def _cells(self) -> Iterator[tuple[str, str, str, str, str]]:
        last = ""
        for one in self.differences:
            change = "" if one.change is None else f"{one.change:+.4g}"
            yield one.part if one.part != last else "", one.name, plain_text(one.a), plain_text(one.b), change
            last = one.part


def compare(ws: Workspace, a: Comparable | Node | Ref | str, b: Comparable | Node | Ref | str) -> Comparison:
    """What differs between two runs, model versions or table versions.

    Runs: parameters, metrics, inputs by version, code, libraries, environment, tags. Model versions: what their
    runs differ in, and signature, upstream data by version, artifact, aliases. Tables: rows, schema, metrics, inputs.

    Args:
        ws: The workspace.
        a: The first: a record, a lineage node or text: ``flight-delay@3``, ``flights@12``, a run's id, or with its
            kind where a model and a table have the same name, ``table:main.flights@12``.
        b: The second, of the same kind.

    Raises:
        NotFound: One of them is unknown.
        DataError: They are of different kinds, or of a kind that cannot be compared.

    Example:
        >>> import tempfile
        >>> from raylake.registry import finish_run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> runs = [finish_run(ws, start_run(ws, "fit", "x", params={"depth": d, "eta": 1}).id) for d in (4, 6)]
        >>> found = compare(ws, *runs)
        >>> found.part("parameter"), found.differences[0].change
        ({'depth': (4, 6)}, 2.0)
    """
    one, other = _resolved(ws, a), _resolved(ws, b)
    if type(one) is not type(other):
        raise DataError(
            f"{_name(one)} is a {type(one).__name__} and {_name(other)} a {type(other).__name__}: "
            "compare two of one kind; write model:name@3 or table:main.name@3 to say which is meant"
        )
    first, second = _facts(ws, one), _facts(ws, other)
    keys = list(dict.fromkeys([*first, *second]))
    keys.sort(key=lambda key: _ORDER.index(key[0]))
    differing = [key for key in keys if not _same(first.get(key, _MISSING), second.get(key, _MISSING))]
    differences = tuple(Difference(*key, first.get(key, _MISSING), second.get(key, _MISSING)) for key in differing)
    return Comparison(one.node.kind, _name(one), _name(other), differences, len(keys) - len(differing))


def _resolved(ws: Workspace, thing: Comparable | Node | Ref | str) -> Comparable:
    if isinstance(thing, Run | ModelVersion | TableVersion):
        return thing
    if isinstance(thing, str) and ":" in thing:
        thing = Node.parse(thing)
    if isinstance(thing, Node):
        pinned = f"{thing.name}@{thing.version}" if thing.version else thing.name
        if thing.kind == "run":
            return tracking.run(ws, thing.name)
        if thing.kind == "model":
            return modelling.model_version(ws, pinned)
        if thing.kind == "table":
            return catalog.table_version(ws, pinned)
        raise DataError(f"{str(thing)!r} cannot be compared: use runs, model versions or table versions")
    if isinstance(thing, str) and _RUN_ID.fullmatch(thing):
        return tracking.run(ws, thing)
    ref = Ref.parse(thing) if isinstance(thing, str) else thing
    if modelling.model_versions(ws, ref.name):
        return modelling.model_version(ws, ref)
    if ref.alias is None and catalog.table_versions(ws, ref):
        return catalog.table_version(ws, ref)
    raise NotFound(f"{str(thing)!r} is neither a run's id, nor a registered model, nor a recorded table")


def _name(thing: Comparable) -> str:
    return f"{thing.name} {thing.id[:8]}" if isinstance(thing, Run) else str(thing)


def _facts(ws: Workspace, thing: Comparable) -> dict[tuple[str, str], Any]:
    """Everything that is compared, by part and name."""
    rows = _run(thing) if isinstance(thing, Run) else _model(ws, thing) if isinstance(thing, ModelVersion) else None
    return {(part, name): value for part, name, value in (_table(ws, thing) if rows is None else rows)}  # type: ignore[arg-type]


def _run(run: Run) -> Iterator[tuple[str, str, Any]]:
    yield from (("parameter", name, value) for name, value in _flat(run.params))
    yield from (("metric", name, value) for name, value in run.metrics.items())
    yield from _versions(run.inputs)
    known = run.tags.get("environment")
    environment = known if isinstance(known, Mapping) else {}
    yield from (("code", name, value) for name, value in _flat(environment.get("git") or {}))
    yield from (("library", name, value) for name, value in (environment.get("libraries") or {}).items())
    machine = {name: environment[name] for name in ("python", "platform") if name in environment}
    yield from (("environment", name, value) for name, value in machine.items())
    yield from (
        ("tag", name, value) for name, value in _flat({k: v for k, v in run.tags.items() if k != "environment"})
    )
    yield "run", "kind", run.kind
    yield "run", "name", run.name
    yield "run", "status", run.status


def _model(ws: Workspace, version: ModelVersion) -> Iterator[tuple[str, str, Any]]:
    run = None if version.run_id is None else tracking.run(ws, version.run_id)
    facts = [*_run(run)] if run is not None else []
    yield from (fact for fact in facts if fact[0] == "parameter")
    yield from (("metric", name, value) for name, value in version.metrics.items())
    edges = walk(ws, version.node, None, up=True)
    yield from _versions(edge.source for edge in edges if edge.source.kind != "run")
    signature = model_info(ws, version).get("signature") or {}
    for column in signature.get("columns") or ():
        name, dtype = column if isinstance(column, list) else (column.get("name"), column.get("type"))
        yield "schema", str(name), dtype
    yield from (fact for fact in facts if fact[0] not in ("parameter", "metric", "data"))
    yield "model", "name", version.name
    yield "model", "artifact", version.artifact
    yield "model", "aliases", ", ".join(version.aliases) or None
    yield "model", "description", version.description or None


def _table(ws: Workspace, version: TableVersion) -> Iterator[tuple[str, str, Any]]:
    yield "table", "name", version.name
    yield "table", "rows", version.rows
    yield from (("schema", name, dtype) for name, dtype in version.schema.items())
    yield "table", "column order", ", ".join(version.schema)
    yield from (("metric", name, value) for name, value in _flat(version.metrics))
    yield from _versions(edge.source for edge in walk(ws, version.node, 1, up=True))
    yield "table", "operation", version.operation
    yield "table", "source", version.source or None


def _versions(nodes: Iterable[Node]) -> Iterator[tuple[str, str, Any]]:
    """Data by name, so that a newer version is one change and not a loss and a gain."""
    found: dict[str, list[str]] = {}
    for node in dict.fromkeys(nodes):
        found.setdefault(f"{node.kind}:{node.name}", []).append(node.version or "used")
    yield from (("data", name, ", ".join(sorted(versions))) for name, versions in sorted(found.items()))


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # NaN is NaN
