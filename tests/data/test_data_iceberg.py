"""Iceberg tables as sources, through a real catalogue in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType

from raylake import data
from raylake.core import SourceError, Workspace
from raylake.data import Connector
from raylake.testing.connectors import ConnectorContract, Feed, Row


@dataclass
class IcebergTable:
    folder: Path
    by_folder: bool = False
    properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        place = {"uri": f"sqlite:///{self.folder}/catalog.db", "warehouse": f"file://{self.folder}/warehouse"}
        self.properties = {"type": "sql", **place}
        self.catalog = load_catalog("tests", **self.properties)
        self.properties["name"] = "tests"
        self.catalog.create_namespace_if_not_exists("shop")
        schema = pa.schema([("id", pa.string()), ("note", pa.string())])
        self.table = self.catalog.create_table_if_not_exists("shop.orders", schema=schema)

    def connector(self) -> Connector:
        if self.by_folder:
            return data.IcebergFeed(self.table.location())
        return data.IcebergFeed("shop.orders", self.properties)

    def missing(self) -> Connector:
        if self.by_folder:
            return data.IcebergFeed(str(self.folder / "nothing"))
        return data.IcebergFeed("shop.nothing", self.properties)

    def add(self, rows: Sequence[Row]) -> None:
        self.table.append(pa.Table.from_pylist([dict(row) for row in rows]))


@pytest.mark.parametrize("by_folder", [False, True], ids=["catalog", "folder"])
class TestIceberg(ConnectorContract):
    @pytest.fixture
    def feed(self, tmp_path: Path, by_folder: bool) -> Feed:
        return IcebergTable(tmp_path / "lake", by_folder)


def rows(*ids: int) -> list[dict[str, str]]:
    return [{"id": str(one), "note": f"n{one}"} for one in ids]


def test_what_is_appended_arrives_once_and_removed_rows_are_refused(ws: Workspace, tmp_path: Path) -> None:
    lake = IcebergTable(tmp_path / "lake")
    source = data.Source("orders", lake.connector())
    lake.add(rows(1, 2))
    lake.add(rows(3))
    assert str(data.ingest(ws, source)) == str(data.ingest(ws, source)) == "orders@1"
    lake.add(rows(4))
    lake.add(rows(5))
    assert data.ingest(ws, source).rows == 5
    assert sorted(data.table(ws, "orders")["id"].to_pylist()) == ["1", "2", "3", "4", "5"]
    lake.table.delete("id = '4'")
    with pytest.raises(SourceError, match=r"\(delete\) removed or changed rows.*mode='overwrite'"):
        data.ingest(ws, source)
    assert data.table(ws, "orders").num_rows == 5
    whole = data.Source("mirror", lake.connector(), mode="overwrite")
    assert sorted(data.table(ws, data.ingest(ws, whole).ref.name)["id"].to_pylist()) == ["1", "2", "3", "5"]


def test_types_partitions_and_columns_that_came_later(ws: Workspace, tmp_path: Path) -> None:
    lake = IcebergTable(tmp_path / "lake")
    moment, price = pa.timestamp("us", tz="UTC"), pa.decimal128(9, 2)
    types = {"id": pa.int64(), "day": pa.date32(), "at": moment, "tags": pa.list_(pa.string()), "price": price}
    schema = pa.schema(list(types.items()))
    table = lake.catalog.create_table("shop.typed", schema=schema)
    with table.update_spec() as spec:
        spec.add_field("day", IdentityTransform())
    made = {"id": [1, 2], "day": [0, 1], "at": [0, 1], "tags": [["a"], None], "price": [Decimal("1.25"), None]}
    table.append(pa.table(made, schema=schema))
    with table.update_schema() as change:
        change.add_column("late", LongType())
    version = data.ingest(ws, data.Source("typed", data.IcebergFeed("shop.typed", lake.properties)))
    found = data.table(ws, "typed").sort_by("id").to_pylist()
    assert version.rows == 2 and found[0]["tags"] == ["a"] and str(found[0]["price"]) == "1.25"
    assert version.schema["at"] == "timestamp" and [str(row["day"]) for row in found] == ["1970-01-01", "1970-01-02"]


def test_a_start_snapshot_a_new_table_and_a_wrong_one(ws: Workspace, tmp_path: Path) -> None:
    lake = IcebergTable(tmp_path / "lake")
    lake.add(rows(1))
    lake.add(rows(2))
    second = lake.table.current_snapshot().snapshot_id
    lake.add(rows(3))
    late = data.Source("late", data.IcebergFeed("shop.orders", lake.properties, start=second))
    data.ingest(ws, late)
    assert sorted(data.table(ws, "late")["id"].to_pylist()) == ["2", "3"]
    with pytest.raises(SourceError, match=r"has no snapshot 7; its newest are \d+"):
        data.IcebergFeed("shop.orders", lake.properties, start=7).plan(None)
    lake.catalog.drop_table("shop.orders")
    made_anew = IcebergTable(tmp_path / "lake")
    made_anew.add(rows(9))
    with pytest.raises(SourceError, match="was made anew"):
        data.ingest(ws, late)
    wrong: Any = {"type": "sql", "uri": f"sqlite:///{tmp_path}/no/such/folder/c.db"}
    with pytest.raises(SourceError, match=r"shop\.orders cannot be read.*unable to open"):
        data.IcebergFeed("shop.orders", wrong).plan(None)


def test_it_is_stored_as_plain_data(tmp_path: Path) -> None:
    source = data.Source("orders", data.IcebergFeed("shop.orders", {"type": "rest", "uri": "${CATALOG}"}, start=5))
    plain = data.source_to_plain(source)
    assert plain["connector"]["kind"] == "iceberg" and data.source_from_plain(plain).connector == source.connector


def test_operations_have_the_names_that_are_followed() -> None:
    """Snapshots are told apart by these words; another library version must not rename them."""
    assert {Operation.APPEND.value, Operation.REPLACE.value} == {"append", "replace"}
