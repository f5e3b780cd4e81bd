"""Expectations beyond a cell: SQL, functions, references, freshness, distribution; and checks of whole versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raylake import data, registry
from raylake.core import ConfigError, ExpectationFailed, NotFound, SchemaMismatch, Workspace
from raylake.data import scan
from raylake.data.summary import stability, summarise_column
from raylake.data.whole_checks import freshness, newest

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _csv(folder: Path, *rows: str, name: str = "a.csv") -> data.Csv:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(["id,origin,delay,at", *rows]) + "\n", encoding="utf-8")
    return data.Csv(str(folder / "*.csv"))


def not_negative(table: pa.Table) -> pa.ChunkedArray:
    """A rule of a user's own."""
    return pc.greater_equal(table["delay"], 0)


def two_values(table: pa.Table) -> list[bool]:
    """A rule with a mistake in it."""
    return [True, False]


def test_sql_functions_and_references_are_checked_while_rows_are_read(ws: Workspace, tmp_path: Path) -> None:
    airports = data.write(ws, "airports", pa.table({"faa": ["EWR", "JFK", None]}))
    feed = _csv(
        tmp_path / "raw", "1,EWR,5,2026-01-01", "2,XXX,5,2026-01-01", "3,JFK,-2,2026-01-01", "4,,999,2026-01-01"
    )
    source = data.Source(
        "flights",
        feed,
        expectations=[
            data.refers_to("origin", "airports", "faa"),
            data.satisfies(not_negative, "delay"),
            data.holds("delay < 500 OR id = 7", on_fail="drop"),
        ],
    )
    version = data.ingest(ws, source)
    assert data.table(ws, version.ref)["id"].to_pylist() == [1]
    reasons = data.table(ws, "quarantine.flights")["reason"].to_pylist()
    assert reasons == ["refers_to(origin, airports, faa)", "satisfies(delay, not_negative)"]
    rules = version.metrics["expectations"]
    assert rules["holds(delay < 500 OR id = 7)"] == {"checked": 2, "failed": 1}
    assert airports.node in {edge.source for edge in registry.upstream(ws, version.node)}


def test_a_reference_is_pinned_when_the_ingest_begins(ws: Workspace, tmp_path: Path) -> None:
    data.write(ws, "airports", pa.table({"faa": ["EWR"]}))
    data.write(ws, "airports", pa.table({"faa": ["JFK"]}))
    feed = _csv(tmp_path / "raw", "1,JFK,5,2026-01-01")
    old = data.Source("old", feed, expectations=[data.refers_to("origin", "airports@1", "faa", on_fail="drop")])
    assert data.ingest(ws, old).rows == 0
    new = data.Source("new", feed, expectations=[data.refers_to("origin", "airports", "faa", on_fail="drop")])
    assert data.ingest(ws, new).rows == 1


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        (data.refers_to("origin", "nowhere", "faa"), NotFound, "nowhere"),
        (data.refers_to("origin", "airports", "iata"), SchemaMismatch, r"no columns \['iata'\]"),
        (data.holds("delay >>> 2"), SchemaMismatch, r"holds\(delay >>> 2\) cannot be evaluated: unable to parse"),
        (data.holds("speed > 2"), SchemaMismatch, 'unable to find column "speed"'),
        (data.holds("delay + 2"), SchemaMismatch, "give one boolean each"),
        (data.satisfies(two_values), SchemaMismatch, "gave 2 values of type bool for 1 rows"),
        (data.satisfies(not_negative, "late"), SchemaMismatch, r"unknown columns \['late'\]"),
        (data.fresh("delay", "2h"), SchemaMismatch, r"fresh\(delay\) needs a timestamp or a date"),
    ],
)
def test_rules_that_do_not_fit(
    ws: Workspace, tmp_path: Path, rule: data.Expectation, error: type[Exception], message: str
) -> None:
    data.write(ws, "airports", pa.table({"faa": ["EWR"]}))
    source = data.Source("flights", _csv(tmp_path / "raw", "1,EWR,5,2026-01-01"), expectations=[rule])
    with pytest.raises(error, match=message):
        data.ingest(ws, source)
    assert not data.exists(ws, "flights")


def test_declarations_that_can_never_hold() -> None:
    for make, message in (
        (lambda: data.rows_between(5, 1), "give the smaller one first"),
        (lambda: data.similar("delay", most=0), "never pass"),
        (lambda: data.fresh("at", "2 hours"), "'2 hours' is not valid"),
        (lambda: data.fresh("at", "2h", on_fail="drop"), "no single row is to blame"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()


def test_numbers_of_rows(ws: Workspace, tmp_path: Path) -> None:
    feed = _csv(tmp_path / "raw", *(f"{row},EWR,5,2026-01-01" for row in range(5)))
    source = data.Source("flights", feed, expectations=[data.rows_between(1, 3)])
    with pytest.raises(ExpectationFailed, match=r"rows_between\(1, 3\) \(2 rows too many of 5\)"):
        data.ingest(ws, source)
    warned = data.ingest(ws, data.Source("flights", feed, expectations=[data.rows_between(6, 9, on_fail="warn")]))
    assert [alert.message for alert in registry.alerts(ws, subject=warned.node)] == [
        "1 rows of source 'flights' break rows_between(6, 9): 1 rows too few"
    ]


@pytest.mark.parametrize(
    ("value", "failed"),
    [
        (NOW - timedelta(hours=1), 0),
        (NOW - timedelta(hours=3), 7),
        ((NOW - timedelta(hours=1)).replace(tzinfo=None), 0),
        (NOW.date(), 7),
        (None, 7),
    ],
)
def test_freshness(value: object, failed: int) -> None:
    assert freshness(data.fresh("at", "2h"), value, 7, NOW).failed == failed


def test_the_newest_of_several_parts() -> None:
    parts = [pa.table({"at": pa.array([moment], pa.timestamp("us", tz="UTC"))}) for moment in (None, NOW, None)]
    assert newest(parts, "at") == NOW and newest(parts[:1], "at") is None and newest([], "at") is None


def test_a_batch_that_is_distributed_otherwise(ws: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    random = np.random.default_rng(2)

    def batch(name: str, mean: float) -> data.Csv:
        return _csv(folder, *(f"{row},EWR,{random.normal(mean):.4f},2026-01-01" for row in range(500)), name=name)

    source = data.Source("flights", batch("a.csv", 0.0), expectations=[data.similar("delay", most=0.2)])
    data.ingest(ws, source)
    batch("b.csv", 0.0)
    same = data.ingest(ws, source)
    batch("c.csv", 3.0)
    other = data.ingest(ws, source)
    assert same.metrics["expectations"]["similar(delay, 0.2)"] == {"checked": 500, "failed": 0}
    (alert,) = registry.alerts(ws)
    assert alert.subject == other.node and "stability index" in alert.message


def test_stability_is_small_for_the_same_and_large_for_another_distribution() -> None:
    random = np.random.default_rng(4)
    for make in (
        lambda shift: pa.array(random.normal(shift, 1.0, 20_000)),
        lambda shift: pa.array(random.choice(["a", "b", "c"], 20_000, p=[0.5 - shift / 4, 0.3, 0.2 + shift / 4])),
        lambda shift: pa.array(random.random(20_000) < 0.2 + shift / 2),
        lambda shift: pa.array(random.random(20_000), mask=random.random(20_000) < 0.1 + shift / 2),
    ):
        one, two, far = (summarise_column("x", make(shift)) for shift in (0.0, 0.0, 1.0))
        assert stability(one, two) < 0.02 < 0.2 < stability(one, far)


def _checked_table() -> pa.Table:
    return pa.table({"id": [1, 2, 2, 4], "delay": [5.0, -1.0, None, 700.0], "origin": ["EWR", "XXX", "JFK", None]})


RULES = [
    data.not_null("delay", on_fail="fail"),
    data.between("delay", 0, 500),
    data.unique("id"),
    data.rows_between(1, 3),
    data.holds("delay > id"),
    data.one_of("origin", ["EWR", "JFK"]),
]
FAILED = [1, 2, 1, 1, 1, 1]


def test_check_of_a_version(ws: Workspace) -> None:
    version = data.write(ws, "flights", _checked_table())
    report = data.check(ws, version.ref, RULES)
    assert [result.failed for result in report.results] == FAILED and not report.passed
    assert report.table == "flights@1" and report.rows == 4
    (run,) = data.quality_history(ws, "flights")
    assert run.id == report.run_id and run.metrics["failed:unique(id)"] == 1 and run.metrics["broken"] == 6
    found = {alert.message: alert.severity for alert in registry.alerts(ws, subject=version.node)}
    assert found["1 rows of flights@1 break not_null(delay)"] == "error"
    assert found["1 rows of flights@1 break one_of(origin, ('EWR', 'JFK'))"] == "warning"
    assert found["1 rows of flights@1 break rows_between(1, 3): 1 rows too many"] == "error"
    assert registry.downstream(ws, version.node)[0].target == run.node


def test_check_compares_with_the_version_before(ws: Workspace) -> None:
    random = np.random.default_rng(3)
    for mean in (0.0, 0.0, 4.0):
        data.write(ws, "flights", pa.table({"delay": random.normal(mean, 1.0, 2000)}), mode="overwrite")
    assert [data.check(ws, f"flights@{n}", [data.similar("delay")]).passed for n in (1, 2, 3)] == [True, True, False]


def test_rules_about_the_whole_need_no_column(ws: Workspace) -> None:
    data.write(ws, "flights", _checked_table())
    assert data.check(ws, "flights", [data.at_least_rows(4)]).passed
    with pytest.raises(ConfigError, match="has no expectations"):
        data.check(ws, "flights", [])
    with pytest.raises(SchemaMismatch, match=r"unknown columns \['speed'\]"):
        data.check(ws, "flights", [data.not_null("speed")])


def test_tasks_count_the_same(ray_ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in range(3):
        data.write(ray_ws, "flights", _checked_table().slice(part, 2 if part == 2 else 1))
    monkeypatch.setattr(scan, "INLINE_BYTES", 0)
    monkeypatch.setattr(scan, "_PART_BYTES", 1)
    assert [result.failed for result in data.check(ray_ws, "flights", RULES).results] == FAILED
