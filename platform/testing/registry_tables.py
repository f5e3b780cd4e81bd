"""The registry's contract: tables and their versions."""

# ruff: noqa: D102 -- the name of a test is its sentence
from __future__ import annotations

import pytest

from .. import registry
from ..core import DataError, InvalidName, Node, NotFound, Ref, Workspace


class TablesContract:
    """Tables and versions."""

    def test_a_version_comes_back_as_it_was_recorded(self, ws: Workspace) -> None:
        made = registry.record_table(
            ws, "raw.flights", 3, rows=7, schema={"b": "int64", "a": "string"}, operation="ingest",
            metrics={"not_null(b)": {"checked": 7, "failed": 1}}, source="flights",
        )  # fmt: skip
        assert registry.table_version(ws, "raw.flights@3") == made
        assert list(made.schema) == ["b", "a"]
        assert (str(made), made.node, made.ref) == (
            "raw.flights@3",
            Node("table", "raw.flights", "3"),
            Ref("flights", version=3, namespace="raw"),
        )
        assert made.metrics == {"not_null(b)": {"checked": 7, "failed": 1}}

    def test_recording_again_keeps_the_first(self, ws: Workspace) -> None:
        first = registry.record_table(ws, "flights", 0, rows=1, schema={}, operation="ingest")
        again = registry.record_table(ws, "flights@9", 0, rows=2, schema={}, operation="other")
        assert again == first
        assert registry.table_versions(ws, "flights") == [first]

    def test_unpinned_is_the_highest_version_not_the_last_recorded(self, ws: Workspace) -> None:
        for version in (2, 10, 9):
            registry.record_table(ws, "flights", version, rows=None, schema={}, operation="write")
        registry.record_table(ws, "weather", 0, rows=None, schema={}, operation="write")
        assert registry.table_version(ws, "flights").version == 10
        assert [found.version for found in registry.table_versions(ws, Ref("flights"))] == [2, 9, 10]
        assert [str(found) for found in registry.tables(ws)] == ["flights@10", "weather@0"]

    def test_the_unknown_is_answered_with_what_exists(self, ws: Workspace) -> None:
        registry.record_table(ws, "flights", 4, rows=None, schema={}, operation="write")
        with pytest.raises(NotFound, match=r"'flight' is not recorded; recorded tables: flights"):
            registry.table_version(ws, "flight")
        for version in (5, 2**63, 10**30):
            with pytest.raises(NotFound, match=rf"version {version} of table 'flights'.*versions: 4"):
                registry.table_version(ws, f"flights@{version}")

    def test_bad_names_and_values_are_refused(self, ws: Workspace) -> None:
        for bad in ("../x", "a.b.c", "Flights", "flights@champion", ""):
            with pytest.raises(InvalidName):
                registry.record_table(ws, bad, 0, rows=0, schema={}, operation="write")
        with pytest.raises(InvalidName, match="64 bits"):
            registry.record_table(ws, "flights", 2**63, rows=0, schema={}, operation="write")
        with pytest.raises(DataError):
            registry.record_table(ws, "flights", 0, rows=2**64, schema={}, operation="write")
        assert registry.tables(ws) == []
