"""Ingest: typed, checked, quarantined, exactly once. Small sources: no Ray."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from raylake import data, registry
from raylake.core import ConfigError, Conflict, ExpectationFailed, Node, SchemaMismatch, SourceError, Workspace
from raylake.data import live_files

SCHEMA = {"id": "int64", "miles": "int64", "origin": "string"}


def put(folder: Path, name: str, *lines: str, header: str = "id,miles,origin") -> None:
    (folder / name).write_text("\n".join([header, *lines]) + "\n")


def trips(folder: Path, rules: Sequence[data.Expectation] = (), **more: object) -> data.Source:
    return data.Source("trips", data.Csv(str(folder / "*.csv")), schema=SCHEMA, expectations=rules, **more)  # type: ignore[arg-type]


def rejected(ws: Workspace) -> list[tuple[str, dict[str, str]]]:
    rows = data.table(ws, "quarantine.trips").to_pylist()
    return sorted(((row["reason"], json.loads(row["row"])) for row in rows), key=lambda pair: pair[0])


def test_bad_cells_and_ragged_lines_are_quarantined_never_null(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR", "2,12x,JFK", "x,y,LGA", "4,,EWR", "5,NA,NA", "6,1", "7,1,EWR,extra")
    version = data.ingest(ws, trips(tmp_path))
    assert data.table(ws, "trips").to_pylist() == [
        {"id": 1, "miles": 10, "origin": "EWR"},
        {"id": 4, "miles": None, "origin": "EWR"},
        {"id": 5, "miles": None, "origin": None},
    ]
    assert rejected(ws) == [
        ("id: 'x' is not a valid int64; miles: 'y' is not a valid int64", {"id": "x", "miles": "y", "origin": "LGA"}),
        ("line has 2 cells instead of 3", {"line": "6,1"}),
        ("line has 4 cells instead of 3", {"line": "7,1,EWR,extra"}),
        ("miles: '12x' is not a valid int64", {"id": "2", "miles": "12x", "origin": "JFK"}),
    ]
    counts = {key: version.metrics[key] for key in ("rows_read", "rows_written", "rows_quarantined", "unparsable")}
    assert counts == {"rows_read": 7, "rows_written": 3, "rows_quarantined": 4, "unparsable": 4}
    quarantine = registry.table_version(ws, "quarantine.trips")
    assert quarantine.rows == 4
    assert set(data.table(ws, "quarantine.trips")["source_file"].to_pylist()) == {str(tmp_path / "a.csv")}
    sources = [edge.source for edge in registry.upstream(ws, quarantine.node)]
    assert version.node in sources and Node("file", str(tmp_path / "a.csv")) in sources


def test_every_way_to_fail(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR", "2,-5,JFK", "3,5,XXX", "4,9000,EWR", "5,7,NA")
    rules = [
        data.between("miles", 0, 6000),
        data.one_of("origin", ["EWR", "JFK"], on_fail="drop"),
        data.not_null("origin", on_fail="warn"),
        data.at_least_rows(2),
    ]
    version = data.ingest(ws, trips(tmp_path, rules))
    assert data.table(ws, "trips")["id"].to_pylist() == [1, 5]
    assert version.metrics["expectations"] == {
        "between(miles, 0, 6000)": {"checked": 5, "failed": 2},
        "one_of(origin, ('EWR', 'JFK'))": {"checked": 3, "failed": 1},
        "not_null(origin)": {"checked": 2, "failed": 1},
        "at_least_rows(2)": {"checked": 2, "failed": 0},
    }
    assert [reason for reason, _ in rejected(ws)] == ["between(miles, 0, 6000)"] * 2
    (alert,) = registry.alerts(ws)
    assert "1 rows of source 'trips' break not_null(origin)" in alert.message


@pytest.mark.parametrize("rule", [data.between("miles", 0, 1, on_fail="fail"), data.at_least_rows(3)])
def test_fail_means_nothing_is_written(ws: Workspace, tmp_path: Path, rule: data.Expectation) -> None:
    put(tmp_path, "a.csv", "1,10,EWR", "2,x,EWR")
    with pytest.raises(ExpectationFailed, match=rule.rule):
        data.ingest(ws, trips(tmp_path, [rule]))
    assert not data.exists(ws, "trips") and not data.exists(ws, "quarantine.trips")
    assert list(Path(ws.root).rglob("*.parquet")) == []


def test_without_quarantine_the_first_bad_row_fails(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR", "2,12x,JFK")
    with pytest.raises(ExpectationFailed, match="12x"):
        data.ingest(ws, trips(tmp_path), quarantine=False)
    assert not data.exists(ws, "trips")


def test_keys_are_unique_within_and_across_ingests(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR", "2,20,JFK", "1,11,EWR", ",5,EWR")
    source = trips(tmp_path, key=["id"])
    assert data.ingest(ws, source).rows == 2
    put(tmp_path, "b.csv", "2,21,JFK", "3,30,LGA")
    version = data.ingest(ws, source)
    assert data.table(ws, "trips").sort_by("id")["miles"].to_pylist() == [10, 20, 30]
    assert version.metrics["expectations"]["unique(id)"] == {"checked": 2, "failed": 1}
    assert [reason for reason, _ in rejected(ws)] == ["not_null(id)", "unique(id)", "unique(id)"]


def test_unique_in_a_partitioned_table(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR", "1,11,JFK", "1,12,EWR")
    source = trips(tmp_path, [data.unique("id", "origin")], partition_by=["origin"])
    assert data.ingest(ws, source).rows == 2
    assert sorted(data.table(ws, "trips")["miles"].to_pylist()) == [10, 11]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("id,miles", r"lacks columns \['origin'\]"),
        ("id,miles,origin,more", r"unknown columns \['more'\]"),
        ("id,km,origin", r"lacks columns \['miles'\] and has unknown columns \['km'\]"),
        ("id,id,origin", r"columns \['id'\] more than once"),
    ],
)
def test_a_wrong_header_is_named(ws: Workspace, tmp_path: Path, header: str, words: str) -> None:
    put(tmp_path, "a.csv", ",".join("1" * len(header.split(","))), header=header)
    with pytest.raises(SchemaMismatch, match=words):
        data.ingest(ws, trips(tmp_path))
    assert not data.exists(ws, "trips")


def test_order_of_columns_does_not_matter(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR")
    put(tmp_path, "b.csv", "JFK,2,20", header="origin,id,miles")
    data.ingest(ws, trips(tmp_path))
    assert data.table(ws, "trips").to_pylist()[1] == {"id": 2, "miles": 20, "origin": "JFK"}


def test_discovered_schema_is_kept(ws: Workspace, tmp_path: Path) -> None:
    source = data.Source("open", data.Csv(str(tmp_path / "*.csv")))
    (tmp_path / "a.csv").write_text("zip,n,at\n00501,1,2013-01-01T10:00:00Z\n")
    expected = {"zip": "string", "n": "int64", "at": "timestamp"}
    assert data.ingest(ws, source).schema == expected
    (tmp_path / "b.csv").write_text("zip,n,at\n10001,1.5,2013-01-01T11:00:00Z\n")
    version = data.ingest(ws, source)
    assert (version.rows, version.schema, version.metrics["unparsable"]) == (1, expected, 1)


def test_new_columns_with_evolve(ws: Workspace, tmp_path: Path) -> None:
    source = trips(tmp_path, schema_mode="evolve")
    put(tmp_path, "a.csv", "1,10,EWR")
    data.ingest(ws, source)
    put(tmp_path, "b.csv", "2,20,JFK,3.5", header="id,miles,origin,gate")
    assert data.ingest(ws, source).schema == {**SCHEMA, "gate": "float64"}
    assert data.table(ws, "trips").sort_by("id")["gate"].to_pylist() == [None, 3.5]


def kilometres(rows: pa.Table) -> pa.Table:
    return rows.append_column("km", pc.multiply(rows["miles"].cast(pa.float64()), 1.6))


def test_transform_before_expectations(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR", "2,100,JFK")
    data.ingest(ws, trips(tmp_path, [data.between("km", 0, 20)], transform=kilometres))
    assert data.table(ws, "trips")["km"].to_pylist() == [16.0]
    assert rejected(ws) == [("between(km, 0, 20)", {"id": 2, "miles": 100, "origin": "JFK", "km": 160.0})]
    put(tmp_path, "b.csv", "3,1,EWR")
    assert data.ingest(ws, trips(tmp_path, transform=kilometres)).rows == 2


def test_overwrite_reads_everything_again_when_anything_changed(ws: Workspace, tmp_path: Path) -> None:
    source = trips(tmp_path, mode="overwrite")
    put(tmp_path, "a.csv", "1,10,EWR")
    first = data.ingest(ws, source)
    assert data.ingest(ws, source) == first
    put(tmp_path, "a.csv", "1,11,EWR", "2,20,JFK")
    assert data.ingest(ws, source).rows == 2
    assert data.table(ws, "trips@1").num_rows == 1


def test_many_small_files_make_one_file(ws: Workspace, tmp_path: Path) -> None:
    for number in range(40):
        put(tmp_path, f"{number:03d}.csv", f"{number},1,EWR")
    version = data.ingest(ws, trips(tmp_path))
    assert (version.rows, version.metrics["files"]) == (40, 1)


def test_parquet_source_types_are_checked_cell_by_cell(ws: Workspace, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1.0, 2.5], "miles": [1, 2], "origin": ["a", "b"]}), tmp_path / "a.parquet")
    source = data.Source("trips", data.Parquet(str(tmp_path / "a.parquet")), schema=SCHEMA)
    assert data.ingest(ws, source).rows == 1
    assert rejected(ws)[0][0] == "id: 2.5 is not a valid int64"


def test_side_by_side_and_one_that_fails(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR")
    good = [data.Source(name, data.Csv(str(tmp_path / "a.csv")), schema=SCHEMA) for name in ("one", "two", "three")]
    assert [str(version) for version in data.ingest_all(ws, good)] == ["one@1", "two@1", "three@1"]
    bad = data.Source("bad", data.Csv(str(tmp_path / "no.csv")))
    more = data.Source("four", data.Csv(str(tmp_path / "a.csv")), schema=SCHEMA)
    with pytest.raises(SourceError):
        data.ingest_all(ws, [bad, more])
    assert data.exists(ws, "four")


def test_two_at_once_read_every_row_once(ws: Workspace, tmp_path: Path) -> None:
    for number in range(5):
        put(tmp_path, f"{number}.csv", f"{number},1,EWR", "x,1,JFK")
    made = data.ingest_all(ws, [trips(tmp_path)] * 4)
    assert len({version.version for version in made}) == 1
    assert data.table(ws, "trips").num_rows == 5 and len(rejected(ws)) == 5


def test_a_lost_cursor_is_refused_not_ingested_twice(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR")
    data.ingest(ws, trips(tmp_path))
    log = Path(ws.root, "tables/main/trips/_delta_log")
    from deltalake import DeltaTable

    DeltaTable(str(log.parent)).create_checkpoint()
    data.write(ws, "trips", pa.table({"id": [2], "miles": [1], "origin": ["x"]}))
    (log / f"{1:020d}.json").unlink()
    with pytest.raises(Conflict, match="no longer says how far"):
        data.ingest(ws, trips(tmp_path))


def test_rejected_rows_left_behind_are_brought_in_by_the_next_ingest(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.csv", "1,10,EWR", "2,x,JFK")
    module = importlib.import_module("raylake.data.ingest")

    def interrupted(*_: object) -> None:
        if data.exists(ws, "trips"):
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_settle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.ingest(ws, trips(tmp_path))
    monkeypatch.undo()
    assert data.table(ws, "trips").num_rows == 1 and not data.exists(ws, "quarantine.trips")
    put(tmp_path, "b.csv", "3,y,EWR")
    for _ in range(2):
        data.ingest(ws, trips(tmp_path))
        assert len(rejected(ws)) == 2


def test_declarations_are_checked_at_once(tmp_path: Path) -> None:
    for wrong in ({"schema": {"a": "int"}}, {"mode": "merge"}, {"schema_mode": "free"}, {"key": "id"}):
        with pytest.raises(ConfigError):
            data.Source("t", data.Csv("a.csv"), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="on_fail"):
        data.not_null("a", on_fail="ignore")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no single row"):
        data.at_least_rows(1, on_fail="drop")


def test_expectations_on_unknown_columns_or_types(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,10,EWR")
    for rule in (data.not_null("nope"), data.unique("nope"), data.matches("miles", "x")):
        with pytest.raises(SchemaMismatch, match=rule.rule):
            data.ingest(ws, trips(tmp_path, [rule]))
    assert not data.exists(ws, "trips")


def _halves(rows: pa.Table) -> pa.Table:
    return rows.set_column(1, "miles", pa.array([mile / 2 for mile in rows["miles"].to_pylist()]))


def test_another_type_than_the_table_has_names_column_both_types_and_the_file(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,miles\n1,10\n")
    plain = data.Source("trips", data.Csv(str(tmp_path / "*.csv")), schema={"id": "int64", "miles": "int64"})
    data.ingest(ws, plain)
    (tmp_path / "b.csv").write_text("id,miles\n2,11\n")
    with pytest.raises(SchemaMismatch, match=r"b\.csv do not fit: column 'miles' is float64 but the table has int64"):
        data.ingest(ws, replace(plain, transform=_halves))
    assert data.table(ws, "trips").num_rows == 1
    assert data.ingest(ws, plain).rows == 2


def test_uniqueness_reads_only_files_that_may_hold_a_key(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    reading = live_files.file_dataset
    monkeypatch.setattr(
        live_files, "file_dataset", lambda url, file, schema: opened.append(file.path) or reading(url, file, schema)
    )
    for number in range(4):
        put(tmp_path, f"{number}.csv", *(f"{number * 10 + n},1,EWR" for n in range(10)))
        data.ingest(ws, trips(tmp_path, [data.unique("id")]))
    assert opened == []
    put(tmp_path, "again.csv", "25,1,EWR", "99,1,EWR", "99,2,EWR")
    data.ingest(ws, trips(tmp_path, [data.unique("id")]))
    assert len(opened) == 1  # none but the third holds keys up to 25 or above
    assert [row["id"] for _, row in rejected(ws)] == [25, 99]
    assert data.table(ws, "trips").num_rows == 41
