"""The Connector protocol: how a kind of external system is read from a cursor on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

Cursor = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Split:
    """A part of a source that one task reads.

    Attributes:
        name: What a person calls it, such as the file's path; written beside quarantined rows.
        address: Where the connector finds it; JSON-able.
        size: Estimated bytes when read, or 0 when unknown. Decides how splits are grouped into tasks.
    """

    name: str
    address: Mapping[str, Any]
    size: int = 0


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows as the source gave them, and lines that are not rows.

    Attributes:
        rows: The rows. Columns that are text are typed later; others keep their type.
        broken: Pairs (reason, raw text) of lines that could not be split into columns.
        mark: JSON-able; where the source stands after this batch, from connectors that learn it only by reading.
            The last mark of each split is given to `MarkedConnector.advance`.
        text: Gives the same rows as the source wrote them, when `rows` were typed on the way: what is shown of a
            rejected row. Asked in the order of the batches.
    """

    rows: pa.Table
    broken: tuple[tuple[str, str], ...] = ()
    mark: Mapping[str, Any] | None = None
    text: Callable[[], pa.Table] | None = None


@runtime_checkable
class Connector(Protocol):
    """Reads a kind of external system.

    Invariants, which `raylake.testing.connectors` checks:

    - A connector is a frozen value: picklable, equal to its copy; it holds no open handle.
    - `plan` reads no rows, and given the cursor it returned (with the source unchanged) it returns no splits and an
      equal cursor: nothing is read twice.
    - A cursor is JSON-able, and survives ``json.loads(json.dumps(cursor))``.
    - `read` of the same split gives the same rows, in any process.
    - Together the splits of `plan(None)` give every row of the source once.
    - Both raise `SourceError` naming what cannot be read, and nothing else.
    """

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """What is new since `cursor` (``None``: everything), and the cursor after it."""
        ...

    def read(self, split: Split) -> Iterator[RawBatch]:
        """The rows of one split, in batches that fit in memory."""
        ...


@runtime_checkable
class TypedConnector(Connector, Protocol):
    """A connector of text that can type it faster than it can be cast afterwards.

    `read_typed` gives the values, nulls and broken lines that `read` and a cast would give; a batch with a cell that
    does not fit comes as text.
    """

    def read_typed(self, split: Split, schema: pa.Schema, null_values: Sequence[str]) -> Iterator[RawBatch]:
        """The rows of one split, typed as `schema` says wherever every cell fits."""
        ...


@runtime_checkable
class MarkedConnector(Connector, Protocol):
    """A connector whose source says only while it is read how far it goes, such as a paginated HTTP API.

    The rows and the marks of one attempt are committed together, so a retried task may well read something newer.
    """

    def advance(self, cursor: Cursor, marks: Sequence[Mapping[str, Any]]) -> Cursor:
        """The cursor that `plan` returned, moved to where the splits' marks stand."""
        ...


@runtime_checkable
class StreamConnector(Connector, Protocol):
    """A connector of an event stream. Its cursor is the offsets: they are committed with the rows they count.

    Invariants, which `raylake.testing.connectors` checks beside those of `Connector`:

    - A split is a closed range of offsets: reading it again, in any process, gives the same events.
    - `plan` takes at most `max_events` events per partition, so that a batch has a bound whatever the backlog.
    - `read` compares what it got with the offsets, and raises `SourceError` when events are missing.
    - `acknowledge` only informs the server (for its lag display, or its retention); losing it loses nothing.
    """

    max_events: int

    def lag(self, cursor: Cursor | None) -> int:
        """How many events lie behind `cursor`."""
        ...

    def acknowledge(self, cursor: Cursor) -> None:
        """Tell the server that everything up to `cursor` is in the table."""
        ...


def is_sparse(connector: Connector) -> bool:
    """Whether the connector's records have no header: each has the fields it has, and a missing one is null.

    Connectors of JSON-like records say so by a class attribute ``sparse = True``.
    """
    return bool(getattr(connector, "sparse", False))


def is_typed(connector: Connector) -> bool:
    """Whether the connector's source knows the types of its columns, so that text stays text (``"501"``, ``"true"``).

    Connectors of tables say so by a class attribute ``typed = True``.
    """
    return bool(getattr(connector, "typed", False))


def same_cursor(one: Cursor | None, other: Cursor | None) -> bool:
    """Whether two cursors stand at the same place, however they were stored.

    Example:
        >>> same_cursor({"a": (1, 2)}, {"a": [1, 2]})
        True
    """
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
