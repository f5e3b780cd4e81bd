"""Conformance suite for connectors: subclass, give it a source that can grow, run it with pytest.

Example::

    class TestCsv(ConnectorContract):
        @pytest.fixture
        def feed(self, tmp_path):
            return CsvFeed(tmp_path)
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from typing import Protocol

import pytest

from raylake.core import SourceError, Workspace
from raylake.data import Connector, Source, ingest, table
from raylake.data.connector import Cursor, same_cursor

Row = Mapping[str, str]


class Feed(Protocol):
    """An external system for the suite to play with; it starts with nothing in it."""

    def connector(self) -> Connector:
        """A connector that reads it."""

    def missing(self) -> Connector:
        """A connector whose source does not exist."""

    def add(self, rows: Sequence[Row]) -> None:
        """Put rows there, with the text columns ``id`` and ``note``."""


def rows_of(connector: Connector, cursor: Cursor | None) -> tuple[list[str], Cursor]:
    """The ids of all new rows, and the cursor after them.

    Example:
        >>> import pathlib, tempfile
        >>> from raylake.data import Csv
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.csv").write_text("id,note\\n1,x\\n2,y\\n")
        >>> ids, after = rows_of(Csv(str(folder / "*.csv")), None)
        >>> ids, rows_of(Csv(str(folder / "*.csv")), after)[0]
        (['1', '2'], [])
    """
    splits, after = connector.plan(cursor)
    ids = [str(row["id"]) for split in splits for batch in connector.read(split) for row in batch.rows.to_pylist()]
    return ids, after


class ConnectorContract:
    """What every `raylake.data.Connector` must do. Needs a fixture `feed`."""

    def test_it_is_a_connector(self, feed: Feed) -> None:
        """The protocol's methods are there."""
        assert isinstance(feed.connector(), Connector)

    def test_it_is_a_value(self, feed: Feed) -> None:
        """Equal to a copy that went to another process and back."""
        connector = feed.connector()
        assert pickle.loads(pickle.dumps(connector)) == connector == feed.connector()

    def test_everything_is_read_once(self, feed: Feed) -> None:
        """The splits together give every row, none twice."""
        feed.add([{"id": "1", "note": "a"}, {"id": "2", "note": "b"}])
        feed.add([{"id": "3", "note": "c"}])
        assert sorted(rows_of(feed.connector(), None)[0]) == ["1", "2", "3"]

    def test_with_nothing_new_there_are_no_splits(self, feed: Feed) -> None:
        """And the cursor stays."""
        feed.add([{"id": "1", "note": "a"}])
        _, cursor = feed.connector().plan(None)
        splits, after = feed.connector().plan(cursor)
        assert splits == [] and same_cursor(after, cursor)

    def test_a_stored_cursor_goes_on_where_it_stood(self, feed: Feed) -> None:
        """The cursor survives JSON."""
        feed.add([{"id": "1", "note": "a"}])
        _, cursor = rows_of(feed.connector(), None)
        feed.add([{"id": "2", "note": "b"}])
        assert rows_of(feed.connector(), json.loads(json.dumps(cursor)))[0] == ["2"]

    def test_a_split_gives_the_same_rows_again(self, feed: Feed) -> None:
        """In another process too: a task may be run again."""
        feed.add([{"id": str(number), "note": "x"} for number in range(50)])
        connector = feed.connector()
        (split,) = connector.plan(None)[0]
        again = pickle.loads(pickle.dumps((connector, split)))
        first = [batch.rows.to_pylist() for batch in connector.read(split)]
        assert first == [batch.rows.to_pylist() for batch in again[0].read(again[1])]

    def test_splits_say_what_they_are(self, feed: Feed) -> None:
        """A name for people, an address in JSON."""
        feed.add([{"id": "1", "note": "a"}])
        for split in feed.connector().plan(None)[0]:
            assert split.name and json.loads(json.dumps(dict(split.address))) == dict(split.address)
            assert split.size >= 0

    def test_what_does_not_exist_is_a_source_error(self, feed: Feed) -> None:
        """Raised by the plan, before anything is written."""
        with pytest.raises(SourceError):
            feed.missing().plan(None)

    def test_ingest_after_ingest_has_every_row_once(self, feed: Feed, ws: Workspace) -> None:
        """The whole way into a table."""
        source = Source("feed", feed.connector(), schema={"id": "int64", "note": "string"})
        feed.add([{"id": "1", "note": "a"}])
        first = ingest(ws, source)
        assert ingest(ws, source) == first
        feed.add([{"id": "2", "note": "b"}, {"id": "3", "note": "c"}])
        assert ingest(ws, source).rows == 3
        assert sorted(table(ws, "feed")["id"].to_pylist()) == [1, 2, 3]
