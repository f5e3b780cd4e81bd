"""Column lineage of SQL: what the parser finds, and that what it does not understand is not claimed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from raylake import data, registry
from raylake.core import Node, Workspace
from raylake.data.sql_columns import query_columns

FLIGHTS, AIRPORTS = Node("table", "main.flights", "3"), Node("table", "geo.air-ports", "1")
MADE = Node("table", "main.made", "1")
READ = {FLIGHTS: ["id", "origin", "dep_delay", "Mixed"], AIRPORTS: ["code", "city"]}


def found(query: str, *result: str) -> set[tuple[str, str, str]]:
    """Source, target and how of every edge."""
    edges = query_columns(query, READ, MADE, result)
    assert all(edge.target == MADE for edge in edges)
    return {(f"{edge.source.name}.{edge.source_column}", edge.target_column, edge.how) for edge in edges}


@pytest.mark.parametrize(
    ("query", "result", "expected"),
    [
        ("select origin as o from flights", ["o"], {("main.flights.origin", "o", "")}),
        ("select * from flights", ["id", "origin", "dep_delay", "Mixed"],
         {(f"main.flights.{name}", name, "") for name in READ[FLIGHTS]}),
        ("select f.origin, a.city from main.flights f join geo.\"air-ports\" a on a.code = f.origin",
         ["origin", "city"], {("main.flights.origin", "origin", ""), ("geo.air-ports.city", "city", "")}),
        ("with late as (select origin, dep_delay * 2 as twice from flights) select max(twice) as most from late",
         ["most"], {("main.flights.dep_delay", "most", "MAX(late.twice)")}),
        ("select origin as place from flights union all select city from geo.\"air-ports\"", ["place"],
         {("main.flights.origin", "place", ""), ("geo.air-ports.city", "place", "")}),
        ("select count(*) as n from flights", ["n"], set()),
        ("select \"Mixed\" from flights", ["Mixed"], {("main.flights.Mixed", "Mixed", "")}),
        ("select Mixed, id as ID from main.flights where origin > 'A' order by origin", ["Mixed", "ID"],
         {("main.flights.Mixed", "Mixed", ""), ("main.flights.id", "ID", "")}),
        ("select count(*) as c, now() as t from flights group by origin", ["c", "t"], set()),
        ("select ORIGIN from FLIGHTS", ["ORIGIN"], set()),
        ("select 1 as one", ["one"], set()),
        ("this is ( no sql", ["x"], set()),
        ("select origin from flights", ["two", "columns"], set()),
    ],
)  # fmt: skip
def test_queries(query: str, result: list[str], expected: set[tuple[str, str, str]]) -> None:
    assert found(query, *result) == expected


def test_sums_of_several_columns_name_each() -> None:
    edges = found("select sum(id + dep_delay) over (partition by origin) as s from flights", "s")
    assert {source for source, _, _ in edges} >= {"main.flights.id", "main.flights.dep_delay"}


def test_a_derived_table_knows_its_columns(ws: Workspace) -> None:
    data.write(ws, "flights", pa.table({"origin": ["EWR", "JFK"], "dep_delay": [5.0, 7.0]}))
    data.write(ws, "flights", pa.table({"origin": ["LGA"], "dep_delay": [9.0]}), mode="append")
    query = "select origin, avg(dep_delay) as late from flights group by 1"
    made = data.derive(ws, "lateness", query, at={"flights": 1})
    (edge,) = registry.upstream_columns(ws, made.node, "late")
    assert (str(edge.source), edge.source_column) == ("table:main.flights@1", "dep_delay")
    assert edge.how == "AVG(flights.dep_delay)"
    again = data.derive(ws, "worst", "select max(late) as worst from lateness")
    ways = registry.upstream_columns(ws, again.node, "worst")
    assert {edge.source_column for edge in ways} == {"late", "dep_delay"}
    facets = [
        output["facets"]["columnLineage"]["fields"]
        for event in registry.openlineage_events(ws, again.node)
        for output in event["outputs"]
        if "columnLineage" in output.get("facets", {})
    ]
    assert any("worst" in fields for fields in facets)
