"""Folders as artifacts: every file stored once, and a manifest that lists them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from ..core import ArtifactCorrupt, DataError, InvalidName, NotFound, StorageError, Workspace
from .artifacts import check_digest, fetch_file, get_bytes, put_bytes, put_file


def put_folder(ws: Workspace, folder: str | Path) -> str:
    """Store every file of a local folder and a manifest, and return the manifest's digest.

    The manifest is JSON, ``{relative path: {"sha256": digest, "size": bytes}}``, with sorted keys: equal
    folders have equal digests. Empty sub-folders are not kept.

    Raises:
        NotFound: `folder` is not a folder.
        DataError: It contains something else than files and folders, such as a symbolic link.
        StorageError: The storage is full, read-only or unreachable.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> model = Path(ws.root) / "model"
        >>> model.mkdir()
        >>> _ = (model / "model.json").write_text("{}")
        >>> list(fetch_folder(ws, put_folder(ws, model), Path(ws.root) / "copy").iterdir())[0].name
        'model.json'
    """
    base = Path(folder)
    if not base.is_dir():
        raise NotFound(f"folder {str(base)!r} does not exist: name a folder")
    manifest = {}
    for path in sorted(base.rglob("*")):
        name = path.relative_to(base).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise DataError(f"{name!r} in {str(base)!r} is neither a file nor a folder: store copies instead of links")
        if path.is_file():
            manifest[_checked(name)] = {"sha256": put_file(ws, path), "size": path.stat().st_size}
    return put_bytes(ws, json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode())


def fetch_folder(ws: Workspace, digest: str, dest: str | Path) -> Path:
    """Copy a stored folder to `dest`, every hash checked.

    It is completed beside `dest` and then moved: a failure leaves `dest` as it was. Files that `dest` has
    already are replaced when the folder has them too, and stay otherwise.

    Args:
        ws: The workspace.
        digest: What `put_folder` returned.
        dest: A folder, created when it is missing.

    Raises:
        ArtifactCorrupt: A file is missing or changed, or the manifest is not one (or names a path outside).
        StorageError: The storage is unreachable, or `dest` cannot be written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> model = Path(tempfile.mkdtemp())
        >>> _ = (model / "model.json").write_text("{}")
        >>> copy = fetch_folder(ws, put_folder(ws, model), Path(tempfile.mkdtemp()) / "copy")
        >>> [path.name for path in copy.iterdir()]
        ['model.json']
    """
    target = Path(dest)
    manifest = read_manifest(ws, digest)
    partial = target.with_name(f".{target.name}.{uuid4().hex}")
    with _writing(target):
        try:
            partial.mkdir(parents=True)
            for name, entry in manifest.items():
                fetch_file(ws, entry["sha256"], partial / name)
            _move_into(partial, target, manifest)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def read_manifest(ws: Workspace, digest: str) -> dict[str, dict[str, Any]]:
    """The manifest of a stored folder, checked.

    Raises:
        ArtifactCorrupt: It is missing or changed, or it is not a manifest.
    """
    data = get_bytes(ws, digest)
    try:
        manifest = json.loads(data)
        for name, entry in manifest.items():
            _checked(name)
            check_digest(entry["sha256"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactCorrupt(f"artifact {digest} is not a manifest of a folder: {error}") from error
    return dict(manifest)


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or str(path) != name:
        raise InvalidName(f"path {name!r} in a folder is not valid: use a relative path without '..' and '\\'")
    return name


def _move_into(partial: Path, target: Path, names: Iterable[str]) -> None:
    try:
        partial.rename(target)  # atomic; also onto an empty folder
    except OSError:
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).replace(target / name)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written: {error.strerror}. Name a writable folder on a disk with free space"
        ) from error
