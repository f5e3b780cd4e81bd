"""Check a table version against expectations, and remember the result: quality with a history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from .. import registry
from ..core import ConfigError, Node, Ref, Workspace
from ..registry import Run
from .delta_log import arrow_schema, require
from .expectations import Expectation
from .expectations.bind import bind
from .read import fragments, table, versions
from .scan import batches, in_parts
from .whole_checks import check_batch

RUN_KIND = "quality"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one expectation found in a table version.

    Attributes:
        rule: The expectation, as it was written.
        checked: Rows that it looked at.
        failed: Rows that break it.
        detail: More in words, or ``""``.
        on_fail: What it declares; ``fail`` makes the check raise an alert of severity ``error``, others ``warning``.
    """

    rule: str
    checked: int
    failed: int
    detail: str
    on_fail: str

    @property
    def passed(self) -> bool:
        """Whether no row breaks it."""
        return self.failed == 0


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The result of a check.

    Attributes:
        table: The version, ``flights@3``.
        rows: Its rows.
        results: One result per expectation, in their order.
        run_id: The run that keeps it.
    """

    table: str
    rows: int
    results: tuple[RuleResult, ...]
    run_id: str

    @property
    def passed(self) -> bool:
        """Whether every expectation holds."""
        return all(result.passed for result in self.results)


def check(ws: Workspace, ref: Ref | str, expectations: Sequence[Expectation]) -> QualityReport:
    """Check every row of a table version; nothing is changed.

    One pass over the files for all rules about rows, in threads up to 256 MiB and in Ray tasks beyond. `similar`
    compares with the version before. The result is kept as a run of kind ``quality`` with lineage from the version
    (`quality_history` lists them), and every broken rule is an alert.

    Args:
        ws: The workspace.
        ref: ``flights`` (newest) or ``flights@3``.
        expectations: The rules; their `on_fail` decides the severity of the alert only.

    Raises:
        NotFound: There is no such table or version.
        SchemaMismatch: A column does not exist, or its type does not fit a rule.

    Example:
        >>> import tempfile
        >>> from raylake.data import between, check, write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = write(ws, "flights", pa.table({"distance": [200, 0, 400]}))
        >>> report = check(ws, "flights", [between("distance", 1, 6000)])
        >>> report.passed, report.results[0].failed
        (False, 1)
    """
    if not expectations:
        raise ConfigError(f"check({str(ref)!r}) has no expectations: give at least one, such as not_null('id')")
    parsed = Ref.parse(ref) if isinstance(ref, str) else ref
    opened = require(ws, parsed)
    pinned = Ref(parsed.name, namespace=parsed.namespace).at(opened.version())
    schema = arrow_schema(opened)
    rules, referred = bind(ws, expectations)
    for rule in rules:
        rule.check_columns(schema)
    files = fragments(opened, ws.table_url(pinned), None)
    rows, failed = _row_rules(ws, pinned, files, schema, [rule for rule in rules if not rule.whole])
    found = {name: RuleResult(name, rows, count, "", "") for name, count in failed.items()}
    found |= _whole_rules(ws, pinned, rules, rows)
    results = tuple(
        RuleResult(rule.name, found[rule.name].checked, found[rule.name].failed, found[rule.name].detail, rule.on_fail)
        for rule in rules
    )
    return _recorded(ws, pinned, rows, results, referred)


def quality_history(ws: Workspace, ref: Ref | str, *, limit: int | None = 100) -> list[Run]:
    """The recorded checks of a table, newest first; `metrics` holds rows, rules and the failed rows per rule.

    Example:
        >>> import tempfile
        >>> quality_history(Workspace.open(tempfile.mkdtemp()), "flights")
        []
    """
    parsed = Ref.parse(ref) if isinstance(ref, str) else ref
    return registry.runs(ws, kind=RUN_KIND, name=parsed.qualified, limit=limit)


def _row_rules(
    ws: Workspace, ref: Ref, files: Sequence[Any], schema: pa.Schema, rules: Sequence[Expectation]
) -> tuple[int, dict[str, int]]:
    parts = in_parts(ws, ref, files, _Counting(schema, tuple(rules)))
    failed = {rule.name: 0 for rule in rules}
    rows = 0
    for count, counts in parts:
        rows += count
        for name, more in counts.items():
            failed[name] += more
    return rows, failed


@dataclass(frozen=True, slots=True)
class _Counting:
    """Counts the rows of some files that break each rule; a value, so that it travels to a task."""

    schema: pa.Schema
    rules: tuple[Expectation, ...]

    def __call__(self, files: list[Any]) -> tuple[int, dict[str, int]]:
        # A predicate of SQL or of yours may read any column.
        free = any(rule.rule == "holds" or (rule.rule == "satisfies" and not rule.columns) for rule in self.rules)
        needed = dict.fromkeys(name for rule in self.rules for name in rule.columns)
        columns = self.schema.names if free else list(needed)
        rows, failed = 0, {rule.name: 0 for rule in self.rules}
        for batch in batches(files, self.schema, columns):
            rows += batch.num_rows
            for rule in self.rules:
                failed[rule.name] += int(pc.sum(rule.failing(batch)).as_py() or 0)
        return rows, failed


def _whole_rules(ws: Workspace, ref: Ref, rules: Sequence[Expectation], rows: int) -> dict[str, RuleResult]:
    def read(column: str) -> Iterator[pa.Table]:
        yield table(ws, ref, columns=[column])

    earlier = _earlier(ws, ref) if any(rule.rule == "similar" for rule in rules) else None
    found = {
        rule.name: RuleResult(rule.name, outcome.checked, outcome.failed, outcome.detail, "")
        for rule, outcome in check_batch(ws, rules, earlier, read, rows)
    }
    for rule in rules:
        if rule.rule == "unique":
            keys = pl.DataFrame(table(ws, ref, columns=list(rule.columns))).drop_nulls()
            repeated = len(keys) - keys.unique().height
            found[rule.name] = RuleResult(rule.name, rows, repeated, "", "")
    return found


def _earlier(ws: Workspace, ref: Ref) -> Ref | None:
    before = [version.version for version in versions(ws, ref) if version.version < (ref.version or 0)]
    return ref.at(before[-1]) if before else None


def _recorded(
    ws: Workspace, ref: Ref, rows: int, results: tuple[RuleResult, ...], referred: Sequence[Node]
) -> QualityReport:
    node = Node("table", ref.qualified, str(ref.version))
    figures: dict[str, float] = {"rows": rows, "rules": len(results), "broken": sum(not one.passed for one in results)}
    figures |= {f"failed:{result.rule}": result.failed for result in results}
    params = {"table": str(ref), "rules": [result.rule for result in results]}
    run = registry.start_run(ws, RUN_KIND, ref.qualified, params=params, inputs=[node, *referred])
    registry.finish_run(ws, run.id, metrics=figures)
    for result in results:
        if not result.passed:
            why = f": {result.detail}" if result.detail else ""
            registry.record_alert(
                ws,
                severity="error" if result.on_fail == "fail" else "warning",
                subject=node,
                message=f"{result.failed} rows of {ref} break {result.rule}{why}",
                evidence={"checked": result.checked, "failed": result.failed, "run": run.id},
            )
    return QualityReport(str(ref), rows, results, run.id)
