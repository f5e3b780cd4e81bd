"""What a table keeps, and how what it does not keep any more disappears from disk."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from ..core import ConfigError, Ref, SchemaMismatch, Workspace
from .delete import delete
from .delta_log import arrow_schema, is_empty_creation, list_tables, open_delta, require
from .features import check_writable
from .leftovers import forget_statistics, remove_leftovers
from .storage_errors import storage_errors

_SPAN = re.compile(r"([1-9][0-9]*)(s|min|h|d|w)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_KEYS = {"keep": "raylake.keep", "by": "raylake.keepBy", "history": "raylake.history", "versions": "raylake.versions"}


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a table keeps rows and versions; lies in the table itself. Nothing set keeps everything.

    Attributes:
        keep: Rows whose `by` is older than this are deleted: ``90d``, ``12h``, ``2w``, ``30min``, ``10s``.
        by: The column of event time (timestamp or date) that `keep` looks at.
        history: Versions younger than this can be read.
        versions: At least so many newest versions can be read.

    Raises:
        ConfigError: A value is not valid.

    Example:
        >>> Retention(keep="90d", by="scheduled_at", history="7d", versions=10).keep
        '90d'
    """

    keep: str = ""
    by: str = ""
    history: str = ""
    versions: int = 0

    def __post_init__(self) -> None:
        for name in ("keep", "history"):
            if getattr(self, name):
                span(getattr(self, name), name)
        if bool(self.keep) != bool(self.by):
            raise ConfigError(f"keep={self.keep!r} and by={self.by!r} go together: say by which column rows expire")
        if self.versions < 0:
            raise ConfigError(
                f"versions={self.versions} is not valid: use 0 (no rule) or the number of versions to keep"
            )


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What a clean-up did to one table.

    Attributes:
        name: ``namespace.name``.
        rows: Expired rows that were deleted.
        files: Files that were removed from disk.
    """

    name: str
    rows: int
    files: int


def span(text: str, what: str = "span") -> timedelta:
    """A length of time such as ``90d``.

    Raises:
        ConfigError: It is not one.
    """
    found = _SPAN.fullmatch(text)
    if not found:
        raise ConfigError(f"{what}={text!r} is not a length of time: use 90d, 12h, 2w, 30min or 10s")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def set_retention(ws: Workspace, name: str, retention: Retention) -> None:
    """Set what a table keeps; `clean_up` acts on it.

    Raises:
        NotFound: There is no such table.
        SchemaMismatch: The column does not exist, or is neither timestamp nor date.

    Example: see `clean_up`.

        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "numbers", pa.table({"n": [1]}))
        >>> set_retention(ws, "numbers", Retention(versions=5))
        >>> retention_of(ws, "numbers").versions
        5
    """
    ref = Ref.parse(name)
    table = require(ws, ref)
    if retention.by:
        schema = arrow_schema(table)
        kind = schema.field(retention.by).type if retention.by in schema.names else None
        if kind is None or not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise SchemaMismatch(
                f"rows of table {name!r} cannot expire by {retention.by!r} ({kind}): name a timestamp or "
                f"date column of {schema.names}"
            )
    check_writable(table, ws.table_url(ref))
    values = {key: str(getattr(retention, field) or "") for field, key in _KEYS.items()}
    with storage_errors(ws.table_url(ref)):
        table.alter.set_table_properties(values, raise_if_not_exists=False)


def retention_of(ws: Workspace, name: str) -> Retention:
    """What a table keeps.

    Raises:
        NotFound: There is no such table.

    Example: see `set_retention`.

        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "numbers", pa.table({"n": [1]}))
        >>> retention_of(ws, "numbers")
        Retention(keep='', by='', history='', versions=0)
    """
    return _declared(require(ws, Ref.parse(name)))


def clean_up(ws: Workspace, tables: Iterable[str] | None = None, *, now: datetime | None = None) -> list[CleanUp]:
    """Act on the retention of tables: delete expired rows, remove files that no kept version needs. To run regularly.

    Safe beside writers, whose files stay, and safe to kill: run it again.

    Args:
        ws: The workspace.
        tables: Names; by default every table that has a retention.
        now: The instant that counts as now.

    Raises:
        NotFound: A named table does not exist.

    Example:
        >>> import tempfile
        >>> from raylake.data import facts, write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> days = pa.table({"at": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)]})
        >>> _ = write(ws, "visits", days)
        >>> set_retention(ws, "visits", Retention(keep="90d", by="at", versions=1))
        >>> clean_up(ws, now=datetime(2024, 6, 2, tzinfo=UTC))
        [CleanUp(name='main.visits', rows=1, files=1)]
        >>> facts(ws, "visits").rows
        1
    """
    moment = now or datetime.now(UTC)
    refs = list_tables(ws) if tables is None else [Ref.parse(name) for name in tables]
    done = []
    for ref in refs:
        table = open_delta(ws.table_url(ref)) if tables is None else require(ws, ref)
        if table is None or is_empty_creation(table):
            continue
        rule = _declared(table)
        if rule == Retention():
            continue
        rows = _expire(ws, ref, table, rule, moment) if rule.keep else 0
        files = 0
        if rule.history or rule.versions:
            oldest = moment - span(rule.history) if rule.history else None
            files = remove_leftovers(ws, ref, oldest=oldest, versions=max(1, rule.versions))
        done.append(CleanUp(ref.qualified, rows, files))
    return done


def purge(ws: Workspace, name: str) -> int:
    """Remove from disk whatever the newest version does not need: deleted and expired rows are really gone.

    Removed are the files of older versions and of killed writers, old checkpoints of the log, and the statistics
    (least and greatest values) that the log kept of removed files. Files of writers at work stay. Older versions cannot
    be read afterwards. Backups are not touched: see `prune_backups`.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``.

    Returns:
        How many data files were removed.

    Raises:
        NotFound: There is no such table.
        StorageError: A file cannot be removed; run it again.

    Example:
        >>> import tempfile
        >>> from raylake.data import delete, write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "numbers", pa.table({"n": [1, 2]}))
        >>> _ = delete(ws, "numbers", [("n", "==", 1)])
        >>> purge(ws, "numbers")
        1
    """
    ref = Ref.parse(name)
    removed = remove_leftovers(ws, Ref(ref.name, namespace=ref.namespace), versions=1)
    forget_statistics(ws, Ref(ref.name, namespace=ref.namespace))
    return removed


def vacuum(ws: Workspace, ref: Ref | str, *, keep_hours: int = 168) -> int:
    """Remove files that no version within `keep_hours` needs, files of killed writers included.

    Files of writers that are at work stay, however old they are.

    Args:
        ws: The workspace.
        ref: The table.
        keep_hours: Files that were needed, or written, within this time stay.

    Returns:
        How many files were removed. Versions older than `keep_hours` can no longer be read.

    Raises:
        NotFound: There is no such table.
        StorageError: A file cannot be removed; run it again.

    Example:
        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = write(ws, "numbers", pa.table({"n": [1]}))
        >>> vacuum(ws, "numbers")
        0
    """
    parsed = Ref.parse(ref) if isinstance(ref, str) else ref
    oldest = datetime.fromtimestamp(time.time() - keep_hours * 3600, UTC)
    return remove_leftovers(ws, Ref(parsed.name, namespace=parsed.namespace), oldest=oldest, orphans_before=oldest)


def _declared(table: DeltaTable) -> Retention:
    told = table.metadata().configuration
    found = {field: told.get(key, "") for field, key in _KEYS.items()}
    return Retention(found["keep"], found["by"], found["history"], int(found["versions"] or 0))


def _expire(ws: Workspace, ref: Ref, table: DeltaTable, rule: Retention, moment: datetime) -> int:
    kind = arrow_schema(table).field(rule.by).type
    limit = moment - span(rule.keep)
    bound = pa.scalar(limit.date() if pa.types.is_date(kind) else limit, kind)
    before = table.version()
    version = delete(ws, ref.qualified, pc.field(rule.by) < bound, operation="expire")
    return int(version.metrics.get("rows_deleted", 0)) if version.version > before else 0
