"""CSV files: plain, gzip, or members of a zip archive; read as text, typed later."""

from __future__ import annotations

import io
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from threading import Event, Lock
from typing import Any

import pyarrow as pa
import pyarrow.csv

from ..core import SchemaMismatch, SourceError, urls
from .connector import Cursor, RawBatch, Split
from .csv_types import AS_TEXT, HEAD_BYTES, Original, Unsure, after, as_types, in_utc, types_of_head
from .file_cursor import FoundFile, find_files, unread

# One block is the memory that reading takes, and the longest row that is accepted.
BLOCK_BYTES = 8 * 1024 * 1024
# Text usually shrinks to about a fifth in a gzip file; used only to group splits into tasks.
_GZIP_RATIO = 5
_SETTLE_SECONDS = 0.3
# Smaller files are read as text: looking at the head first would cost more than it gains.
_WORTH_TYPING = 1024 * 1024
# What is searched at once: it stays in the processor's cache.
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Csv:
    """CSV files with a header line.

    Cells are read as text; the `Source` types them. Quoted cells may hold line ends. Lines with too few or too many
    cells are handed on as broken, not dropped.

    Attributes:
        paths: One path or URL, or several; globs (``raw/*.csv``) are expanded at every ingest. Files that end in
            ``.gz`` are decompressed, in a ``.zip`` every member that ends in ``.csv`` is read.
        delimiter: One character.
        encoding: Name of the files' text encoding.
        member: In zip archives, read only members that match this glob.

    Example:
        >>> Csv("raw/*.csv").paths
        ('raw/*.csv',)
    """

    paths: str | Sequence[str]
    delimiter: str = ","
    encoding: str = "utf8"
    member: str | None = None

    def __post_init__(self) -> None:
        listed = (self.paths,) if isinstance(self.paths, str) else tuple(str(path) for path in self.paths)
        object.__setattr__(self, "paths", listed)

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """New files since `cursor`, one split per file or zip member."""
        new, after = unread(find_files(tuple(self.paths)), cursor)
        return [split for file in new for split in self._splits(file)], after

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Blocks of about 8 MiB of text, every column a string."""
        with _reading(split.name):
            yield from self._blocks(split, AS_TEXT)

    def read_typed(self, split: Split, schema: pa.Schema, null_values: Sequence[str]) -> Iterator[RawBatch]:
        """As `read`, but typed at once; from the first block on that has a cell which does not fit, as text."""
        types = self._types(split, schema, tuple(null_values))
        rows = broken = 0
        if types is not None:
            original = Original(self.read(split))
            with _reading(split.name), suppress(pa.ArrowInvalid, Unsure):
                for batch in self._blocks(split, as_types(types, null_values)):
                    count = batch.rows.num_rows
                    text = partial(original.rows, rows, count) if count else None
                    yield replace(batch, rows=in_utc(batch.rows), text=text)
                    rows, broken = rows + count, broken + len(batch.broken)
                return
        yield from after(self.read(split), rows, broken)

    def _types(self, split: Split, schema: pa.Schema, null_values: tuple[str, ...]) -> pa.Schema | None:
        """The types of a file's columns when reading it typed is worth a try."""
        if split.size < _WORTH_TYPING or self.encoding.lower() not in ("utf8", "utf-8"):
            return None
        with _reading(split.name), self._open(split) as stream:
            head = stream.read(HEAD_BYTES)
        parse = pa.csv.ParseOptions(
            delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=lambda _: "skip"
        )
        return types_of_head(head, schema, null_values, parse)

    def _blocks(self, split: Split, convert: Any) -> Iterator[RawBatch]:
        broken: list[tuple[str, str]] = []
        typed = convert is not AS_TEXT
        swallowed = False
        with self._open(split) as stream, closing(_Guarded(stream, typed=typed)) as guarded:
            reader = self._reader(guarded, broken, convert)
            _check_header(reader.schema.names, split.name)
            for batch in reader:
                if guarded.hexadecimal:
                    raise Unsure
                rows = pa.Table.from_batches([batch])
                swallowed = _ends_in_open_cell(rows) if rows.num_rows else swallowed
                # Arrow may be parsing the next block in its own thread: take out no more than what is handed on.
                told = tuple(broken)
                del broken[: len(told)]
                yield RawBatch(rows, told)
            if broken:
                yield RawBatch(reader.schema.empty_table(), tuple(broken))
        if swallowed and self._quotes(split) % 2:
            raise SourceError(
                f"file {split.name} has a quote that is never closed, so its last row swallowed the rest "
                "of the file: correct that line"
            )

    def _quotes(self, split: Split) -> int:
        with self._open(split) as stream:
            return sum(block.count(b'"') for block in iter(lambda: bytes(stream.read(BLOCK_BYTES)), b""))

    def _reader(self, stream: Any, broken: list[tuple[str, str]], convert: Any) -> Any:
        def keep(row: Any) -> str:
            cells = f"{row.actual_columns} cells instead of {row.expected_columns}"
            broken.append((f"line has {cells}", row.text))
            return "skip"

        return pa.csv.open_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=pa.csv.ReadOptions(block_size=BLOCK_BYTES, encoding=self.encoding, use_threads=False),
            parse_options=pa.csv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=keep
            ),
            convert_options=convert,
        )

    def _splits(self, file: FoundFile) -> list[Split]:
        if not file.path.endswith(".zip"):
            ratio = _GZIP_RATIO if file.path.endswith(".gz") else 1
            return [Split(file.path, {"path": file.path}, file.size * ratio)]
        with _reading(file.path), file.open() as handle, zipfile.ZipFile(handle) as archive:
            members = [info for info in archive.infolist() if fnmatch(info.filename, self.member or "*.csv")]
        if not members:
            raise SourceError(f"archive {file.path} holds no member that matches {self.member or '*.csv'!r}")
        return [
            Split(f"{file.path}!{info.filename}", {"path": file.path, "member": info.filename}, info.file_size)
            for info in members
        ]

    @contextmanager
    def _open(self, split: Split) -> Iterator[Any]:
        path, member = split.address["path"], split.address.get("member")
        store, inner = urls.filesystem(path)
        if member is None:
            with store.open_input_stream(inner, compression="detect") as stream:
                yield stream
            return
        with store.open_input_file(inner) as handle, zipfile.ZipFile(handle) as archive, archive.open(member) as part:
            yield part


class _Guarded(io.RawIOBase):
    """Passes bytes through, and can be closed while Arrow reads ahead.

    Arrow does so in a thread of its own, also after an error: closing ends that, or the thread would go on through
    the rest of the file, and abort the process when it ends meanwhile.

    Attributes:
        hexadecimal: Whether typed reading met ``0x``, which Arrow takes for the beginning of a whole number.
    """

    def __init__(self, stream: Any, *, typed: bool) -> None:
        self._stream = stream
        self._typed = typed
        self._turn = Lock()
        self._over = False
        self._ended = Event()
        self._last = b""
        self.hexadecimal = False

    def close(self) -> None:
        with self._turn:
            self._over = True
        if not self._typed and not self._ended.is_set() and isinstance(sys.exception(), pa.ArrowInvalid):
            # Often the program ends with this error: let the thread find the end first.
            self._ended.wait(_SETTLE_SECONDS)
            time.sleep(_SETTLE_SECONDS / 10)

    def readable(self) -> bool:
        return True

    def read_buffer(self, size: int = -1) -> pa.Buffer:
        """Arrow asks for this in place of `read`: memory of its own pool, which it uses again."""
        with self._turn:
            block = pa.py_buffer(b"") if self._over else self._take(size)
            if self._typed and not self.hexadecimal:
                self.hexadecimal = self._is_hexadecimal(block)
            if not block.size:
                self._ended.set()
            return block

    def _take(self, size: int) -> pa.Buffer:
        if isinstance(self._stream, pa.NativeFile):
            return self._stream.read_buffer(size)
        return pa.py_buffer(self._stream.read(size))

    def _is_hexadecimal(self, block: pa.Buffer) -> bool:
        """Whether ``0x`` is in it; to search for the x alone takes a thirtieth of the time, and most files have few."""
        view = memoryview(block)
        for start in range(0, len(view), _PIECE):
            piece = self._last + bytes(view[start : start + _PIECE])
            for mark in (b"x", b"X"):
                if mark in piece and b"0" + mark in piece:
                    return True
            self._last = piece[-1:]
        return False


def _check_header(names: list[str], file: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SchemaMismatch(f"file {file} has columns {twice} more than once in its header: rename them")
    if "" in names:
        raise SchemaMismatch(f"file {file} has a column without a name in its header {names}: name every column")


def _ends_in_open_cell(rows: pa.Table) -> bool:
    last = rows.slice(rows.num_rows - 1).to_pylist()[0]
    return any(isinstance(cell, str) and "\n" in cell for cell in last.values())


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Every way in which a file can be unreadable, as one error that names it."""
    try:
        yield
    except pa.ArrowInvalid as error:
        raise SourceError(f"file {name} is not readable CSV: {_explain(str(error))}") from error
    except LookupError as error:
        raise SourceError(f"file {name} cannot be decoded: {error}. Name an encoding that Python knows") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"file {name} is not {error.encoding}: {error.reason}. Declare its encoding") from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"file {name} cannot be read: {error}. It may be truncated; fetch it again") from error


def _explain(message: str) -> str:
    if "invalid UTF8" in message:
        return f"{message}. Declare the file's encoding, such as Csv(..., encoding='latin1')"
    if "straddling" in message:
        return f"one row is longer than {BLOCK_BYTES // 1024 // 1024} MiB (a quote that is never closed?)"
    if "Empty CSV" in message:
        return "it has no header line"
    return message
