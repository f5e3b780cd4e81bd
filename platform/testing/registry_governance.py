"""The catalogue's part of the registry's contract."""

# ruff: noqa: D102 -- the name of a test is its sentence
from __future__ import annotations

import pytest

from .. import registry
from ..core import DataError, NotFound, Workspace


def _flights(ws: Workspace, version: int = 1, **schema: str) -> None:
    columns = schema or {"origin": "string", "distance": "int64"}
    registry.record_table(ws, "flights", version, rows=3, schema=columns, operation="ingest", source="feed")


class GovernanceContract:
    """Descriptions, search, history of schemas."""

    def test_a_description_changes_only_what_is_given(self, ws: Workspace) -> None:
        _flights(ws)
        registry.describe_table(ws, "flights", description="Departures of 2013", owner="ann", tags=["b", "a", "a"])
        registry.describe_table(ws, "flights", owner="bob")
        found = registry.table_info(ws, "flights")
        assert (found.description, found.owner, found.tags) == ("Departures of 2013", "bob", ("a", "b"))
        assert registry.describe_table(ws, "flights", description="", tags=[]).tags == ()

    def test_columns_are_those_of_the_newest_version(self, ws: Workspace) -> None:
        _flights(ws)
        registry.describe_column(ws, "flights", "distance", unit="miles", sensitivity="public", description="Way")
        registry.describe_column(ws, "flights", "distance", tags=["length"])
        _flights(ws, 2, distance="float64", speed="float64")
        found = registry.table_info(ws, "flights@1")
        assert found.version == 2 and list(found.columns) == ["distance", "speed"]
        distance = found.columns["distance"]
        assert (distance.type, distance.unit, distance.sensitivity) == ("float64", "miles", "public")
        assert (distance.description, distance.tags) == ("Way", ("length",))
        assert found.columns["speed"] == registry.ColumnInfo("speed", "float64")

    def test_what_does_not_exist(self, ws: Workspace) -> None:
        _flights(ws)
        with pytest.raises(NotFound, match="'weather' is not recorded; recorded tables: flights"):
            registry.describe_table(ws, "weather", owner="ann")
        with pytest.raises(NotFound, match="no column 'speed'; it has origin, distance"):
            registry.describe_column(ws, "flights", "speed", unit="knots")
        with pytest.raises(DataError, match="'hush' is not valid: use one of public, internal, personal, secret"):
            registry.describe_column(ws, "flights", "origin", sensitivity="hush")

    def test_search_ranks_names_before_words(self, ws: Workspace) -> None:
        _flights(ws)
        registry.record_table(ws, "distances", 1, rows=0, schema={"a": "int64"}, operation="write")
        registry.record_table(ws, "planes", 1, rows=0, schema={"seats": "int64"}, operation="write")
        registry.describe_table(ws, "planes", description="fly a long Distance", tags=["fleet"], owner="ann")
        registry.describe_column(ws, "planes", "seats", sensitivity="internal", tags=["size"])
        names = [found.name for found in registry.search_tables(ws, "DISTANCE")]
        assert names == ["main.distances", "main.flights", "main.planes"]
        assert [found.name for found in registry.search_tables(ws, "fleet distance")] == ["main.planes"]
        for asked in ({"tag": "fleet"}, {"tag": "size"}, {"owner": "ann"}, {"sensitivity": "internal"}):
            assert [found.name for found in registry.search_tables(ws, **asked)] == ["main.planes"]  # type: ignore[arg-type]
        assert registry.search_tables(ws, "100%_") == []
        assert len(registry.search_tables(ws, limit=2)) == 2

    def test_history_of_a_schema(self, ws: Workspace) -> None:
        _flights(ws, 1, a="int64", b="string")
        _flights(ws, 2, a="int64", b="string")
        _flights(ws, 3, a="float64", c="bool")
        first, second = registry.schema_history(ws, "flights")
        assert (first.version, first.added) == (1, {"a": "int64", "b": "string"})
        assert (second.version, second.added, second.removed) == (3, {"c": "bool"}, {"b": "string"})
        assert second.changed == {"a": ("int64", "float64")}
        assert registry.schema_history(ws, "weather") == []
