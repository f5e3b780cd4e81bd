"""A Source: a named feed into one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import pyarrow as pa

from ..core import ConfigError, PipelineInvalid, Ref, check_name, duration
from .arrow_types import arrow_type
from .commits import SchemaMode, SourceMode
from .connector import Connector
from .expectations import Expectation, not_null, unique
from .notations import check_formats

Late = Literal["quarantine", "drop", "keep"]


@dataclass(frozen=True, slots=True)
class Source:
    """A named feed: connector, schema, expectations and write mode.

    Attributes:
        name: Name of the source; rows that fail go to ``quarantine.<name>``.
        connector: Where the rows come from: `Csv`, `Parquet`, or any `Connector`.
        schema: Column name to ``int64``, ``int32``, ``float64``, ``float32``, ``string``, ``bool``, ``timestamp`` or
            ``date``. Without it the schema is discovered at the first ingest and kept for later ones.
        key: Columns that identify a row; the expectations ``not_null`` and ``unique`` of them are implied.
        event_time: Column that says when the row's event happened; must be a timestamp or a date.
        expectations: Declared rules, checked in this order; a row is blamed on the first that it breaks.
        transform: Called with typed rows (a part of a file at a time) before expectations; a top-level function from
            table to table, picklable, each row on its own.
        mode: ``append`` new files; ``overwrite`` the table with all of them whenever one changed; ``merge`` new files
            by `key` (of two rows with one key the newer `event_time` counts, without one the row read last); ``scd2``:
            keep every state of a key from its `event_time` on, see `raylake.data.scd2`.
        partition_by: Partition columns of the table.
        table: Table to write, ``name`` or ``namespace.name``; by default the source's name.
        null_values: Texts that mean null.
        formats: Column to how its numbers or times are written, where not as ``1234.5`` or ISO 8601: ``1.234,5``,
            ``%d.%m.%Y``, or several: ``%d.%m.%Y | %Y-%m-%d``. See `raylake.data.notations`.
        schema_mode: ``enforce``, or ``evolve`` to accept new columns.
        every: When to look for something new: a span such as ``5m``, or cron's five fields and perhaps a time zone,
            ``30 6 * * mon-fri Europe/Berlin`` (UTC without one). What `save_source` schedules. A continuous source
            waits this span between micro-batches (default ``1s``).
        continuous: Whether it runs as micro-batches in an actor of its own, rather than on a schedule.
        lateness: How long after the newest event an older one is still in time, such as ``10m``, by `event_time`.
        late: Where events that come later go: ``quarantine``, ``drop``, or ``keep`` (into the table all the same).

    Raises:
        InvalidName: A name breaks the rule.
        ConfigError: A type, or mode, is unknown.

    Example:
        >>> from raylake.data import Csv, between
        >>> flights = Source("flights", Csv("raw/*.csv"), key=["id"], expectations=[between("distance", 1, 6000)])
        >>> str(flights.ref), [rule.name for rule in flights.rules]
        ('flights', ['not_null(id)', 'between(distance, 1, 6000)', 'unique(id)'])
    """

    name: str
    connector: Connector
    schema: Mapping[str, str] | None = None
    key: Sequence[str] = ()
    event_time: str | None = None
    expectations: Sequence[Expectation] = ()
    transform: Callable[[pa.Table], pa.Table] | None = None
    mode: SourceMode = "append"
    partition_by: Sequence[str] = field(default=())
    table: str | None = None
    null_values: Sequence[str] = ("", "NA")
    formats: Mapping[str, str] = field(default_factory=dict)
    schema_mode: SchemaMode = "enforce"
    every: str | None = None
    continuous: bool = False
    lateness: str | None = None
    late: Late = "quarantine"

    def __post_init__(self) -> None:
        check_name(self.name, "source name")
        self._check_times()
        for column, dtype in (self.schema or {}).items():
            arrow_type(dtype, column)
        if self.mode not in get_args(SourceMode):
            raise ConfigError(
                f"mode={self.mode!r} of source {self.name!r} is not valid: use one of {', '.join(get_args(SourceMode))}"
            )
        if self.keyed and not self.key:
            raise ConfigError(
                f"source {self.name!r} has mode={self.mode!r} but no key: name the columns that identify a row"
            )
        if self.schema_mode not in ("enforce", "evolve"):
            raise ConfigError(
                f"schema_mode={self.schema_mode!r} of source {self.name!r} is not valid: use 'enforce' or 'evolve'"
            )
        if isinstance(self.key, str) or isinstance(self.partition_by, str):
            raise ConfigError(f"key and partition_by of source {self.name!r} are lists of columns, such as ['id']")
        check_formats(self.formats, self.schema, self.name)
        _ = self.ref

    def _check_times(self) -> None:
        if self.every is not None:
            self._check_every(self.every)
        if self.lateness is not None:
            duration(self.lateness, f"lateness of source {self.name!r}")
        if self.late not in ("quarantine", "drop", "keep"):
            raise ConfigError(f"late={self.late!r} of source {self.name!r}: use 'quarantine', 'drop' or 'keep'")
        if self.lateness is not None and self.event_time is None:
            raise ConfigError(f"lateness of source {self.name!r} needs event_time: name the column of the event's time")

    def _check_every(self, every: str) -> None:
        if len(every.split()) not in (5, 6) or self.continuous:
            duration(every, f"every of source {self.name!r}")
            return
        # Only cron needs the pipelines, which are slow to import.
        from .streaming.scheduled import trigger_of

        try:
            trigger_of(every)
        except PipelineInvalid as error:
            raise ConfigError(f"every of source {self.name!r}: {error}") from error

    @property
    def ref(self) -> Ref:
        """The table that it feeds."""
        return Ref.parse(self.table or self.name)

    @property
    def keyed(self) -> bool:
        """Whether rows replace, or follow, those with the same key."""
        return self.mode in ("merge", "scd2")

    @property
    def quarantine(self) -> Ref:
        """The table of its rejected rows."""
        return Ref(self.name, namespace="quarantine")

    @property
    def app_id(self) -> str:
        """Identifier of its Delta transactions."""
        return f"ingest:{self.name}"

    @property
    def rules(self) -> tuple[Expectation, ...]:
        """Every expectation, those implied by `key` included; the ones about whole batches last."""
        implied = [not_null(column) for column in self.key]
        implied += [unique(*self.key)] if self.key and not self.keyed else []
        listed = tuple(dict.fromkeys([*implied, *self.expectations]))
        return tuple(sorted(listed, key=lambda rule: rule.whole))

    @property
    def declared(self) -> pa.Schema | None:
        """The declared schema as Arrow, or ``None``."""
        if self.schema is None:
            return None
        return pa.schema([(column, arrow_type(dtype, column)) for column, dtype in self.schema.items()])
