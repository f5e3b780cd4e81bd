"""JSON files: an object per line, or an array of objects; plain, compressed or in a zip archive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import orjson

from ...core import ConfigError, SourceError
from ..connector import Cursor, RawBatch, Split
from ..records import grouped, json_batch
from .file_streams import LONGEST_RECORD, lines, listed, open_stream, plan_files, reading, texts, too_long

_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Json:
    """JSON Lines (an object per line), or files that hold an array of objects or one object.

    Lines that are not JSON objects are handed on as broken. Nested values become JSON text; see
    `raylake.data.convert.flatten`.

    Attributes:
        paths: One path or URL, or several; globs are expanded at every ingest. ``.gz``, ``.bz2``, ``.zst`` are
            decompressed; in a ``.zip`` every member that matches `member` is read.
        form: ``lines``, ``array`` (also for one object over several lines), or ``auto``: by the first character, where
            ``[`` means an array.
        encoding: Name of the files' text encoding.
        member: In zip archives, read only members that match this glob.

    Example:
        >>> Json("raw/*.jsonl.gz").paths
        ('raw/*.jsonl.gz',)
    """

    paths: str | Sequence[str]
    form: str = "auto"
    encoding: str = "utf8"
    member: str = "*.json*"

    sparse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", listed(self.paths))
        if self.form not in ("auto", "lines", "array"):
            raise ConfigError(f"form={self.form!r} of Json is not valid: use 'auto', 'lines' or 'array'")

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """New files since `cursor`, one split per file or zip member."""
        return plan_files(self.paths, cursor, member=self.member)

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 16,384 records."""
        with reading(split.name, "JSON"), open_stream(split) as stream:
            if self._is_array(split):
                yield from _array(texts(stream, self.encoding), split.name)
                return
            for block in lines(stream, self.encoding, split.name):
                for part in grouped(line for line in block if line.strip()):
                    yield json_batch(part)

    def _is_array(self, split: Split) -> bool:
        if self.form != "auto":
            return self.form == "array"
        with open_stream(split) as stream:
            start = next(texts(stream, self.encoding), "").lstrip(_SPACE)
        if start.startswith("["):
            return True
        # An object that goes on after its first line is one document, not lines.
        first = start.partition("\n")[0]
        return start.startswith("{") and "\n" in start and first.rstrip() in ("{", "")


def _array(blocks: Iterator[str], name: str) -> Iterator[RawBatch]:
    for part in grouped(_documents(blocks, name)):
        yield json_batch(part)


def _documents(blocks: Iterator[str], name: str) -> Iterator[bytes]:
    """The elements of an array, or one document, each on its own: memory holds one element and one block."""
    scan = _Scan()
    for block in blocks:
        scan.text, scan.at = scan.text[scan.at :] + block, 0
        yield from scan.complete(name, final=False)
        if len(scan.text) - scan.at > LONGEST_RECORD:
            raise too_long(name)
    yield from scan.complete(name, final=True)
    if not scan.done or scan.text[scan.at :].strip(_SPACE):
        shown = scan.text[scan.at :][:80]
        raise SourceError(f"file {name} is not readable as JSON: it ends in the middle ({shown!r}). Fetch it again")


@dataclass(slots=True)
class _Scan:
    """Where the reading of a JSON array stands."""

    text: str = ""
    at: int = 0
    array: bool | None = None
    done: bool = False

    def complete(self, name: str, *, final: bool) -> Iterator[bytes]:
        """The elements that are complete in the text so far."""
        while self._skip():
            if self.done:
                raise SourceError(f"file {name} goes on after the end of its JSON: {self.text[self.at :][:80]!r}")
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                return
            # A number at the end of a block may go on in the next one.
            if end == len(self.text) and not final and not isinstance(value, dict | list | str):
                return
            if end - self.at > LONGEST_RECORD:
                raise too_long(name)
            self.at, self.done = end, not self.array
            yield orjson.dumps(value)

    def _skip(self) -> bool:
        """Pass over what stands between elements; return whether anything is left."""
        while self.at < len(self.text):
            mark = self.text[self.at]
            if self.array is None and mark not in _SPACE:
                self.array = mark == "["
                self.at += self.array
            elif self.array and not self.done and mark == "]":
                self.done = True
                self.at += 1
            elif mark in _SPACE or (mark == "," and self.array and not self.done):
                self.at += 1
            else:
                return True
        return False
