"""One split on its way to files: typed, transformed, checked; good rows to the table, bad ones to quarantine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..core import ExpectationFailed, SchemaMismatch, SourceError
from .arrow_types import describe, storable_schema, type_changes
from .casting import cast_table, complaint
from .connector import RawBatch, Split, TypedConnector, is_sparse
from .file_writer import FileWriter, NewFile
from .notations import apply_formats
from .quarantine import QUARANTINE_SCHEMA, rejected, rejected_lines, take_failing
from .source import Source

UNPARSABLE = "unparsable"


@dataclass(frozen=True, slots=True)
class Job:
    """What a task needs to screen splits.

    Attributes:
        source: The source.
        schema: Types of the raw columns.
        stored: The table's columns when it exists: all-null results take their type from it.
        url: The table's folder.
        quarantine_url: The quarantine table's folder.
        partitions: Partition columns of the table.
        quarantine: Whether rejected rows are kept; otherwise the first one fails the ingest.
    """

    source: Source
    schema: pa.Schema
    stored: pa.Schema | None
    url: str
    quarantine_url: str
    partitions: tuple[str, ...]
    quarantine: bool


@dataclass(frozen=True, slots=True)
class Screened:
    """What a task wrote.

    Attributes:
        files: Files of accepted rows.
        rejects: Files of rejected rows.
        schema: Columns of the accepted rows, or ``None`` when the source had no batch.
        read: Rows and broken lines that were read.
        checked: Expectation to number of rows that it was tried on.
        failed: Expectation (or ``unparsable``) to number of rows that broke it.
        marks: The last mark of each split that has one; see `RawBatch`.
    """

    files: tuple[NewFile, ...]
    rejects: tuple[NewFile, ...]
    schema: pa.Schema | None
    read: int
    checked: Mapping[str, int]
    failed: Mapping[str, int]
    marks: tuple[Mapping[str, Any], ...] = ()


@dataclass(slots=True)
class _Screen:
    job: Job
    rejects: FileWriter
    writer: FileWriter | None = None
    read: int = 0
    checked: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    marks: list[Mapping[str, Any]] = field(default_factory=list)

    def split(self, split: Split) -> None:
        mark: Mapping[str, Any] | None = None
        for batch in self._batches(split):
            mark = batch.mark if batch.mark is not None else mark
            if batch.broken:
                self._reject(rejected_lines(batch.broken, split.name), UNPARSABLE, batch.broken[0][0])
                self.read += len(batch.broken)
            self.read += batch.rows.num_rows
            self._rows(batch, split.name)
        if mark is not None:
            self.marks.append(mark)

    def _batches(self, split: Split) -> Iterator[RawBatch]:
        connector = self.job.source.connector
        if isinstance(connector, TypedConnector):
            return connector.read_typed(split, self.job.schema, tuple(self.job.source.null_values))
        return connector.read(split)

    def _rows(self, batch: RawBatch, file: str) -> None:
        raw = batch.rows
        if is_sparse(self.job.source.connector):
            raw = self._completed(raw, file)
        check_header(raw.schema.names, self.job, file)
        known = pa.schema([entry for entry in self.job.schema if entry.name in raw.column_names])
        source = self.job.source
        typed, masks = cast_table(raw, known, tuple(source.null_values))
        typed, masks = apply_formats(typed, masks, source.formats, source.schema or {})
        if masks:
            typed, raw = self._unparsable(raw, typed, masks, file)
        changed = self.job.source.transform is not None
        if self.job.source.transform is not None:
            typed = _transformed(self.job.source, typed)
        self._expect(typed, None if changed else batch.text or raw, file)

    def _completed(self, raw: pa.Table, file: str) -> pa.Table:
        """Rows of a source without a header: a missing field is null, a row with an unknown one is not a row."""
        if self.job.source.schema_mode == "enforce":
            for name in [name for name in raw.column_names if name not in self.job.schema.names]:
                raw, bad = take_failing(raw, pc.is_valid(raw.column(name)))
                if bad.num_rows:
                    reason = f"{name}: unknown field"
                    self._reject(rejected(bad, [reason] * bad.num_rows, file), UNPARSABLE, reason)
                raw = raw.drop_columns([name])
        for entry in self.job.schema:
            if entry.name not in raw.column_names:
                raw = raw.append_column(entry, pa.nulls(raw.num_rows, entry.type))
        return raw

    def _unparsable(
        self, raw: pa.Table, typed: pa.Table, masks: Mapping[str, pa.Array], file: str
    ) -> tuple[pa.Table, pa.Table]:
        any_bad = None
        for mask in masks.values():
            any_bad = mask if any_bad is None else pc.or_(any_bad, mask)
        kept, bad = take_failing(raw, any_bad)
        if bad.num_rows == 0:
            return typed, raw
        cells = {name: mask.filter(any_bad) for name, mask in masks.items()}
        reasons = [
            "; ".join(
                complaint(name, bad.column(name)[row].as_py(), typed.schema.field(name).type)
                for name, mask in cells.items()
                if mask[row].as_py()
            )
            for row in range(bad.num_rows)
        ]
        self._reject(rejected(bad, reasons, file), UNPARSABLE, reasons[0])
        return typed.filter(pc.invert(any_bad)), kept

    def _expect(self, typed: pa.Table, raw: pa.Table | Callable[[], pa.Table] | None, file: str) -> None:
        for rule in self.job.source.rules:
            if rule.whole:
                rule.check_columns(typed.schema)
                continue
            mask = rule.failing(typed)
            self.checked[rule.name] = self.checked.get(rule.name, 0) + typed.num_rows
            count = pc.sum(mask).as_py() or 0
            if count == 0:
                self.failed.setdefault(rule.name, 0)
                continue
            if rule.on_fail in ("quarantine", "drop"):
                kept, bad = take_failing(typed, mask)
                if raw is not None:
                    raw, original = take_failing(raw() if callable(raw) else raw, mask)
                if rule.on_fail == "quarantine":
                    shown = bad if raw is None else original
                    self._reject(rejected(shown, [rule.name] * count, file), rule.name, rule.name)
                    count = 0
                typed = kept
            self.failed[rule.name] = self.failed.get(rule.name, 0) + count
        self._accept(typed, file)

    def _accept(self, typed: pa.Table, file: str) -> None:
        try:
            if self.writer is None:
                schema = storable_schema(typed.schema, known=self.job.stored)
                check_types(schema, self.job)
                self.writer = FileWriter(self.job.url, schema, self.job.partitions)
            self.writer.write(typed)
        except SchemaMismatch as error:
            raise SchemaMismatch(f"the rows of {file} do not fit: {error}") from error

    def _reject(self, rows: pa.Table, rule: str, reason: str) -> None:
        if not self.job.quarantine:
            raise ExpectationFailed(
                f"source {self.job.source.name!r} has a row that cannot be accepted ({reason}; "
                f"row {rows['row'][0].as_py()[:200]} of {rows['source_file'][0].as_py()}): nothing was written; "
                "correct it, or ingest with quarantine=True"
            )
        self.failed[rule] = self.failed.get(rule, 0) + rows.num_rows
        self.rejects.write(rows)

    def finish(self) -> Screened:
        files = tuple(self.writer.close()) if self.writer is not None else ()
        schema = None if self.writer is None else self.writer.schema
        rejects = tuple(self.rejects.close())
        return Screened(files, rejects, schema, self.read, self.checked, self.failed, tuple(self.marks))

    def discard(self) -> None:
        self.rejects.discard()
        if self.writer is not None:
            self.writer.discard()


def screen(job: Job, splits: Sequence[Split]) -> Screened:
    """Read splits and write their rows to files; commits nothing. After an error no file is left.

    Raises:
        SourceError: A split cannot be read.
        SchemaMismatch: A file's header, or a transform's result, does not fit.
        ExpectationFailed: A row is rejected and `job.quarantine` is false.
        StorageError: Files cannot be written.
    """
    work = _Screen(job, FileWriter(job.quarantine_url, QUARANTINE_SCHEMA))
    try:
        for split in splits:
            work.split(split)
        return work.finish()
    except BaseException:
        work.discard()
        raise


def check_header(names: Sequence[str], job: Job, file: str) -> None:
    """Raise `SchemaMismatch` unless the columns of a file are those of the schema."""
    missing = [name for name in job.schema.names if name not in names]
    extra = [name for name in names if name not in job.schema.names]
    evolve = job.source.schema_mode == "evolve"
    problems = [f"lacks columns {missing}"] if missing and not evolve else []
    if extra:
        problems.append(f"has unknown columns {extra}")
    if problems:
        raise SchemaMismatch(
            f"file {file} {' and '.join(problems)}; source {job.source.name!r} expects {describe(job.schema)}. "
            "Correct the file or the source's schema"
        )


def check_types(schema: pa.Schema, job: Job) -> None:
    """Raise `SchemaMismatch` when a column has another type than in the table that is there."""
    replaces = job.source.mode == "overwrite" and job.source.schema_mode == "evolve"
    if job.stored is None or replaces:
        return
    if changed := type_changes(schema, job.stored):
        raise SchemaMismatch(
            f"column {'; column '.join(changed)}. Source {job.source.name!r} wrote nothing: cast it in the source's "
            "schema or transform, or write to another table"
        )


def _transformed(source: Source, typed: pa.Table) -> pa.Table:
    assert source.transform is not None
    result = source.transform(typed)
    if not isinstance(result, pa.Table):
        raise SchemaMismatch(
            f"the transform of source {source.name!r} returned {type(result).__name__}, not a pa.Table"
        )
    return result


def sample(source: Source, splits: Sequence[Split], *, most: int = 8) -> Iterator[pa.Table]:
    """The first batch with rows of up to `most` splits, evenly spaced; an empty one where a split has no row."""
    step = max(1, len(splits) // most)
    for split in splits[::step][:most]:
        first = None
        for batch in source.connector.read(split):
            first = batch.rows
            if first.num_rows:
                break
        if first is not None:
            yield first
    if not splits:
        raise SourceError(f"source {source.name!r} has nothing to read: its schema cannot be discovered")
