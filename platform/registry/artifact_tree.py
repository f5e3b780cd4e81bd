"""The artifact tree: what the MLflow client sees as folders is a mapping from checked paths to digests.

Two kinds of folders are not entries but views, read-only: ``sha256/<digest>`` is any stored folder by its digest
(that is where a model version's files are found), and ``<experiment>/<run>/artifacts/model`` is the folder that a
run of raylake's own produced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from ..core import Conflict, NotFound, Workspace
from .artifact_paths import check_path, parents, split
from .artifacts import check_digest, put_bytes
from .engine import now, reading, writing
from .folders import read_manifest
from .rows import insert_new, upsert
from .schema import ArtifactEntryRow, RunRow

STORED = "sha256"
_OWN_RUN = re.compile(r"[^/]+/([0-9a-f]{32})/artifacts/model")


@dataclass(frozen=True, slots=True)
class ArtifactEntry:
    """One file or folder of the artifact tree.

    Attributes:
        path: Path in the tree.
        digest: SHA-256 of a file; ``None`` for a folder.
        size: Bytes of a file; 0 for a folder.
    """

    path: str
    digest: str | None = None
    size: int = 0

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return split(self.path)[1]


def add_artifact(ws: Workspace, path: str, digest: str, size: int) -> ArtifactEntry:
    """Give a stored file a place in the tree; a file that is there already is replaced.

    Args:
        ws: The workspace.
        path: Where, such as ``0/<run>/artifacts/model/model.ubj``; folders above come by themselves.
        digest: What `put_file` returned.
        size: Its bytes.

    Raises:
        InvalidName: The path or digest is not valid.
        Conflict: The path is a folder, goes through a file, or lies in a read-only folder.

    Example:
        >>> import tempfile
        >>> from raylake.registry import put_bytes
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> add_artifact(ws, "0/notes/a.txt", put_bytes(ws, b"hello"), 5).size
        5
        >>> [entry.path for entry in list_artifacts(ws, "0/notes")]
        ['0/notes/a.txt']
    """
    _refuse_views(check_path(path))
    check_digest(digest)
    at = now()
    with writing(ws) as session:
        above = parents(path)
        _refuse_files(session, above)
        known = _entry(session, path)
        if known is not None and known.digest is None:
            raise Conflict(f"artifact path {path!r} is a folder: name a file in it")
        folders = [dict(zip(("folder", "name"), split(each), strict=True)) for each in above]
        insert_new(
            session, ArtifactEntryRow, [{**each, "digest": None, "size": 0, "created_at": at} for each in folders]
        )
        folder, name = split(path)
        row = {"folder": folder, "name": name, "digest": digest, "size": size, "created_at": at}
        upsert(session, ArtifactEntryRow, [row], key=["folder", "name"], changed=["digest", "size", "created_at"])
    return ArtifactEntry(path, digest, size)


def find_artifact(ws: Workspace, path: str) -> ArtifactEntry:
    """The file or folder at `path`.

    Raises:
        InvalidName: The path is not valid.
        NotFound: Nothing is there.

    Example:
        >>> import tempfile
        >>> find_artifact(Workspace.open(tempfile.mkdtemp()), "0/a.txt")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: no artifact is stored at '0/a.txt'
    """
    view = _view(ws, check_path(path))
    if view is not None:
        return _in_manifest(path, *view)
    with reading(ws) as session:
        row = _entry(session, path)
    if row is None:
        raise NotFound(f"no artifact is stored at {path!r}")
    return ArtifactEntry(path, row.digest, row.size)


def list_artifacts(ws: Workspace, folder: str = "") -> list[ArtifactEntry]:
    """What lies directly in a folder, by name; of a file, the file itself; empty where nothing is.

    Raises:
        InvalidName: The path is not valid.

    Example:
        >>> import tempfile
        >>> list_artifacts(Workspace.open(tempfile.mkdtemp()), "0")
        []
    """
    if folder:
        view = _view(ws, check_path(folder))
        if view is not None:
            return _children(folder, *view)
    with reading(ws) as session:
        query = select(ArtifactEntryRow).where(ArtifactEntryRow.folder == folder).order_by(col(ArtifactEntryRow.name))
        found = [_record(row) for row in session.exec(query)]
        own = _entry(session, folder) if folder and not found else None
        if own is not None and own.digest is not None:
            return [_record(own)]
        return found + _own_model(session, folder, found)


def remove_artifact(ws: Workspace, path: str) -> int:
    """Take a file, or a folder with everything in it, out of the tree and return the number of files.

    What they contain stays stored until `collect_garbage` finds that nothing else refers to it.

    Raises:
        InvalidName: The path is not valid.
        Conflict: It lies in a read-only folder.

    Example:
        >>> import tempfile
        >>> remove_artifact(Workspace.open(tempfile.mkdtemp()), "0/nothing")
        0
    """
    _refuse_views(check_path(path))
    with writing(ws) as session:
        rows = [*_below(session, path)]
        own = _entry(session, path)
        for row in [*rows, *([own] if own is not None else [])]:
            session.delete(row)
        return sum(row.digest is not None for row in rows) + (own is not None and own.digest is not None)


def snapshot_artifacts(ws: Workspace, folder: str) -> str:
    """Store what a folder of the tree holds now as an immutable folder and return its digest.

    Nothing is copied: the files are stored already, and the digest is that of the list of them (see `put_folder`).
    A single file becomes a folder with that file.

    Raises:
        InvalidName: The path is not valid.
        NotFound: No file is there.

    Example:
        >>> import tempfile
        >>> from raylake.registry import put_bytes
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = add_artifact(ws, "0/notes/a.txt", put_bytes(ws, b"hello"), 5)
        >>> [entry.path for entry in list_artifacts(ws, "sha256/" + snapshot_artifacts(ws, "0/notes"))][0][-6:]
        '/a.txt'
    """
    view = _view(ws, check_path(folder))
    if view is not None:
        files = _under(*view)
    else:
        with reading(ws) as session:
            own = _entry(session, folder)
            rows = [own] if own is not None and own.digest is not None else [*_below(session, folder)]
            above = split(folder)[0] if own is not None and own.digest is not None else folder
            files = {
                _path(row).removeprefix(f"{above}/"): {"sha256": row.digest, "size": row.size}
                for row in rows
                if row.digest is not None
            }
    if not files:
        raise NotFound(f"no artifact is stored at {folder!r}: log the model before it is registered")
    return put_bytes(ws, json.dumps(files, sort_keys=True, separators=(",", ":")).encode())


def _view(ws: Workspace, path: str) -> tuple[Mapping[str, Mapping[str, Any]], str] | None:
    """The manifest of the read-only folder that `path` lies in, and the path inside it."""
    head, _, rest = path.partition("/")
    if head == STORED:
        digest, _, inner = rest.partition("/")
        return (read_manifest(ws, check_digest(digest)), inner) if digest else ({}, "")
    own = _OWN_RUN.match(path)
    if own is None or path[own.end() : own.end() + 1] not in ("", "/"):
        return None
    with reading(ws) as session:
        if _entry(session, own.group()) is not None:
            return None
        artifact = session.exec(select(RunRow.artifact).where(RunRow.id == own.group(1))).first()
    return None if artifact is None else (read_manifest(ws, artifact), path[own.end() + 1 :])


def _own_model(session: Session, folder: str, found: list[ArtifactEntry]) -> list[ArtifactEntry]:
    """The view ``model`` in the folder of a run that raylake itself made."""
    path = f"{folder}/model"
    own = _OWN_RUN.fullmatch(path)
    if own is None or any(entry.name == "model" for entry in found):
        return []
    artifact = session.exec(select(RunRow.artifact).where(RunRow.id == own.group(1))).first()
    return [] if artifact is None else [ArtifactEntry(path)]


def _under(manifest: Mapping[str, Mapping[str, Any]], inner: str) -> dict[str, dict[str, Any]]:
    if inner in manifest:
        return {split(inner)[1]: dict(manifest[inner])}
    prefix = f"{inner}/" if inner else ""
    return {name.removeprefix(prefix): dict(facts) for name, facts in manifest.items() if name.startswith(prefix)}


def _in_manifest(path: str, manifest: Mapping[str, Mapping[str, Any]], inner: str) -> ArtifactEntry:
    if inner in manifest:
        return ArtifactEntry(path, manifest[inner]["sha256"], int(manifest[inner]["size"]))
    if not _under(manifest, inner):
        raise NotFound(f"no artifact is stored at {path!r}")
    return ArtifactEntry(path)


def _children(path: str, manifest: Mapping[str, Mapping[str, Any]], inner: str) -> list[ArtifactEntry]:
    if inner in manifest:
        return [_in_manifest(path, manifest, inner)]
    below = _under(manifest, inner)
    names = sorted({name.partition("/")[0] for name in below})
    facts = {name: below.get(name, {"sha256": None, "size": 0}) for name in names}
    return [ArtifactEntry(f"{path}/{name}", facts[name]["sha256"], int(facts[name]["size"])) for name in names]


def _refuse_views(path: str) -> None:
    if path.partition("/")[0] == STORED:
        raise Conflict(f"artifact path {path!r} lies in {STORED}/, which holds stored folders by digest: use another")


def _refuse_files(session: Session, paths: list[str]) -> None:
    for path in paths:
        row = _entry(session, path)
        if row is not None and row.digest is not None:
            raise Conflict(f"artifact path {path!r} is a file: nothing can be stored below it")


def _entry(session: Session, path: str) -> ArtifactEntryRow | None:
    return session.get(ArtifactEntryRow, split(path))


def _below(session: Session, folder: str) -> Iterator[ArtifactEntryRow]:
    rows = session.exec(select(ArtifactEntryRow).where(ArtifactEntryRow.folder == folder)).all()
    for row in rows:
        yield row
        if row.digest is None:
            yield from _below(session, _path(row))


def _path(row: ArtifactEntryRow) -> str:
    return f"{row.folder}/{row.name}" if row.folder else row.name


def _record(row: ArtifactEntryRow) -> ArtifactEntry:
    return ArtifactEntry(_path(row), row.digest, row.size)
