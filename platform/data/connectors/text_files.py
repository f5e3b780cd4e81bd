"""Text files and logs: a row per line, split into columns by a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ...core import ConfigError
from ..connector import Cursor, RawBatch, Split
from ..convert.logs import compile_pattern
from .file_streams import lines, listed, open_stream, plan_files, reading


@dataclass(frozen=True, slots=True)
class Text:
    """Text files, such as logs: columns ``line``, or one per named group of `pattern`.

    Lines that do not match go to quarantine with the reason. With `continued`, lines that do not match belong to the
    line before (a stack trace), in the text of its last group.

    Attributes:
        paths: One path or URL, or several; globs are expanded at every ingest; compressed files are decompressed.
        pattern: A regular expression with named groups (Python syntax) that matches a whole line, or the name of a
            known one: ``common``, ``combined`` (web servers), ``syslog``, ``python``. Without it: one column ``line``.
        continued: Whether a line that does not match continues the one before.
        encoding: Name of the files' text encoding.
        member: In zip archives, read only members that match this glob.

    Raises:
        ConfigError: The pattern is no regular expression or has no named group.

    Example:
        >>> Text("app.log", r"(?P<level>[A-Z]+) (?P<message>.*)").columns
        ('level', 'message')
    """

    paths: str | Sequence[str]
    pattern: str | None = None
    continued: bool = False
    encoding: str = "utf8"
    member: str = "*"

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", listed(self.paths))
        if self.continued and self.pattern is None:
            raise ConfigError("Text(continued=True) needs a pattern: it says which lines start a row")
        _ = self.columns

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its rows."""
        return ("line",) if self.pattern is None else tuple(compile_pattern(self.pattern).groupindex)

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """New files since `cursor`, one split per file or zip member."""
        return plan_files(self.paths, cursor, member=self.member)

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of about a MiB of text, every column a string."""
        with reading(split.name, "text"), open_stream(split) as stream:
            blocks = lines(stream, self.encoding, split.name)
            if self.pattern is None:
                for block in blocks:
                    yield RawBatch(pa.table({"line": pa.array(block, pa.string())}))
                return
            yield from self._matched(blocks, compile_pattern(self.pattern))

    def _matched(self, blocks: Iterator[list[str]], pattern: re.Pattern[str]) -> Iterator[RawBatch]:
        waiting: list[str | None] | None = None
        for block in blocks:
            rows: list[list[str | None]] = []
            broken: list[tuple[str, str]] = []
            for line in block:
                found = pattern.fullmatch(line)
                if found is not None:
                    row = [found[name] for name in self.columns]
                    # Only a row that may go on has to wait for the next line.
                    rows += [row] if not self.continued else [waiting] if waiting is not None else []
                    waiting = row if self.continued else None
                elif self.continued and waiting is not None:
                    waiting[-1] = f"{waiting[-1] or ''}\n{line}"
                elif line.strip():
                    broken.append(("line does not match the pattern", line))
            yield self._batch(rows, broken)
        if waiting is not None:
            yield self._batch([waiting], [])

    def _batch(self, rows: list[list[str | None]], broken: list[tuple[str, str]]) -> RawBatch:
        schema = pa.schema([(name, pa.string()) for name in self.columns])
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in self.columns]
        return RawBatch(pa.table(columns, schema=schema), tuple(broken))
