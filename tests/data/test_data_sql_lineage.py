"""Column lineage of SQL: through joins, unions, subqueries and windows; of what is no source, nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest

from raylake import data, registry
from raylake.core import Node, Workspace
from raylake.data.sql_lineage import column_edges

VISITS, PRICES = Node("table", "main.visits", "3"), Node("table", "shop.price-list", "1")
INPUTS = {VISITS: ["patient", "n", "Amount"], PRICES: ["sku", "amount"]}


def traced(query: str) -> set[tuple[str, str, str]]:
    edges = column_edges(query, INPUTS, Node("table", "main.made", "1"))
    return {(edge.source.name, edge.source_column, edge.target_column) for edge in edges}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select * from visits", {("main.visits", name, name) for name in INPUTS[VISITS]}),
        ("select patient as who from main.visits where n > 1 order by n", {("main.visits", "patient", "who")}),
        ("select count(*) as c, now() as t from visits group by patient", set()),
        (
            'select v.patient, p.amount * v."Amount" as cost from visits v '
            'join shop."price-list" p on p.sku = v.patient',
            {
                ("main.visits", "patient", "patient"),
                ("shop.price-list", "amount", "cost"),
                ("main.visits", "Amount", "cost"),
            },
        ),
        (
            "with t as (select patient, sum(n) as s from visits group by 1) select s + 1 as total from t",
            {("main.visits", "n", "total")},
        ),
        (
            'select patient as x from visits union all select sku from shop."price-list"',
            {("main.visits", "patient", "x"), ("shop.price-list", "sku", "x")},
        ),
        ("select Amount, n as N from visits", {("main.visits", "Amount", "Amount"), ("main.visits", "n", "N")}),
        ("this is not sql (", set()),
        ("select nothing from visits", set()),
    ],
)
def test_columns_are_traced(query: str, expected: set[tuple[str, str, str]]) -> None:
    assert traced(query) == expected


def test_derived_tables_know_their_columns_and_forgetting_follows_them(ws: Workspace) -> None:
    data.write(ws, "visits", pa.table({"patient": ["a", "b"], "n": [1, 2]}))
    made = data.derive(ws, "sums", "select patient, sum(n) as total from visits group by 1")
    (edge,) = registry.upstream_columns(ws, made.node, "total")
    assert (str(edge.source), edge.source_column, edge.how) == ("table:main.visits@1", "n", "SUM(visits.n)")
    again = data.derive(ws, "twice", "select total * 2 as double from sums")
    chain = [(one.source.name, one.source_column) for one in registry.upstream_columns(ws, again.node, "double")]
    assert set(chain) == {("main.sums", "total"), ("main.visits", "n")}
