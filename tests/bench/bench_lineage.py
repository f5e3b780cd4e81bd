"""Lineage over a million edges: depth 10 up and down, warm and cold, and inserting them.

Peers: the same walk in memory by networkx (which first has to hold the whole graph), and by the recursive SQL that
catalogues such as Marquez use, on the same file: names as text, joined at every step. The graph is half runs and half
versions of tables; a node is made from two older ones, so that a walk of depth 10 finds about 1,800 edges.
With RAYLAKE_BENCH_POSTGRES=postgresql://... (an empty database) the same is measured there.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import networkx
from figures import Figure, timed

from raylake import registry
from raylake.core import Node, Workspace
from raylake.registry import Edge

NODES = 500_000
DEPTH = 10
STARTS = 5
FIRST = """
import sys, time
from raylake import registry
from raylake.core import Workspace
ws = Workspace.open(sys.argv[1])
registry.runs(ws)  # connects, and checks the schema
start = time.perf_counter()
assert len(registry.upstream(ws, sys.argv[2], depth=int(sys.argv[3]))) > 10
print(time.perf_counter() - start)
"""
TEXT_SQL = """
WITH RECURSIVE walk (node, distance) AS (
    SELECT ?, 0 UNION
    SELECT edge.source, walk.distance + 1 FROM walk CROSS JOIN edge ON edge.target = walk.node
    WHERE walk.distance < ?
)
SELECT DISTINCT edge.source, edge.target FROM walk CROSS JOIN edge ON edge.target = walk.node WHERE distance < ?
"""


def graph() -> list[Edge]:
    """About a million edges."""
    draw = random.Random(7)
    nodes = [
        Node("run", f"{index:032x}") if index % 2 else Node("table", f"main.t{index // 40}", str(index))
        for index in range(NODES)
    ]
    pairs = {(draw.randint(max(0, end - 200_000), end - 1), end) for end in range(1, NODES) for _ in range(2)}
    return [Edge(nodes[one], nodes[other]) for one, other in sorted(pairs, key=lambda pair: pair[1])]


def run() -> list[Figure]:
    """Walk and insert, beside peers."""
    folder = Path(tempfile.mkdtemp())
    edges = graph()
    figures = _ours(Workspace.open(folder / "lake"), edges, "SQLite")
    if url := os.environ.get("RAYLAKE_BENCH_POSTGRES"):
        figures += _ours(Workspace.open(folder / "pg", registry_url=url), edges, "PostgreSQL")
    starts, ends = _starts(edges)
    figures.append(_cold(folder / "lake", starts))
    figures += _text_sql(folder, edges, starts)
    whole = networkx.DiGraph((edge.source, edge.target) for edge in edges)
    for way, nodes in (("up", starts), ("down", ends)):
        figures.append(
            timed(_walk_name(way, "SQLite"), "networkx, in memory", lambda w=way, n=nodes: _networkx(whole, n, w),
                  per=STARTS, unit="us")
        )  # fmt: skip
    return figures


def _starts(edges: list[Edge]) -> tuple[list[Node], list[Node]]:
    """Where walks up and down begin: the newest nodes, and used ones in the middle (the oldest lead to everything)."""
    used = Counter(edge.source for edge in edges[len(edges) // 2 :])
    return [edge.target for edge in edges[-STARTS:]], [node for node, count in used.items() if count == 6][:STARTS]


def _walk_name(way: str, where: str) -> str:
    return f"lineage {way}, depth {DEPTH}, 1M edges, {where}"


def _ours(ws: Workspace, edges: list[Edge], where: str) -> list[Figure]:
    start = time.perf_counter()
    registry.add_edges(ws, edges)
    rate = len(edges) / (time.perf_counter() - start)
    figures = [Figure(f"insert 1M edges, {where}", "raylake", rate, "rows/s", "higher")]
    starts, ends = _starts(edges)
    for way, walk, nodes in (("up", registry.upstream, starts), ("down", registry.downstream, ends)):

        def work(walk=walk, nodes=nodes) -> None:  # type: ignore[no-untyped-def]
            for node in nodes:
                assert len(walk(ws, node, depth=DEPTH)) > 10

        figures.append(timed(_walk_name(way, where), "raylake", work, per=STARTS, unit="us"))
    return figures


def _cold(lake: Path, starts: list[Node]) -> Figure:
    """The first walk of a new process, whose file the machine has forgotten: every page comes from the disk."""
    taken = []
    for node in starts:
        with (lake / "registry.db").open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        done = subprocess.run(
            [sys.executable, "-c", FIRST, str(lake), str(node), str(DEPTH)], capture_output=True, text=True, check=True
        )
        taken.append(float(done.stdout))
    middle = statistics.median(taken) * 1e6
    name = f"{_walk_name('up', 'SQLite')}, first of a process"
    return Figure(name, "raylake", middle, "us", "lower", max(taken) / min(taken))


def _text_sql(folder: Path, edges: list[Edge], starts: list[Node]) -> list[Figure]:
    with sqlite3.connect(folder / "text.db", isolation_level=None) as db:
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=normal")
        db.execute("create table edge (source text, target text, primary key (source, target))")
        db.execute("create index edge_target on edge (target)")
        begin = time.perf_counter()
        db.execute("begin")
        db.executemany("insert or ignore into edge values (?, ?)", ((str(e.source), str(e.target)) for e in edges))
        db.execute("commit")
        rate = len(edges) / (time.perf_counter() - begin)

        def walk() -> None:
            for node in starts:
                assert len(db.execute(TEXT_SQL, (str(node), DEPTH, DEPTH)).fetchall()) > 10

        return [
            Figure("insert 1M edges, SQLite", "limit: bare SQLite, names as text", rate, "rows/s", "higher"),
            timed(_walk_name("up", "SQLite"), "recursive SQL, names as text", walk, per=STARTS, unit="us"),
        ]


def _networkx(whole: networkx.DiGraph, nodes: list[Node], way: str) -> None:
    neighbours = whole.predecessors if way == "up" else whole.successors
    for node in nodes:
        seen, level, found = {node}, [node], 0
        for _ in range(DEPTH):
            found += sum(1 for one in level for _ in neighbours(one))
            level = [far for far in {far for one in level for far in neighbours(one)} if far not in seen]
            seen.update(level)
        assert found > 10
