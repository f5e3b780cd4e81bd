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
from raylake.data import Connector, MarkedConnector, Source, StreamConnector, ingest, table
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
    ids, marks = [], []
    for split in splits:
        batches = list(connector.read(split))
        ids += [str(row["id"]) for batch in batches for row in batch.rows.to_pylist()]
        marks += [batch.mark for batch in batches if batch.mark is not None][-1:]
    return ids, connector.advance(after, marks) if isinstance(connector, MarkedConnector) else after


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
        _, cursor = rows_of(feed.connector(), None)
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
        split = connector.plan(None)[0][0]
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

    def test_a_stream_goes_on_until_nothing_is_left(self, feed: Feed) -> None:
        """However small its batches, and however the events came."""
        cursor, found = None, []
        for start in range(0, 60, 20):
            feed.add([{"id": str(number), "note": "x"} for number in range(start, start + 20)])
            while (step := rows_of(feed.connector(), cursor))[0]:
                found += step[0]
                cursor = step[1]
        assert sorted(map(int, found)) == list(range(60))

    def test_ingest_after_ingest_has_every_row_once(self, feed: Feed, ws: Workspace) -> None:
        """The whole way into a table."""
        source = Source("feed", feed.connector(), schema={"id": "int64", "note": "string"})
        feed.add([{"id": "1", "note": "a"}])
        first = ingest(ws, source)
        assert ingest(ws, source) == first
        feed.add([{"id": "2", "note": "b"}, {"id": "3", "note": "c"}])
        assert ingest(ws, source).rows == 3
        assert sorted(table(ws, "feed")["id"].to_pylist()) == [1, 2, 3]


class StreamContract(ConnectorContract):
    """What every `raylake.data.StreamConnector` must do beside it. The feed's connector has ``max_events=7``."""

    def test_it_is_a_stream(self, feed: Feed) -> None:
        """The protocol's methods are there."""
        assert isinstance(feed.connector(), StreamConnector)
        assert feed.connector().max_events == 7  # type: ignore[attr-defined]

    def test_a_batch_has_a_bound(self, feed: Feed) -> None:
        """However long the backlog."""
        feed.add([{"id": str(number), "note": "x"} for number in range(30)])
        splits, _ = feed.connector().plan(None)
        for split in splits:
            assert sum(batch.rows.num_rows for batch in feed.connector().read(split)) <= 7

    def test_lag_counts_what_is_behind_the_cursor(self, feed: Feed) -> None:
        """From everything to nothing."""
        feed.add([{"id": str(number), "note": "x"} for number in range(10)])
        stream = feed.connector()
        assert isinstance(stream, StreamConnector)
        cursor = None
        lags = [stream.lag(None)]
        while (step := rows_of(stream, cursor))[0]:
            cursor = step[1]
            lags.append(stream.lag(cursor))
            stream.acknowledge(cursor)
        assert (lags[0], lags[-1]) == (10, 0) and lags == sorted(lags, reverse=True)

    def test_events_after_the_plan_wait_for_the_next(self, feed: Feed) -> None:
        """A split is a closed range: what comes meanwhile is not in it, and not lost."""
        feed.add([{"id": "1", "note": "a"}])
        splits, cursor = feed.connector().plan(None)
        feed.add([{"id": "2", "note": "b"}])
        batches = [batch for split in splits for batch in feed.connector().read(split)]
        assert [str(row["id"]) for batch in batches for row in batch.rows.to_pylist()] == ["1"]
        assert rows_of(feed.connector(), cursor)[0] == ["2"]
