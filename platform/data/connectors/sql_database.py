"""SQL databases through SQLAlchemy: whole queries, or only the rows above a watermark; several key ranges at once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar

import sqlalchemy as sa

from ...core import ConfigError, SourceError, duration
from ..connector import Cursor, RawBatch, Split
from ..records import BATCH_ROWS, grouped, table_of
from .secrets import conceal, reveal

# The rows around the watermark are remembered by digest; more of them would bloat every commit.
_MOST_SEEN = 20_000
_ROW_BYTES = 200


@dataclass(frozen=True, slots=True)
class Sql:
    """A table or query of any database that SQLAlchemy has a driver for.

    With a `watermark` column only new rows are read: those above the highest value read so far, and those that share
    that value (ties) and were not read before. Rows that become visible late (a transaction that committed after one
    with a higher value) are found as long as their value lies within `lookback`. Updated rows come again when the
    watermark is a time of change; merge them by key. Without a watermark use ``Source(mode="overwrite")``.

    Attributes:
        url: SQLAlchemy URL; ``${NAME}`` is read from the environment. The driver must be installed
            (``raylake[postgres]`` for PostgreSQL; SQLite needs none).
        table: Table to read, ``name`` or ``schema.name``. Give this or `query`.
        query: A SELECT without a final semicolon.
        watermark: Column that only grows for new rows: a counter, or a time of creation or change; never null.
        lookback: How far below the highest value rows may still appear: ``30s`` for times, ``1000`` for numbers.
        split_on: Integer column by whose ranges several tasks read at once.
        splits: How many ranges.

    Raises:
        ConfigError: Not exactly one of table and query is given, or `lookback` has no watermark.

    Example:
        >>> Sql("postgresql://etl:${DB_PASSWORD}@db/shop", table="orders", watermark="updated_at").watermark
        'updated_at'
    """

    url: str
    table: str | None = None
    query: str | None = None
    watermark: str | None = None
    lookback: str | int = 0
    split_on: str | None = None
    splits: int = 1

    typed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if (self.table is None) == (self.query is None):
            raise ConfigError("Sql needs either table= or query=, not both")
        if self.lookback and self.watermark is None:
            raise ConfigError("Sql(lookback=...) needs watermark=: the column that grows")
        if isinstance(self.lookback, str):
            duration(self.lookback, "lookback")
        if self.splits < 1 or (self.splits > 1 and self.split_on is None):
            raise ConfigError(f"splits={self.splits} needs split_on=, an integer column, and is at least 1")

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """Rows above the watermark, in `splits` ranges; the cursor is the new watermark and the rows around it."""
        with self._connected() as (connection, rows):
            if self.watermark is None:
                return self._plan_all(connection, rows, cursor)
            mark = rows.c[self.watermark]
            high = connection.scalar(sa.select(sa.func.max(mark)))
            if high is None:
                return [], cursor or {"high": None, "seen": {}}
            old = None if cursor is None or cursor["high"] is None else _decoded(cursor["high"])
            high = high if old is None else max(high, old)
            seen = self._window(connection, rows, high)
            after: Cursor = {"high": _encoded(high), "seen": dict(seen)}
            address: dict[str, Any]
            if old is None or cursor is None:
                chosen, address = sa.true(), {"low": None, "old": {}}
            elif high == old and not seen - Counter(cursor["seen"]):
                return [], cursor
            else:
                # New are the rows above the old watermark, and those of its window that were not seen there.
                chosen = mark >= self._below(old)
                address = {"low": _encoded(self._below(old)), "old": dict(cursor["seen"])}
            address |= {"high": after["high"], "window": _encoded(self._below(high)), "seen": after["seen"]}
            return self._ranges(connection, rows, chosen & (mark <= high), address), after

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 16,384 rows from a cursor of the server."""
        fixed = split.address
        with self._connected() as (connection, rows):
            names = list(rows.c.keys())
            chosen = _chosen(rows, self, fixed)
            query = sa.select(rows).where(chosen)
            found = connection.execution_options(stream_results=True, yield_per=BATCH_ROWS).execute(query)
            fresh = _Fresh(self, names, fixed) if self.watermark is not None else None
            for part in grouped(found):
                kept = [row for row in part if fresh is None or fresh(row)]
                yield RawBatch(table_of([dict(zip(names, row, strict=True)) for row in kept], names))

    def _plan_all(self, connection: sa.Connection, rows: Any, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        if cursor is not None:
            raise SourceError(
                f"{self._name} has no watermark, so what is new cannot be told: declare watermark=, the column "
                "that grows, or the source with mode='overwrite'"
            )
        found = self._ranges(connection, rows, sa.true(), {"low": None})
        return found, {"read_at": datetime.now(UTC).isoformat()}

    def _ranges(self, connection: sa.Connection, rows: Any, chosen: Any, address: Mapping[str, Any]) -> list[Split]:
        if self.split_on is None:
            count = connection.scalar(sa.select(sa.func.count()).select_from(rows).where(chosen)) or 0
            return [Split(self._name, address, max(1, count * _ROW_BYTES))]
        key = rows.c[self.split_on]
        query = sa.select(sa.func.min(key), sa.func.max(key), sa.func.count()).where(chosen)
        least, most, count = connection.execute(query).one()
        if least is None:
            return [Split(self._name, address, 1)]
        if not isinstance(least, int) or not isinstance(most, int):
            raise SourceError(f"split_on={self.split_on!r} of {self._name} holds {least!r}: name an integer column")
        width = (most - least) // self.splits + 1
        parts = [
            Split(
                f"{self._name}[{self.split_on} {low}..]",
                {**address, "keys": [low, low + width]},
                max(1, count * _ROW_BYTES // self.splits),
            )
            for low in range(least, most + 1, width)
        ]
        # A null key is in no range.
        nulls = Split(f"{self._name}[{self.split_on} null]", {**address, "keys": None}, 1)
        return [*parts, nulls]

    def _window(self, connection: sa.Connection, rows: Any, high: Any) -> Counter[str]:
        """Digests of the rows that share the watermark `high`, or lie within `lookback` below it."""
        mark = rows.c[self.watermark]
        found = Counter[str]()
        query = sa.select(rows).where((mark >= self._below(high)) & (mark <= high))
        for row in connection.execution_options(yield_per=BATCH_ROWS).execute(query):
            found[row_digest(row)] += 1
            if len(found) > _MOST_SEEN:
                raise SourceError(
                    f"more than {_MOST_SEEN} rows of {self._name} lie at or within lookback of {self.watermark} = "
                    f"{high!r}: name a finer watermark column, or a shorter lookback"
                )
        return found

    def _below(self, high: Any) -> Any:
        if not self.lookback:
            return high
        if isinstance(high, datetime):
            return high - duration(str(self.lookback), "lookback")
        if isinstance(high, int | float | Decimal) and isinstance(self.lookback, int):
            return high - self.lookback
        raise SourceError(
            f"lookback={self.lookback!r} does not fit watermark {self.watermark!r} of {self._name}, which holds "
            f"{high!r}: use a number for numbers, a duration such as '30s' for times"
        )

    @property
    def _name(self) -> str:
        return f"{conceal(self.url)}#{self.table or 'query'}"

    @contextmanager
    def _connected(self) -> Iterator[tuple[sa.Connection, Any]]:
        """A connection and what is read as a selectable; every error of the database as a `SourceError`."""
        try:
            engine = sa.create_engine(reveal(self.url).replace("postgresql://", "postgresql+psycopg://", 1))
        except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
            raise ConfigError(
                f"{conceal(self.url)} needs a driver that is not installed ({error}): "
                "pip install 'raylake[postgres]', or the driver of your database"
            ) from error
        except sa.exc.ArgumentError as error:
            raise ConfigError("the URL of Sql cannot be parsed: use dialect://user@host/database") from error
        try:
            with engine.connect() as connection:
                yield connection, self._selectable(engine, connection)
        except sa.exc.SQLAlchemyError as error:
            raise SourceError(
                f"{self._name} cannot be read: {_reason(error)}. Check address, names and rights"
            ) from error
        except KeyError as error:
            raise SourceError(f"{self._name} has no column {error}: correct watermark or split_on") from error
        finally:
            engine.dispose()

    def _selectable(self, engine: sa.Engine, connection: sa.Connection) -> Any:
        if self.table is not None:
            schema, _, name = self.table.rpartition(".")
            return sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
        empty = connection.execute(sa.text(f"SELECT * FROM ({self.query}) AS q WHERE 1 = 0"))
        return sa.text(str(self.query)).columns(*(sa.column(name) for name in empty.keys())).subquery("q")  # noqa: SIM118


class _Fresh:
    """Tells the rows of a split that are new: not read before, and there when the plan was made."""

    def __init__(self, connector: Sql, names: list[str], address: Mapping[str, Any]) -> None:
        self._at = names.index(str(connector.watermark))
        self._window = _decoded(address["window"])
        self._old = Counter(address["old"])
        self._seen = Counter(address["seen"])

    def __call__(self, row: Any) -> bool:
        digest = row_digest(row)
        if self._old[digest] > 0:
            self._old[digest] -= 1
            return False
        if row[self._at] < self._window:
            return True
        # A row of the window that came after the plan is left to the next one.
        return self._seen[digest] > 0


def _chosen(rows: Any, connector: Sql, address: Mapping[str, Any]) -> Any:
    chosen: Any = sa.true()
    if connector.watermark is not None:
        mark = rows.c[connector.watermark]
        chosen &= mark <= _decoded(address["high"])
        if address["low"] is not None:
            chosen &= mark >= _decoded(address["low"])
    if "keys" in address:
        key = rows.c[connector.split_on]
        keys = address["keys"]
        chosen &= key.is_(None) if keys is None else (key >= keys[0]) & (key < keys[1])
    return chosen


def row_digest(row: Any) -> str:
    """Sixteen hexadecimal digits over the values of a row."""
    values = tuple(
        value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value for value in row
    )
    return hashlib.blake2b(repr(values).encode(), digest_size=8).hexdigest()


def _encoded(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    return {"decimal": str(value)} if isinstance(value, Decimal) else value


def _decoded(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    ((kind, text),) = value.items()
    if kind == "datetime":
        return datetime.fromisoformat(text)
    return date.fromisoformat(text) if kind == "date" else Decimal(text)


def _reason(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
