"""Files in a table's folder that nobody needs any more, found and removed without hurting a writer at work."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
from deltalake import DeltaTable
from pyarrow import fs

from ..core import Ref, StorageError, Workspace, urls
from .delta_log import all_entries, entries, require
from .in_flight import writing_since
from .live_files import LiveFile, live_files
from .storage_errors import storage_errors

# Clocks of machines and stores differ; a file may be a little older than its writer's marker.
_SLACK = timedelta(minutes=5)
# Rejected rows wait in the quarantine's folder until their source's next ingest, which may be days away.
_QUARANTINE_DAYS = 7


def remove_leftovers(
    ws: Workspace,
    ref: Ref,
    *,
    oldest: datetime | None = None,
    versions: int = 1,
    orphans_before: datetime | None = None,
) -> int:
    """Remove the files that no kept version needs, and those of killed writers.

    Args:
        ws: The workspace.
        ref: The table.
        oldest: Versions that were the newest at this time or later are kept.
        versions: At least so many newest versions are kept.
        orphans_before: Files that no commit named stay when they are younger than this.

    Returns:
        How many files were removed.
    """
    url = ws.table_url(ref)
    store, folder = urls.filesystem(url)
    # In this order: the files of a writer that begins now are not in the list; one at work has a marker, which is
    # older than its files; one that ends in between has committed, which the table tells, or has removed its files.
    with storage_errors(url):
        listed = store.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    begun = writing_since(url)
    table = require(ws, ref)
    needed, known = needed_files(table, url, oldest=oldest, versions=versions)
    limits = [orphans_before, None if begun is None else datetime.fromtimestamp(begun, UTC) - _SLACK]
    if ref.namespace == "quarantine":
        limits.append(datetime.now(UTC) - timedelta(days=_QUARANTINE_DAYS))
    limit = min((one for one in limits if one is not None), default=None)
    removed = 0
    for info in listed:
        path = info.path[len(folder) + 1 :]
        if info.type != fs.FileType.File or path.startswith("_") or path in needed:
            continue
        # What a commit named was complete then; what none named may be about to be committed.
        if path in known or limit is None or (info.mtime and info.mtime < limit):
            with storage_errors(url):
                _delete(store, info.path)
            removed += 1
    return removed


def needed_files(table: DeltaTable, url: str, *, oldest: datetime | None, versions: int) -> tuple[set[str], set[str]]:
    """Files that kept versions need, and all that a commit ever named."""
    needed = {file.path for file in live_files(table)}
    known = set(needed)
    cut = None if oldest is None else oldest.timestamp() * 1000
    kept = True
    for count, entry in enumerate(entries(table, url), 1):
        known |= {action["path"] for action in (*entry.added, *entry.removed)}
        # What this commit took out, the version before it needs; that one was the newest until this commit.
        kept = kept and (count < versions or (cut is not None and entry.timestamp >= cut))
        if kept:
            needed |= {action["path"] for action in entry.removed}
    # The log writes names as in a URL; the store shows them as they are.
    return needed | set(map(unquote, needed)), known | set(map(unquote, known))


def old_files(table: DeltaTable, url: str) -> list[LiveFile]:
    """Files that only older versions need and that are still on disk."""
    live = {file.path for file in live_files(table)}
    store, folder = urls.filesystem(url)
    found: dict[str, LiveFile] = {}
    for entry in entries(table, url):
        for action in entry.added:
            file = LiveFile(action["path"], action["size"], None, action.get("partitionValues") or {})
            if file.path not in live and file.name not in live:
                found[file.path] = file
    return [file for file in found.values() if store.get_file_info(f"{folder}/{file.name}").is_file]


def forget_statistics(ws: Workspace, ref: Ref) -> None:
    """Take out of the log what it tells of the values in files that are gone; counts and names stay.

    A checkpoint of the newest version is made first, so that no reader needs the changed entries.
    """
    url = ws.table_url(ref)
    table = require(ws, ref)
    live = {file.path for file in live_files(table)}
    with storage_errors(url):
        table.create_checkpoint()
        store, folder = urls.filesystem(urls.join(url, "_delta_log"))
        for info in store.get_file_info(fs.FileSelector(folder)):
            name = info.base_name
            if ".checkpoint" in name and name.endswith(".parquet") and int(name.split(".")[0]) < table.version():
                _delete(store, info.path)
        for entry in all_entries(table, url):
            gone = {action["path"] for action in entry.added} - live
            if gone:
                _redact(store, f"{folder}/{entry.version:020d}.json", gone)


def _redact(store: fs.FileSystem, path: str, gone: Iterable[str]) -> None:
    with store.open_input_stream(path) as stream:
        lines = bytes(stream.read()).splitlines()
    actions = [orjson.loads(line) for line in lines if line]
    changed = False
    for action in actions:
        add = action.get("add")
        if add and add["path"] in gone and add.get("stats"):
            short = _counts_only(add["stats"])
            changed |= short != add["stats"]
            add["stats"] = short
    if changed:
        text = b"\n".join(orjson.dumps(action) for action in actions)
        _replace(store, path, text)


def _counts_only(stats: str) -> str:
    told: dict[str, Any] = orjson.loads(stats)
    return orjson.dumps({"numRecords": told.get("numRecords")}).decode()


def _replace(store: fs.FileSystem, path: str, text: bytes) -> None:
    """Put other content under a name, at once for readers."""
    if isinstance(store, fs.LocalFileSystem):
        partial = Path(f"{path}.partial")
        partial.write_bytes(text)
        partial.replace(path)
        return
    with store.open_output_stream(path) as out:
        out.write(text)


def _delete(store: fs.FileSystem, path: str) -> None:
    try:
        store.delete_file(path)
    except FileNotFoundError:
        return
    except OSError as error:
        # On an object store pyarrow also keeps a mark for the folder, which not every store takes.
        if store.get_file_info(path).type == fs.FileType.NotFound:
            return
        raise StorageError(f"{path} cannot be removed: {error}. Correct its permissions, then run it again") from error
