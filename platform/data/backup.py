"""Backups of a whole workspace to another root: consistent, incremental, checked by hash; and the way back.

Below the target: ``objects/<ab>/<sha256>`` holds every content once; ``backups/<id>.json``, written last, says which
content stood under which name. A second backup reads only what changed. Restoring again and again into a workspace in
another region keeps a copy there that lags by one run.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pyarrow import fs

from .. import registry
from ..core import ConfigError, Conflict, Workspace, urls
from .backup_store import (
    Backup,
    Copier,
    Stored,
    backups,
    bring,
    check,
    files_of,
    find_backup,
    listing,
    newest_files,
    put_text,
)
from .delta_log import list_tables, open_delta
from .leftovers import needed_files
from .live_files import live_files
from .storage_errors import storage_errors

_CHUNK = 1 << 20
_REGISTRY = "registry.jsonl"
_THREADS = 8


def backup(ws: Workspace, to: str | Path) -> Backup:
    """Back up tables (every version that can be read), registry and artifacts; the online store can be filled again.

    The registry is read first, in one transaction, then each table at one version: whatever the registry names is in
    the backup. Writers need not stop. Killed in between it leaves no backup, only content that the next one uses.

    Args:
        ws: The workspace.
        to: Another root: a local path or URL.

    Raises:
        ConfigError: `to` lies inside the workspace.
        Conflict: A clean-up removed files meanwhile: run it again.
        StorageError: `to` cannot be written.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa
        >>> from raylake.data import table, write
        >>> ws, other = Workspace.open(tempfile.mkdtemp()), Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "numbers", pa.table({"n": [1]}))
        >>> target = tempfile.mkdtemp()
        >>> made = backup(ws, target)
        >>> restore_backup(target, other).id == made.id, table(other, "numbers")["n"].to_pylist()
        (True, [1])
    """
    target = urls.normalise(to)
    if target == ws.root or target.startswith(f"{ws.root}/"):
        raise ConfigError(f"backup target {target} lies inside the workspace {ws.root}: name another root")
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="raylake-backup-") as scratch:
        records = Path(scratch, _REGISTRY)
        with records.open("wb") as out:
            registry.dump_records(ws, out)
        copy = Copier(target, newest_files(target))
        stored = [copy.file(str(scratch), _REGISTRY)]
        tables, paths = _inventory(ws)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="backup") as pool:
            stored += pool.map(lambda path: copy.file(ws.root, path), paths)
    name = f"{began:%Y%m%dT%H%M%S%fZ}-{uuid4().hex[:6]}"
    made = Backup(name, began, tables, len(stored), sum(one.size for one in stored), sum(copy.copied))
    told = {**asdict(made), "made_at": began.isoformat(), "stored": [asdict(one) for one in stored]}
    put_text(f"{target}/backups/{name}.json", json.dumps(told).encode())
    return made


def restore_backup(source: str | Path, ws: Workspace, *, id: str | None = None, update: bool = False) -> Backup:  # noqa: A002
    """Bring a workspace to the state of a backup; every file's hash is checked on the way.

    Files first, each table's log after its files, the registry last: killed in between, run it again with `update`.

    Args:
        source: Where the backups are.
        ws: The workspace to fill.
        id: Which backup; the newest by default.
        update: Whether the workspace may have tables and records: they become those of the backup, and only what
            differs is copied. Nobody may write to it meanwhile.

    Raises:
        NotFound: There is no such backup; the message lists those that are.
        Conflict: The workspace is not empty and `update` is false.
        ArtifactCorrupt: A content of the backup is missing or changed.
        StorageError: The workspace cannot be written.

    Example: see `backup`.

        >>> import tempfile
        >>> restore_backup(tempfile.mkdtemp(), Workspace.open(tempfile.mkdtemp()))
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: there is no backup at ...; backups: none
    """
    root = urls.normalise(source)
    wanted = find_backup(root, id)
    if list_tables(ws) and not update:
        raise Conflict(f"workspace {ws.root} has tables already: name an empty one, or allow to replace them (update)")
    stored = files_of(root, wanted.id)
    files = sorted((one for one in stored if one.path != _REGISTRY), key=_log_last)
    present = listing(ws.root)
    missing = [one for one in files if present.get(one.path) != one.size or "/_delta_log/" in one.path]
    data_files = [one for one in missing if "/_delta_log/" not in one.path]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="restore") as pool:
        list(pool.map(lambda one: bring(root, one, f"{ws.root}/{one.path}"), data_files))
    if update:
        _remove_others(ws, {one.path for one in files})
    for one in missing:
        if "/_delta_log/" in one.path:
            bring(root, one, f"{ws.root}/{one.path}")
    with tempfile.TemporaryDirectory(prefix="raylake-restore-") as scratch:
        records = next(one for one in stored if one.path == _REGISTRY)
        bring(root, records, f"{scratch}/{_REGISTRY}")
        with Path(scratch, _REGISTRY).open("rb") as stream:
            registry.load_records(ws, stream, replace=update)
    return wanted


def verify_backup(source: str | Path, *, id: str | None = None) -> int:  # noqa: A002
    """Read every content of a backup and check its hash; returns the number of files.

    Raises:
        NotFound: There is no such backup.
        ArtifactCorrupt: A content is missing or changed; the message names its file.

    Example:
        >>> import tempfile
        >>> target = tempfile.mkdtemp()
        >>> _ = backup(Workspace.open(tempfile.mkdtemp()), target)
        >>> verify_backup(target)
        1
    """
    root = urls.normalise(source)
    stored = files_of(root, find_backup(root, id).id)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
        list(pool.map(lambda one: check(root, one), stored))
    return len(stored)


def prune_backups(source: str | Path, *, keep: int) -> int:
    """Remove all but the newest `keep` backups, and contents that none of those needs; returns how many backups went.

    Do not run it while a backup to the same root is being made.

    Raises:
        ConfigError: `keep` is less than 1.

    Example:
        >>> import tempfile
        >>> target = tempfile.mkdtemp()
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> for _ in range(3):
        ...     _ = backup(ws, target)
        >>> prune_backups(target, keep=1), len(backups(target))
        (2, 1)
    """
    if keep < 1:
        raise ConfigError(f"keep={keep} is not valid: keep at least 1 backup")
    root = urls.normalise(source)
    found = backups(root)
    old, kept = found[:-keep], found[-keep:]
    store, folder = urls.filesystem(root)
    with storage_errors(root):
        for one in old:
            store.delete_file(f"{folder}/backups/{one.id}.json")
        needed = {file.digest for one in kept for file in files_of(root, one.id)}
        for info in store.get_file_info(fs.FileSelector(f"{folder}/objects", recursive=True, allow_not_found=True)):
            if info.type == fs.FileType.File and info.base_name not in needed:
                store.delete_file(info.path)
    return len(old)


def _inventory(ws: Workspace) -> tuple[dict[str, int], list[str]]:
    """Every table's version, and the files that make up the workspace at these versions."""
    tables: dict[str, int] = {}
    paths: list[str] = []
    for ref in list_tables(ws):
        table = open_delta(ws.table_url(ref))
        if table is None:
            continue
        tables[ref.qualified] = table.version()
        inside = f"tables/{ref.namespace}/{ref.name}"
        _, known = needed_files(table, ws.table_url(ref), oldest=None, versions=1)
        present = listing(f"{ws.root}/{inside}")
        live = {file.name for file in live_files(table)}
        if lost := live - set(present):
            raise Conflict(f"files of {ref} vanished while it was backed up ({min(lost)}): run the backup again")
        log = [path for path in present if path.startswith("_delta_log/") and _belongs(path, table.version())]
        paths += [f"{inside}/{path}" for path in [*sorted(known & set(present)), *log]]
    kept = (path for path in listing(ws.artifacts_url) if path.startswith("sha256/"))
    return tables, [*paths, *(f"artifacts/{path}" for path in kept)]


def _belongs(path: str, version: int) -> bool:
    """Whether a file of the log tells of versions up to `version` (the pointer to a checkpoint can be done without)."""
    number = path.removeprefix("_delta_log/").split(".")[0]
    return number.isdecimal() and int(number) <= version


def _log_last(one: Stored) -> tuple[bool, str]:
    return "/_delta_log/" in one.path, one.path


def _remove_others(ws: Workspace, wanted: Iterable[str]) -> None:
    """Remove from the tables what the backup does not have; logs first, so that no table names a missing file."""
    keep = set(wanted)
    store, folder = urls.filesystem(ws.root)
    others = [path for path in listing(f"{ws.root}/tables") if f"tables/{path}" not in keep]
    with storage_errors(ws.root):
        for path in sorted(others, key=lambda path: "/_delta_log/" not in path):
            store.delete_file(f"{folder}/tables/{path}")
