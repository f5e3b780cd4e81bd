"""What connectors of text-like files share: compressed files and archive members as bounded streams."""

from __future__ import annotations

import codecs
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any

import pyarrow as pa

from ...core import SourceError, urls
from ..connector import Cursor, Split
from ..file_cursor import FoundFile, find_files, unread

# The longest line or record that is accepted: a cell of gigabytes must not become memory.
LONGEST_RECORD = 8 * 1024 * 1024
_BLOCK = 1024 * 1024
# Text usually shrinks to about a fifth; used only to group splits into tasks.
_RATIO = 5
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br")


def listed(paths: str | Sequence[str]) -> tuple[str, ...]:
    """Paths as a tuple of text."""
    return (paths,) if isinstance(paths, str) else tuple(str(path) for path in paths)


def plan_files(
    paths: Sequence[str], cursor: Cursor | None, *, member: str | None = None, ratio: int = 1
) -> tuple[list[Split], Cursor]:
    """New files since `cursor`: one split per file, or per member of a zip archive when `member` is a glob."""
    new, after = unread(find_files(tuple(paths)), cursor)
    return [split for file in new for split in _splits(file, member, ratio)], after


def _splits(file: FoundFile, member: str | None, ratio: int) -> list[Split]:
    if member is None or not file.path.endswith(".zip"):
        factor = _RATIO if file.path.endswith(_COMPRESSED) else ratio
        return [Split(file.path, {"path": file.path}, max(1, file.size * factor))]
    with reading(file.path, "a zip archive"), file.open() as handle, zipfile.ZipFile(handle) as archive:
        members = [info for info in archive.infolist() if not info.is_dir() and fnmatch(info.filename, member)]
    if not members:
        raise SourceError(f"archive {file.path} holds no member that matches {member!r}")
    return [
        Split(f"{file.path}!{info.filename}", {"path": file.path, "member": info.filename}, max(1, info.file_size))
        for info in members
    ]


@contextmanager
def open_stream(split: Split) -> Iterator[Any]:
    """The decompressed bytes of a split, as a stream."""
    path, member = split.address["path"], split.address.get("member")
    store, inner = urls.filesystem(path)
    if member is None:
        with store.open_input_stream(inner, compression="detect") as stream:
            yield stream
        return
    with store.open_input_file(inner) as handle, zipfile.ZipFile(handle) as archive, archive.open(member) as part:
        yield part


@contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Every way in which a file can be unreadable, as one error that names it.

    Example:
        >>> with reading("a.avro", "Avro"):
        ...     raise EOFError("end of file")
        Traceback (most recent call last):
        ...
        raylake.core.errors.SourceError: file a.avro is not readable as Avro: end of file. It may be truncated ...
    """
    try:
        yield
    except SourceError:
        raise
    except UnicodeDecodeError as error:
        raise SourceError(
            f"file {name} is not {error.encoding}: {error.reason} at byte {error.start}. Declare its encoding"
        ) from error
    except (pa.ArrowException, OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise SourceError(
            f"file {name} is not readable as {what}: {error}. It may be truncated or of another kind; fetch it again"
        ) from error
    except LookupError as error:
        raise SourceError(f"file {name} is not readable as {what}: {error}. Check its encoding and content") from error


def texts(stream: Any, encoding: str) -> Iterator[str]:
    """A stream decoded block by block; a byte-order mark is dropped."""
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding)()
    while block := stream.read(_BLOCK):
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def lines(stream: Any, encoding: str, name: str) -> Iterator[list[str]]:
    """The lines of a stream in lists of about a block, without their ends; memory is bounded whatever the file holds.

    Raises:
        SourceError: A line is longer than 8 MiB.
    """
    rest = ""
    for block in texts(stream, encoding):
        *whole, rest = (rest + block).split("\n")
        # Only the first line can have begun in an earlier block.
        if len(rest) > LONGEST_RECORD or (whole and len(whole[0]) > LONGEST_RECORD):
            raise too_long(name)
        if whole:
            yield [line.removesuffix("\r") for line in whole]
    if rest:
        yield [rest.removesuffix("\r")]


def too_long(name: str) -> SourceError:
    """The error of a record that does not fit in memory's bound."""
    return SourceError(
        f"file {name} has a record longer than {LONGEST_RECORD // 1024 // 1024} MiB: "
        "it is no such file, or it needs to be split up"
    )
