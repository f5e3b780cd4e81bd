"""An Iceberg table as a source: what was appended to it since a snapshot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa
from pyarrow import fs

from ...core import SourceError, urls
from ..arrow_types import storable_schema
from ..connector import Cursor, RawBatch, Split
from ..optional import need
from .secrets import conceal, reveal, reveal_all

_BATCH_ROWS = 131_072
# So many bytes of files go into one split: each split plans the scan anew, to find its files' deletes.
_SPLIT_BYTES = 128 * 1024 * 1024
_RATIO = 4
_METADATA = re.compile(r"v?(\d+).*\.metadata\.json$")
# Compaction moves rows; the other operations change some.
_FOLLOWED = ("append", "replace")


@dataclass(frozen=True, slots=True)
class IcebergFeed:
    """Rows appended to an Iceberg table, whoever writes it, from one snapshot to the next. Needs ``raylake[iceberg]``.

    Snapshots that only move rows (compaction) add nothing. A snapshot that removed or changed rows cannot be followed
    by appending: it is an error, and ``Source(mode="overwrite")`` reads the table whole (row deletes applied).

    Attributes:
        table: ``namespace.name`` in a catalogue; or, without one, the table's folder or URL, or one of its
            ``.metadata.json`` files.
        catalog: Properties of pyiceberg's catalogue, such as ``{"type": "rest", "uri": "https://..."}``, and under
            ``name`` its name (``default`` without it; in a SQL catalogue the name is part of each table's address).
            Values may name environment variables as ``${NAME}``. Empty: `table` is a folder.
        start: Snapshot whose rows are taken too; snapshots before it count as known. ``None``: everything.

    Example:
        >>> IcebergFeed("shop.orders", {"type": "sql", "uri": "${CATALOG_DB}"}).table
        'shop.orders'
    """

    table: str
    catalog: Mapping[str, str] = field(default_factory=dict)
    start: int | None = None

    typed: ClassVar[bool] = True

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """A split per 128 MiB of files that were added."""
        with self._errors():
            table = self._open()
            current = table.current_snapshot()
            known = cursor["snapshot"] if cursor else self._before_start(table)
            self._check(table, cursor)
            after = {"table": str(table.metadata.table_uuid), "snapshot": current and current.snapshot_id}
            if current is None or current.snapshot_id == known:
                return [], after
            address = {"since": known, "snapshot": current.snapshot_id}
            groups = _groups([task.file for task in self._scan(table, address).plan_files()])
            return [self._split(address, group) for group in groups], after

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 131,072 rows."""
        with self._errors():
            scan = self._scan(self._open(), split.address)
            wanted = set(split.address["files"])
            tasks = [task for task in scan.plan_files() if task.file.file_path in wanted]
            if len(tasks) != len(wanted):
                raise SourceError(f"files of {self._name} were removed while they were read: run it again")
            for batch in _batches(scan, tasks):
                for at in range(0, batch.num_rows, _BATCH_ROWS):
                    rows = pa.Table.from_batches([batch.slice(at, _BATCH_ROWS)])
                    yield RawBatch(rows.cast(storable_schema(rows.schema)))

    @property
    def _name(self) -> str:
        return f"Iceberg table {conceal(self.table)}"

    def _open(self) -> Any:
        if self.catalog:
            properties = reveal_all(self.catalog)
            name = properties.pop("name", "default")
            return need("pyiceberg.catalog", "iceberg").load_catalog(name, **properties).load_table(self.table)
        static = need("pyiceberg.table", "iceberg").StaticTable
        return static.from_metadata(_newest_metadata(reveal(self.table)))

    def _before_start(self, table: Any) -> int | None:
        if self.start is None:
            return None
        found = table.snapshot_by_id(self.start)
        if found is None:
            listed = ", ".join(str(each.snapshot_id) for each in table.snapshots()[-5:])
            raise SourceError(f"{self._name} has no snapshot {self.start}; its newest are {listed or 'none'}")
        parent: int | None = found.parent_snapshot_id
        return parent

    def _check(self, table: Any, cursor: Cursor | None) -> None:
        if cursor and cursor["table"] != str(table.metadata.table_uuid):
            raise SourceError(f"{self._name} was made anew: give the source a new name to read the new table")

    def _scan(self, table: Any, address: Mapping[str, Any]) -> Any:
        since, snapshot = address["since"], address["snapshot"]
        if since is None:
            return table.scan(snapshot_id=snapshot)
        between = need("pyiceberg.table.snapshots", "iceberg").ancestors_between_ids(since, snapshot, table.metadata)
        for each in between:
            done = each.summary.operation.value if each.summary is not None else "unknown"
            if done not in _FOLLOWED:
                raise SourceError(
                    f"snapshot {each.snapshot_id} of {self._name} ({done}) removed or changed rows, which appending "
                    "cannot follow: read it with mode='overwrite'"
                )
        return table.incremental_append_scan(from_snapshot_id_exclusive=since, to_snapshot_id_inclusive=snapshot)

    def _split(self, address: Mapping[str, Any], files: Sequence[Any]) -> Split:
        size = sum(file.file_size_in_bytes for file in files)
        paths = [file.file_path for file in files]
        return Split(paths[0], {**address, "files": paths}, max(1, size * _RATIO))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What pyiceberg and its catalogues raise, as `SourceError`."""
        known = need("pyiceberg.exceptions", "iceberg")
        absent = (known.NoSuchTableError, known.NoSuchNamespaceError, known.NoSuchIdentifierError, FileNotFoundError)
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except absent as error:
            raise SourceError(f"there is no {self._name}: correct the name or the catalogue ({error})") from error
        except NotImplementedError as error:
            raise SourceError(f"{self._name} uses a feature that pyiceberg cannot read: {error}") from error
        except (ValueError, KeyError, OSError, pa.ArrowException, known.RESTError, SQLAlchemyError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(f"{self._name} cannot be read: {conceal(str(error))}") from error


def _groups(files: Sequence[Any]) -> Iterator[list[Any]]:
    """Files in runs of about `_SPLIT_BYTES`, by path, so that a repeated plan is the same."""
    group: list[Any] = []
    size = 0
    for file in sorted(files, key=lambda file: str(file.file_path)):
        if group and size + file.file_size_in_bytes > _SPLIT_BYTES:
            yield group
            group, size = [], 0
        group.append(file)
        size += file.file_size_in_bytes
    if group:
        yield group


def _batches(scan: Any, tasks: Sequence[Any]) -> Iterator[pa.RecordBatch]:
    reader = need("pyiceberg.io.pyarrow", "iceberg").ArrowScan(
        scan.table_metadata, scan.io, scan.projection(), scan.row_filter, scan.case_sensitive, None
    )
    yield from reader.to_record_batches(tasks)


def _newest_metadata(location: str) -> str:
    """The newest metadata file of a table's folder: the highest number, as all writers count."""
    if location.endswith(".metadata.json"):
        return location
    url = urls.normalise(location)
    store, folder = urls.filesystem(url)
    listed = store.get_file_info(fs.FileSelector(f"{folder}/metadata", allow_not_found=True))
    found = [(int(number[1]), info) for info in listed if (number := _METADATA.match(info.base_name))]
    if not found:
        raise SourceError(f"there is no Iceberg table at {location}: no metadata/*.metadata.json. Correct the address")
    newest = max(found, key=lambda pair: (pair[0], pair[1].mtime))[1]
    return f"{url}/metadata/{newest.base_name}"
