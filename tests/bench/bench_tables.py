"""Tables beside plain deltalake: CSV into a table, merges, facts of a long history."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as pds
from deltalake import DeltaTable, write_deltalake
from figures import Figure, timed

from raylake import data
from raylake.core import Workspace, ensure_ray

ROWS, FILES, TIMES = 5_000_000, 20, 10
CSV = "CSV to Delta, 5M rows x 10 columns in 20 files"
UPDATES, TABLE = 100_000, 1_000_000
SMALL = "merge of 100k updates into 1M rows"
LARGE = "merge of 100k updates into 10M rows, keys in 2 of 20 files"
LONG = "facts of a table with 1,000 commits"
VERSIONS = "list the versions of a table with 1,000 commits"


def run() -> list[Figure]:
    """All workloads."""
    return [*_ingestion(), *_merges(SMALL, 1, 1), *_merges(LARGE, 10, 2), *_facts()]


def _rows(keys: np.ndarray, random: np.random.Generator) -> pa.Table:
    count = len(keys)
    columns: dict[str, object] = {"id": keys}
    columns |= {f"x{number}": random.random(count).round(6) for number in range(4)}
    columns |= {f"i{number}": random.integers(0, 1000, count) for number in range(3)}
    columns["word"] = pa.array(np.char.add("w", (keys % 1000).astype(str)))
    columns["at"] = pa.array(random.integers(0, 10**15, count)).cast(pa.timestamp("us", "UTC"))
    return pa.table(columns)


def _ingestion() -> list[Figure]:
    home = Path(tempfile.mkdtemp())
    random = np.random.default_rng(0)
    try:
        for number in range(FILES):
            keys = np.arange(number * (ROWS // FILES), (number + 1) * (ROWS // FILES))
            pa.csv.write_csv(_rows(keys, random), home / f"{number:02d}.csv")
        ws = Workspace.open(home / "lake", ray_address="local")
        ensure_ray(ws)
        schema = {"id": "int64", "word": "string", "at": "timestamp"}
        schema |= {f"x{number}": "float64" for number in range(4)} | {f"i{number}": "int64" for number in range(3)}
        order = ["id", *(f"x{n}" for n in range(4)), *(f"i{n}" for n in range(3)), "word", "at"]
        ordered = {name: schema[name] for name in order}

        def ours() -> object:
            shutil.rmtree(home / "lake" / "tables", ignore_errors=True)
            return data.ingest(ws, data.Source("t", data.Csv(str(home / "*.csv")), schema=ordered))

        def theirs() -> object:
            shutil.rmtree(home / "plain", ignore_errors=True)
            types = pa.csv.ConvertOptions(column_types={"at": pa.timestamp("us", "UTC")})
            dataset = pds.dataset(sorted(map(str, home.glob("*.csv"))), format=pds.CsvFileFormat(convert_options=types))
            return write_deltalake(str(home / "plain"), dataset.scanner().to_reader())

        contenders = {"raylake": ours, "deltalake, one process": theirs}
        found = _in_turns(CSV, contenders, repeat=3)
        peaks = [(who, _peak(work)) for who, work in contenders.items()]
        for number in range(FILES, TIMES * FILES):
            os.link(home / f"{number % FILES:02d}.csv", home / f"{number}.csv")
        peaks.append((f"raylake, {TIMES} times the input", _peak(ours)))
        return found + [Figure(f"{CSV}: peak memory", who, peak, "MiB", "lower") for who, peak in peaks]
    finally:
        import ray

        ray.shutdown()
        shutil.rmtree(home, ignore_errors=True)


def _in_turns(workload: str, contenders: dict[str, Callable[[], object]], *, repeat: int) -> list[Figure]:
    """Median times, taken in turns, so that whatever else the machine does meets them alike."""
    taken: dict[str, list[float]] = {who: [] for who in contenders}
    for turn in range(repeat + 1):
        for who, work in contenders.items():
            start = time.perf_counter()
            work()
            if turn:
                taken[who].append(time.perf_counter() - start)
    return [
        Figure(workload, who, statistics.median(times), "s", "lower", max(times) / min(times))
        for who, times in taken.items()
    ]


def _peak(work: Callable[[], object]) -> float:
    """Most memory of this process, of Ray's and of its workers together, the object store included, in MiB."""
    most = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            most[0] = max(most[0], _memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return most[0] / 2**20


def _memory() -> int:
    """Bytes of this process and of every one below it that are not pages of files; what is shared counts once."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    mine = {os.getpid(), *_raylets()}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return sum(_own(pid) for pid in mine)


def _own(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    return sum(int(told.get(name, "0 kB").split()[0]) * 1024 for name in ("Pss_Anon", "Pss_Shmem"))


def _raylets() -> list[int]:
    """The process of this machine that Ray's workers descend from; it is no child of ours."""
    import ray

    if not ray.is_initialized():
        return []
    session = ray.get_runtime_context().get_session_name().encode()
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = command.read_bytes()
        except OSError:
            continue
        if b"raylet" in text and session in text:
            found.append(int(command.parent.name))
    return found


def _merges(workload: str, times: int, touched: int) -> list[Figure]:
    """A table in 2 files a million rows; the keys lie in one or two files."""
    random = np.random.default_rng(1)
    home = Path(tempfile.mkdtemp())
    ws = Workspace.open(home / "lake")
    base = _rows(np.arange(TABLE), random)
    try:
        half = TABLE // 2
        for number in range(2 * times):
            part = base.slice(number % 2 * half, half)
            part = part.set_column(0, "id", pa.array(np.arange(number * half, (number + 1) * half)))
            data.write(ws, "t", part, record=False)
            write_deltalake(str(home / "plain"), part, mode="append")
        span = TABLE if times == 1 else touched * half
        updates = _rows(random.permutation(span)[:UPDATES], random)

        def ours() -> object:
            return data.merge(ws, "t", updates, key=["id"], record=False)

        def theirs() -> object:
            merger = DeltaTable(str(home / "plain")).merge(updates, "t.id = s.id", source_alias="s", target_alias="t")
            return merger.when_matched_update_all().when_not_matched_insert_all().execute()

        return [timed(workload, "raylake", ours, repeat=4), timed(workload, "deltalake MERGE", theirs, repeat=4)]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _facts() -> list[Figure]:
    home = Path(tempfile.mkdtemp())
    ws = Workspace.open(home / "lake")
    try:
        for number in range(1000):
            data.write(ws, "t", pa.table({"n": [number]}), record=False)
        path = str(home / "lake/tables/main/t")
        return [
            timed(LONG, "raylake", lambda: data.facts(ws, "t"), repeat=5),
            timed(LONG, "limit: deltalake opens it", lambda: DeltaTable(path), repeat=5),
            timed(VERSIONS, "raylake", lambda: data.versions(ws, "t"), repeat=5),
            timed(VERSIONS, "deltalake history", lambda: DeltaTable(path).history(), repeat=5),
        ]
    finally:
        shutil.rmtree(home, ignore_errors=True)
