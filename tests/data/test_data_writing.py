"""Writing: versions, exactly once, schema, partitions, statistics, conflicts. No test here starts Ray."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from raylake import data, registry
from raylake.core import Conflict, InvalidName, Node, NotFound, SchemaMismatch, StorageError, Workspace
from raylake.data.commits import Commit, commit_files
from raylake.data.file_writer import FileWriter


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())})


def test_versions_are_recorded_with_lineage(ws: Workspace) -> None:
    first = data.write(ws, "numbers", numbers(1, 2), inputs=[Node("file", "a.csv")])
    second = data.write(ws, "numbers", numbers(3))
    assert (str(first), first.rows, str(second), second.rows) == ("numbers@1", 2, "numbers@2", 3)
    assert registry.table_version(ws, "numbers@1") == first
    assert [edge.source for edge in registry.upstream(ws, first.node)] == [Node("file", "a.csv")]
    assert [(one.version, one.rows) for one in data.versions(ws, "numbers")] == [(1, 2), (2, 3)]


def test_overwrite_replaces_and_old_versions_stay(ws: Workspace) -> None:
    data.write(ws, "numbers", numbers(1, 2))
    assert data.write(ws, "numbers", numbers(9), mode="overwrite").rows == 1
    assert data.table(ws, "numbers")["n"].to_pylist() == [9]
    assert data.table(ws, "numbers@1")["n"].to_pylist() == [1, 2]


def test_a_repeated_transaction_writes_nothing(ws: Workspace) -> None:
    first = data.write(ws, "log", numbers(1), app=("replica", 7))
    data.write(ws, "log", numbers(2), app=("replica", 8))
    assert data.write(ws, "log", numbers(1), app=("replica", 7)) == first
    assert data.write(ws, "log", numbers(1), app=("replica", 7), mode="overwrite") == first
    assert sorted(data.table(ws, "log")["n"].to_pylist()) == [1, 2]
    assert len(list(Path(ws.root, "tables/main/log").glob("*.parquet"))) == 2
    with pytest.raises(Conflict, match="only grow"):
        data.write(ws, "log", numbers(1), app=("replica", 5))


def test_many_threads_create_and_append(ws: Workspace) -> None:
    registry.tables(ws)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: data.write(ws, "race", numbers(n)), range(24)))
    assert sorted(one.version for one in made) == list(range(1, 25))
    assert sorted(data.table(ws, "race")["n"].to_pylist()) == list(range(24))


def test_one_transaction_by_many_at_once_is_written_once(ws: Workspace) -> None:
    registry.tables(ws)
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda n: data.write(ws, "race", numbers(1), app=("job", 1)).version, range(8)))
    assert len(made) == 1
    assert data.table(ws, "race").num_rows == 1
    assert len(list(Path(ws.root, "tables/main/race").glob("*.parquet"))) == 1


def test_a_stale_overwrite_is_refused(ws: Workspace) -> None:
    data.write(ws, "numbers", numbers(1))
    url = ws.table_url(data.versions(ws, "numbers")[0].ref)
    writer = FileWriter(url, numbers().schema)
    writer.write(numbers(9))
    files = writer.close()
    data.write(ws, "numbers", numbers(2))
    with pytest.raises(Conflict, match="changed while its replacement"):
        commit_files(Commit(url, numbers().schema, mode="overwrite", base=1), files)
    assert sorted(data.table(ws, "numbers")["n"].to_pylist()) == [1, 2]


def test_an_overwrite_that_loses_the_race_inside_the_commit_is_refused(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other writer commits after the last check: only the log itself can tell."""
    data.write(ws, "numbers", numbers(1))
    original = DeltaTable.create_write_transaction
    calls = []

    def late(self: DeltaTable, *args: object, **kwargs: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            data.write(ws, "numbers", numbers(2))
        original(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(DeltaTable, "create_write_transaction", late)
    with pytest.raises(Conflict):
        data.write(ws, "numbers", numbers(9), mode="overwrite")
    assert sorted(data.table(ws, "numbers")["n"].to_pylist()) == [1, 2]


def test_schema_is_enforced_and_everything_wrong_is_named(ws: Workspace) -> None:
    data.write(ws, "t", pa.table({"a": [1], "b": ["x"]}))
    with pytest.raises(
        SchemaMismatch, match=r"'a' is string but the table has int64; missing columns \['b'\].*\['c'\]"
    ):
        data.write(ws, "t", pa.table({"a": ["1"], "c": [1]}))
    assert data.versions(ws, "t")[-1].version == 1
    assert len(list(Path(ws.root, "tables/main/t").glob("*.parquet"))) == 1


def test_schema_evolves_when_allowed(ws: Workspace) -> None:
    data.write(ws, "t", pa.table({"a": [1]}))
    data.write(ws, "t", pa.table({"a": [2], "b": ["x"]}), schema_mode="evolve")
    data.write(ws, "t", pa.table({"b": ["y"]}), schema_mode="evolve")
    rows = sorted(data.table(ws, "t").to_pylist(), key=str)
    assert rows == [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": None, "b": "y"}]
    assert data.table(ws, "t", filter=[("b", "==", "x")])["a"].to_pylist() == [2]
    assert data.sql(ws, "select count(b) as n from t")["n"].to_pylist() == [2]
    with pytest.raises(SchemaMismatch):
        data.write(ws, "t", pa.table({"a": ["text"]}), schema_mode="evolve")
    replaced = data.write(ws, "t", pa.table({"z": [1.5]}), mode="overwrite", schema_mode="evolve")
    assert replaced.schema == {"z": "float64"}


def test_types_become_storable(ws: Workspace) -> None:
    moment = datetime(2013, 1, 1, 10, 0, 0, 123457)
    original = pa.table(
        {
            "naive": pa.array([moment], pa.timestamp("ns")),
            "tiny": pa.array([200], pa.uint8()),
            "big": pa.array([2**62], pa.uint64()),
            "label": pa.array(["x"]).dictionary_encode(),
            "day": pa.array([date(2013, 1, 1)]),
            "money": pa.array([Decimal("1.50")]),
            "half": pa.array([1.5], pa.float16()),
            "list": pa.array([[1.0, None]], pa.list_(pa.float32())),
            "inner": pa.array([{"x": 1}], pa.struct([("x", pa.uint8())])),
        }
    )
    data.write(ws, "types", original)
    data.write(ws, "types", original)
    row = data.table(ws, "types").to_pylist()[1]
    assert row["naive"] == moment.replace(tzinfo=UTC)
    assert (row["tiny"], row["big"], row["label"], row["half"]) == (200, 2**62, "x", 1.5)
    assert (row["list"], row["inner"], row["money"]) == ([1.0, None], {"x": 1}, Decimal("1.50"))
    with pytest.raises(SchemaMismatch, match="'big'"):
        data.write(ws, "over", pa.table({"big": pa.array([2**64 - 1], pa.uint64())}))
    with pytest.raises(SchemaMismatch, match="'nothing'"):
        data.write(ws, "nothing", pa.table({"nothing": pa.nulls(2)}))
    assert not data.exists(ws, "over") and not data.exists(ws, "nothing")


def test_partitions_and_filters(ws: Workspace) -> None:
    rows = pa.table(
        {
            "p": ["a/b", None, "a b%", "a/b"],
            "d": [date(2013, 1, 1), date(2013, 1, 2), None, date(2013, 1, 1)],
            "n": [1, 2, 3, 4],
        }
    )
    data.write(ws, "parts", rows, partition_by=["p", "d"])
    data.write(ws, "parts", rows.slice(0, 1))
    assert sorted(data.table(ws, "parts")["n"].to_pylist()) == [1, 1, 2, 3, 4]
    assert data.table(ws, "parts", filter=[("p", "==", "a b%")])["n"].to_pylist() == [3]
    assert data.table(ws, "parts", filter=pc.field("p").is_null())["n"].to_pylist() == [2]
    found = data.sql(ws, "select n from parts where p = 'a/b' order by n")["n"].to_pylist()
    assert found == [1, 1, 4]
    with pytest.raises(SchemaMismatch, match="partitioned by"):
        data.write(ws, "parts", rows, partition_by=["p"])


def test_statistics_prune_files_and_never_rows(ws: Workspace) -> None:
    base = datetime(2013, 1, 1, tzinfo=UTC)
    for start in range(0, 80, 10):
        long = "x" * (100 if start == 30 else 0)
        rows = pa.table(
            {
                "n": list(range(start, start + 10)),
                "at": [base.replace(microsecond=start * 1000 + k * 100 + 1) for k in range(10)],
                "s": [None if k % 3 == 0 else f"{start + k:03d}" + long for k in range(10)],
                "f": [float("nan") if k == 5 else float(start + k) for k in range(10)],
            }
        )
        data.write(ws, "stats", rows)
    whole = data.table(ws, "stats")
    opened = DeltaTable(str(Path(ws.root, "tables/main/stats")))
    from raylake.data.read import fragments

    assert len(fragments(opened, opened.table_uri, pc.field("n") == 42)) == 1
    for expression in (
        pc.field("n") == 42,
        pc.field("s") > "029",
        pc.field("s").is_null(),
        pc.field("f") >= 75.0,
        pc.is_nan(pc.field("f")),
        pc.field("at") >= pa.scalar(base.replace(microsecond=40_901), pa.timestamp("us", "UTC")),
    ):
        found = data.table(ws, "stats", filter=expression)
        assert sorted(found["n"].to_pylist()) == sorted(whole.filter(expression)["n"].to_pylist())


def test_files_are_readable_by_others(ws: Workspace) -> None:
    data.write(ws, "shared", pa.table({"n": [1, None, 3], "s": ["a", "b", None]}))
    path = str(Path(ws.root, "tables/main/shared"))
    assert pl.read_delta(path).sort("n").to_dict(as_series=False) == {"n": [None, 1, 3], "s": ["b", "a", None]}
    assert pa.table(DeltaTable(path).get_add_actions())["num_records"].to_pylist() == [3]


def test_tables_of_others_are_readable_here(ws: Workspace) -> None:
    write_deltalake(str(Path(ws.root, "tables/main/foreign")), pa.table({"n": [1, 2]}))
    assert data.table(ws, "foreign", filter=[("n", ">", 1)])["n"].to_pylist() == [2]
    assert data.write(ws, "foreign", numbers(3)).rows == 3


def test_unsupported_features_are_refused(ws: Workspace) -> None:
    path = str(Path(ws.root, "tables/main/mapped"))
    write_deltalake(path, pa.table({"n": [1]}), configuration={"delta.enableDeletionVectors": "true"})
    protocol = DeltaTable(path).protocol()
    if "deletionVectors" in (protocol.writer_features or ()):
        with pytest.raises(SchemaMismatch, match="deletionVectors"):
            data.table(ws, "mapped")
    else:
        assert data.table(ws, "mapped").num_rows == 1


def test_a_file_whose_columns_differ_is_never_committed(ws: Workspace) -> None:
    data.write(ws, "t", numbers(1))
    url = ws.table_url(data.versions(ws, "t")[0].ref)
    writer = FileWriter(url, pa.schema([("other", pa.string())]))
    writer.write(pa.table({"other": ["x"]}))
    with pytest.raises(SchemaMismatch, match="other"):
        commit_files(Commit(url, numbers().schema), writer.close())
    assert data.table(ws, "t").num_rows == 1


def test_big_tables_become_several_files(ws: Workspace) -> None:
    url = str(Path(ws.root, "tables/main/big"))
    writer = FileWriter(url, numbers().schema, target_bytes=1000)
    drawn = random.Random(5)
    for _ in range(10):  # numbers in a row would pack into next to nothing
        writer.write(numbers(*(drawn.randrange(2**60) for _ in range(500))))
    files = writer.close()
    assert len(files) > 1 and sum(file.rows for file in files) == 5000


def test_bad_names_and_unknown_things(ws: Workspace) -> None:
    for name in ("../x", "a/b", "UPPER", "flights@3"):
        with pytest.raises(InvalidName):
            data.write(ws, name, numbers(1))
    data.write(ws, "known", numbers(1))
    with pytest.raises(NotFound, match="tables: known"):
        data.table(ws, "unknown")
    with pytest.raises(NotFound, match="its newest is 1"):
        data.table(ws, "known@7")
    with pytest.raises(SchemaMismatch, match="no columns"):
        data.table(ws, "known", columns=["x"])


def test_a_file_in_the_way_is_a_storage_error(ws: Workspace) -> None:
    Path(ws.root, "tables").write_text("in the way")
    with pytest.raises(StorageError):
        data.write(ws, "t", numbers(1))


def test_vacuum_takes_orphans_and_leaves_rows(ws: Workspace) -> None:
    data.write(ws, "t", numbers(1))
    folder = Path(ws.root, "tables/main/t")
    writer = FileWriter(str(folder), numbers().schema)
    writer.write(numbers(2))
    writer.close()
    assert data.vacuum(ws, "t") == 0
    assert data.vacuum(ws, "t", keep_hours=0) == 1
    assert data.table(ws, "t")["n"].to_pylist() == [1]


def test_workers_write_without_the_registry(ws: Workspace) -> None:
    made = data.write(ws, "predictions.delay", numbers(1), record=False)
    assert registry.tables(ws) == [] and str(made) == "predictions.delay@1"
    assert data.sync_table(ws, "predictions.delay").rows == 1
    assert registry.table_version(ws, "predictions.delay").version == 1


def test_sql_over_namespaces_and_pins(ws: Workspace) -> None:
    data.write(ws, "flights", pa.table({"id": [1, 2], "origin": ["EWR", "JFK"]}))
    data.write(ws, "flights", pa.table({"id": [3], "origin": ["LGA"]}))
    data.write(ws, "predictions.flight-delay", pa.table({"id": [1], "p": [0.5]}))
    joined = data.sql(ws, 'select f.origin, p.p from flights f join predictions."flight-delay" p on p.id = f.id')
    assert joined.to_pylist() == [{"origin": "EWR", "p": 0.5}]
    assert joined.schema.field("origin").type == pa.string()
    assert data.sql(ws, "select count(*) as n from flights", at={"flights": 1})["n"].to_pylist() == [2]
    with pytest.raises(NotFound, match=r"flights, predictions\.flight-delay"):
        data.sql(ws, "select * from flightz")
    with pytest.raises(NotFound, match="no version 9"):
        data.sql(ws, "select * from flights", at={"flights": 9})
    with pytest.raises(ValueError, match="cannot be run"):
        data.sql(ws, "select nothing from flights")


def test_nothing_here_started_ray(ws: Workspace) -> None:
    import subprocess
    import sys

    code = (
        "import sys, pyarrow as pa; from raylake import data; from raylake.core import Workspace\n"
        "ws = Workspace.open(sys.argv[1])\n"
        "data.write(ws, 't', pa.table({'n': [1]})); data.table(ws, 't'); data.sql(ws, 'select * from t')\n"
        "data.versions(ws, 't'); data.exists(ws, 't')\n"
        "print('torch' in sys.modules, 'ray' in sys.modules and sys.modules['ray'].is_initialized())"
    )
    done = subprocess.run([sys.executable, "-c", code, ws.root], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_many_partitions_do_not_run_out_of_files(ws: Workspace) -> None:
    """More partitions than a process may hold files open, and one file each when a write brings them whole."""
    rows = pa.table({"p": [n % 1500 for n in range(3000)], "n": range(3000)})
    assert data.write(ws, "parts", rows, partition_by=["p"]).metrics["files"] == 1500
    assert data.table(ws, "parts", filter=[("p", "==", 7)])["n"].to_pylist() == [7, 1507]
