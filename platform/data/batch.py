"""One batch of an ingest between its files and its commit: checked as a whole, counted, complained about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from .. import registry
from ..core import ExpectationFailed, Ref, Workspace
from ..registry import TableVersion
from .expectations import Expectation
from .file_writer import NewFile, remove_files
from .screening import Job
from .source import Source
from .uniqueness import Pending, read_pending, remove_rows, repeats
from .whole_checks import check_batch


@dataclass(slots=True)
class Batch:
    """Everything one ingest has written so far, uncommitted."""

    job: Job
    pending: Pending
    rejects: list[NewFile]
    read: int
    checked: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)

    def discard(self) -> None:
        """Remove every file."""
        remove_files(self.job.url, [file.path for file in self.pending.files])
        remove_files(self.job.quarantine_url, [file.path for file in self.rejects])


def check_whole(ws: Workspace, base: int | None, batch: Batch) -> None:
    """Check the expectations about all rows together; `unique` may take rows out of the files.

    Args:
        ws: The workspace.
        base: Version of the table before the batch; ``None`` when there is none.
        batch: The batch.
    """
    source = batch.job.source
    earlier = source.ref.at(base) if base and source.mode == "append" else None
    for rule in source.rules:
        if rule.rule == "unique":
            _check_unique(ws, earlier, rule, batch)
    pending = batch.pending
    rows = sum(file.rows for file in pending.files)

    def read(column: str) -> Iterator[pa.Table]:
        return (read_pending(pending, file, [column]) for file in pending.files)

    # Whatever the mode, a distribution is compared with the table as it was.
    before = source.ref.at(base) if base else None
    for rule, outcome in check_batch(ws, source.rules, before, read, rows):
        batch.checked[rule.name], batch.failed[rule.name] = outcome.checked, outcome.failed
        batch.details[rule.name] = outcome.detail


def _check_unique(ws: Workspace, earlier: Ref | None, rule: Expectation, batch: Batch) -> None:
    found = repeats(ws, earlier, rule, batch.pending)
    batch.checked[rule.name] = sum(file.rows for file in batch.pending.files)
    batch.failed[rule.name] = sum(map(len, found.values()))
    if not found or rule.on_fail in ("warn", "fail"):
        return
    source = batch.job.source
    if not batch.job.quarantine and rule.on_fail == "quarantine":
        raise ExpectationFailed(
            f"source {source.name!r} has {batch.failed[rule.name]} rows that break {rule.name}: nothing was "
            "written; correct them, or ingest with quarantine=True"
        )
    batch.pending, more = remove_rows(batch.pending, found, rule, batch.job.quarantine_url, source.name)
    batch.rejects += more


def check_failed(batch: Batch) -> None:
    """Raise `ExpectationFailed` for the first rule with ``on_fail="fail"`` that is broken."""
    for rule in batch.job.source.rules:
        count = batch.failed.get(rule.name, 0)
        if rule.on_fail == "fail" and count:
            what = batch.details.get(rule.name) or f"{count} rows"
            raise ExpectationFailed(
                f"source {batch.job.source.name!r} breaks {rule.name} ({what} of {batch.checked[rule.name]}): "
                "nothing was written; correct the data, or declare another on_fail"
            )


def metrics(batch: Batch, seconds: float) -> dict[str, Any]:
    """The figures of the commit; see `ingest`."""
    rules = batch.job.source.rules
    return {
        "rows_read": batch.read,
        "rows_written": sum(file.rows for file in batch.pending.files),
        "rows_quarantined": sum(file.rows for file in batch.rejects),
        "unparsable": batch.failed.get("unparsable", 0),
        "files": len(batch.pending.files),
        "seconds": round(seconds, 3),
        "expectations": {
            rule.name: {"checked": batch.checked.get(rule.name, 0), "failed": batch.failed.get(rule.name, 0)}
            for rule in rules
        },
    }


def alert(ws: Workspace, source: Source, batch: Batch, version: TableVersion) -> None:
    """Record an alert for each broken rule with ``on_fail="warn"``."""
    for rule in source.rules:
        count = batch.failed.get(rule.name, 0)
        if rule.on_fail == "warn" and count:
            registry.record_alert(
                ws,
                severity="warning",
                subject=version.node,
                message=f"{count} rows of source {source.name!r} break {rule.name}{_why(batch, rule)}",
                evidence={"checked": batch.checked[rule.name], "failed": count},
            )


def _why(batch: Batch, rule: Expectation) -> str:
    detail = batch.details.get(rule.name)
    return f": {detail}" if detail else ""
