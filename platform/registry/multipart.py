"""A large file in parts that arrive in any order, each hashed, then joined into one stored file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from uuid import uuid4

from ..core import Conflict, InvalidName, NotFound, Workspace, urls
from .artifacts import Incoming, chunks, discard, failures, partial_url

MOST_PARTS = 10_000
_UPLOAD = re.compile(r"[0-9a-f]{32}")


def start_upload() -> str:
    """The id of a new upload; nothing is stored yet.

    Example:
        >>> len(start_upload())
        32
    """
    return uuid4().hex


def part_name(upload: str, number: int) -> str:
    """Name of a part among the unfinished files.

    Raises:
        InvalidName: The id or the number (1 to 10,000) is not valid.

    Example:
        >>> part_name("ab" * 16, 3)
        'abababababababababababababababab.00003'
    """
    if not isinstance(upload, str) or not _UPLOAD.fullmatch(upload):
        raise InvalidName(f"upload {upload!r:.100} is not valid: use the 32 hexadecimal digits that create returned")
    if not 1 <= number <= MOST_PARTS:
        raise InvalidName(f"part {number} is not valid: use 1 to {MOST_PARTS}")
    return f"{upload}.{number:05}"


def join_parts(ws: Workspace, upload: str, parts: Mapping[int, str]) -> tuple[str, int]:
    """Join the parts in the order of their numbers, store the file, and return its digest and size.

    Args:
        ws: The workspace.
        upload: What `start_upload` returned.
        parts: Number to SHA-256 of each part, as they were answered when the part was stored.

    Raises:
        NotFound: A part never arrived.
        Conflict: There are no parts, or a part has other content than `parts` says.
        StorageError: The storage is full, read-only or unreachable.

    Example:
        >>> import tempfile
        >>> ws, upload = Workspace.open(tempfile.mkdtemp()), start_upload()
        >>> digests = {}
        >>> for number, text in ((2, b"lo"), (1, b"hel")):
        ...     incoming = Incoming(ws)
        ...     incoming.write(text)
        ...     digests[number] = incoming.keep(part_name(upload, number))
        >>> from raylake.registry import get_bytes
        >>> get_bytes(ws, join_parts(ws, upload, digests)[0])
        b'hello'
    """
    if not parts:
        raise Conflict(f"upload {upload} has no parts: send at least one")
    names = {part_name(upload, number): digest for number, digest in sorted(parts.items())}
    incoming = Incoming(ws)
    try:
        for name, digest in names.items():
            _append(ws, incoming, name, digest)
    except BaseException:
        incoming.discard()
        raise
    stored = incoming.finish()
    drop_parts(ws, upload)
    return stored, incoming.size


def drop_parts(ws: Workspace, upload: str) -> None:
    """Remove every part of an upload that has arrived.

    Example:
        >>> import tempfile
        >>> drop_parts(Workspace.open(tempfile.mkdtemp()), start_upload())
    """
    part_name(upload, 1)
    from pyarrow.fs import FileSelector

    with failures(partial_url(ws, upload)):
        files, folder = urls.filesystem(urls.join(ws.artifacts_url, "partial"))
        for info in files.get_file_info(FileSelector(folder, allow_not_found=True)):
            if info.base_name.startswith(f"{upload}."):
                discard(files, info.path)


def _append(ws: Workspace, incoming: Incoming, name: str, digest: str) -> None:
    url, found = partial_url(ws, name), hashlib.sha256()
    with failures(url):
        files, path = urls.filesystem(url)
        try:
            source = files.open_input_stream(path)
        except FileNotFoundError as error:
            raise NotFound(f"part {name} has not arrived: send it before the upload is completed") from error
        with source:
            for chunk in chunks(source):
                found.update(chunk)
                incoming.write(chunk)
    if found.hexdigest() != digest.strip('"'):
        raise Conflict(f"part {name} has hash {found.hexdigest()}, and {digest} was named: send it again")
