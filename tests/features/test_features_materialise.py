"""Materialising by the change feed: against brute force, killed midway, beside deletions, followed, kept, forgotten."""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from feature_cases import STAMP, at, warm
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.stream_servers import RedisServer

from raylake import data, features, registry
from raylake.core import ConfigError, InvalidRequest, NotFound, StorageError, Workspace
from raylake.features import Entity, FeatureSet, FeatureView, LmdbStore, LookUp, Materialiser, Rolling, open_online
from raylake.features.as_of import join_as_of
from raylake.features.build import conform_values
from raylake.features.codec import ViewCodec
from raylake.features.materialise import refresh_view

SCHEMA = pa.schema([("k", pa.string()), ("n", pa.int64()), ("e", STAMP), ("temp", pa.float64()), ("c", STAMP)])
PLAIN = FeatureView(
    "plain", Entity("thing", ("k", "n"), {"n": "int64"}), event_time="e", table="readings", columns=["temp"]
)
WINDOWED = FeatureView(
    "windowed",
    "k",
    event_time="e",
    table="readings",
    window=[Rolling("temp", "2h", a, name=a) for a in ("sum", "count")],
)
TRANSFORMED = FeatureView("warm", "k", event_time="e", table="readings", columns=["temp"], transform=warm)
KNOWN = FeatureView(
    "known",
    "k",
    event_time="e",
    created_time="c",
    table="readings",
    columns=["n"],
    types={"n": "int64"},
    window=[Rolling("temp", "2h", a, name=a) for a in ("sum", "last")],
)
LATE = FeatureView("late", "k", event_time="e", created_time="c", table="readings", columns=["temp"])
VIEWS = (PLAIN, WINDOWED, TRANSFORMED, KNOWN, LATE)


def readings(rows: list[tuple[str | None, int, float | None, float | None]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([], [], [], [])
    k, n, e, temp = map(list, columns)
    when = [None if h is None else at(h) for h in e]
    created = [None if h is None or t is None else at(h + t % 7) for h, t in zip(e, temp, strict=True)]
    return pa.table([k, n, when, temp, created], schema=SCHEMA)


def expected(ws: Workspace, view: FeatureView) -> dict[bytes, bytes]:
    """Of each entity the answer of the point-in-time join when everything is known, packed row by row."""
    values = features.compute_values(view, data.table(ws, "readings"))
    keys = values.select(list(view.entity.keys)).group_by(list(view.entity.keys)).aggregate([])
    asked = keys.append_column("t", pa.array([at(10_000)] * keys.num_rows, STAMP))
    created = values["e"] if view.created_time is None else pc.coalesce(values["c"], values["e"])
    wanted = values.append_column("when", values["e"]).append_column("since", created)
    found = join_as_of(
        asked,
        wanted,
        keys=view.entity.keys,
        label_time="t",
        event_time="e",
        created_time=view.created_time,
        columns=[*view.feature_columns, "when", "since"],
    )
    codec, made = ViewCodec(view), {}
    for row in range(found.num_rows):
        one = found.slice(row, 1)
        event, since = (one[name].cast(pa.int64()).to_numpy() for name in ("when", "since"))
        (value,) = codec.pack_values(one.select(view.feature_columns), event, since).to_pylist()
        made[codec.key([one[name][0].as_py() for name in view.entity.keys])] = value
    return made


def online(store: features.OnlineStore, view: FeatureView) -> dict[bytes, bytes]:
    return dict(store.scan(ViewCodec(view).prefix))


ROW = st.tuples(
    st.sampled_from(["a", "b", None]), st.integers(0, 1), st.one_of(st.none(), st.integers(0, 6)), st.integers(0, 99)
)
CHANGE = st.one_of(
    st.tuples(st.just("append"), st.lists(ROW, min_size=1, max_size=4)),
    st.tuples(st.just("delete"), st.integers(0, 6)),
    st.tuples(st.just("merge"), st.lists(ROW, min_size=1, max_size=3, unique_by=lambda row: row[:3])),
    st.tuples(st.just("overwrite"), st.lists(ROW, min_size=1, max_size=4)),
)


# Shrinking a failure took longer than all the rest of the suite.
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(CHANGE, min_size=1, max_size=5), st.data())
def test_refreshing_again_and_again_is_what_brute_force_gives(
    changes: list[tuple[str, Any]], draw: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace.open(folder, registry_url="", online_url="")
        data.write(ws, "readings", readings([("a", 0, 3, 1.0), ("b", 1, 2, 5.0)]))
        with open_online(ws) as store:
            features.refresh(ws, VIEWS, store=store)
            for kind, what in changes:
                if kind == "append":
                    data.write(ws, "readings", readings(what))
                elif kind == "overwrite":
                    data.write(ws, "readings", readings(what), mode="overwrite")
                elif kind == "delete":
                    data.delete(ws, "readings", [("e", "==", at(what))])
                else:
                    whole = [row for row in what if row[0] is not None and row[2] is not None]
                    if whole:
                        data.merge(ws, "readings", readings(whole), key=["k", "n", "e"])
                if draw.draw(st.booleans(), label="refresh now"):
                    features.refresh(ws, VIEWS, store=store)
            done = features.refresh(ws, VIEWS, store=store)
            assert {one.how for one in done} <= {"nothing", "changes"}
            for view in VIEWS:
                assert online(store, view) == expected(ws, view), view.name


def test_only_what_changed_is_written(ws: Workspace) -> None:
    data.write(ws, "readings", readings([(f"e{n}", 0, 1, 1.0) for n in range(500)]))
    assert [(d.how, d.written, d.source) for d in features.refresh(ws, PLAIN)] == [("full", 500, "readings@1")]
    data.write(ws, "readings", readings([("e7", 0, 2, 2.0), ("new", 0, 2, 3.0), ("e8", 0, 0.5, 9.0)]))
    data.compact(ws, "readings")  # moves rows, changes none
    (done,) = features.refresh(ws)  # all that are online
    assert (done.how, done.written, done.removed) == ("changes", 2, 0)  # e8's came late: an older value
    assert [(d.how, d.written) for d in features.refresh(ws)] == [("nothing", 0)]


def test_a_store_that_lost_its_content_is_filled_anew(ws: Workspace) -> None:
    data.write(ws, "readings", readings([("a", 0, 1, 1.0)]))
    assert features.materialise(ws, PLAIN) == 1
    with open_online(ws) as store:
        store.drop(b"")
    assert [d.how for d in features.refresh(ws)] == ["full"]


def test_a_table_that_was_made_anew_is_read_anew(ws: Workspace) -> None:
    import shutil

    data.write(ws, "readings", readings([("a", 0, 5, 1.0)]))
    data.write(ws, "readings", readings([("b", 0, 6, 1.0)]))
    features.materialise(ws, PLAIN)
    shutil.rmtree(Path(ws.root) / "tables" / "main" / "readings")
    data.write(ws, "readings", readings([("c", 0, 1, 1.0)]), record=False)
    (done,) = features.refresh(ws)
    assert (done.how, done.removed) == ("full", 2)
    with open_online(ws) as store:
        assert online(store, PLAIN) == expected(ws, PLAIN)


def test_changes_that_can_no_longer_be_told_are_found_by_comparing(ws: Workspace) -> None:
    data.write(ws, "readings", readings([("a", 0, 1, 1.0), ("b", 0, 1, 1.0), ("b", 0, 2, 2.0)]))
    features.materialise(ws, VIEWS)
    data.delete(ws, "readings", [("k", "==", "a")])
    data.delete(ws, "readings", [("temp", "==", 2.0)])
    data.purge(ws, "readings")
    assert [d.how for d in features.refresh(ws)] == ["full"] * len(VIEWS)
    with open_online(ws) as store:
        for view in VIEWS:
            assert online(store, view) == expected(ws, view)


HOURLY = FeatureView(
    "hourly",
    "k",
    event_time="e",
    table=["readings", "names"],
    sql="select r.k, r.e, r.temp * n.weight as temp from readings r join names n on r.k = n.k",
    columns=["temp"],
)
SMOOTH = FeatureView("smooth", "k", event_time="e", table=HOURLY, window=Rolling("temp", "2h", "mean", name="mean"))


def test_views_of_sql_several_tables_and_views_are_computed_again(either: Workspace) -> None:
    ws = either
    data.write(ws, "readings", readings([("a", 0, 1, 1.0), ("b", 0, 1, 2.0)]))
    data.write(ws, "names", pa.table({"k": ["a", "b"], "weight": [10.0, 1.0]}))
    assert features.materialise(ws, [HOURLY, SMOOTH]) == 4
    with open_online(ws) as store:
        look = LookUp(store, [HOURLY, SMOOTH])
        assert look.get({"k": "a"}) == {"temp": 10.0, "mean": 10.0}
        data.write(ws, "readings", readings([("a", 0, 2, 3.0)]))
        done = features.refresh(ws)
        assert {(d.how, d.removed) for d in done} == {("full", 0)} and len(done) == 2
        assert {d.source for d in done} == {"readings@2, names@1"}
        assert look.get({"k": "a"}) == {"temp": 30.0, "mean": 20.0}
        data.write(ws, "names", pa.table({"k": ["a"], "weight": [100.0]}), mode="overwrite")
        assert [state.behind for state in features.freshness(ws, store=store)] == [1, 1]
        features.refresh(ws, ["smooth@1", "hourly"])
        assert look.get_many([{"k": "a"}, {"k": "b"}]) == {"temp": [300.0, None], "mean": [200.0, None]}
        assert {d.how for d in features.refresh(ws)} == {"nothing"}
        done = features.forget(ws, "readings", [("e", "==", at(2))], key=["k", "e"]).online
        assert [d.how for d in done] == ["full", "full"] and look.get({"k": "a"}) == {"temp": 100.0, "mean": 100.0}


def test_what_to_materialise_may_be_named(ws: Workspace) -> None:
    data.write(ws, "readings", readings([("a", 0, 1, 1.0)]))
    features.register(ws, PLAIN)
    features.register(ws, FeatureSet("both", [PLAIN, WINDOWED]))
    assert [features.materialise(ws, one) for one in ("plain", "plain@1", "both@1", ["windowed", PLAIN])] == [
        1,
        1,
        2,
        2,
    ]
    assert [each.name for each in registry.online_definitions(ws, "set")] == ["both"]
    assert [done.view for done in features.refresh(ws, "both")] == ["plain", "windowed"]
    for missing in ("plan", "plain@7"):
        with pytest.raises(NotFound, match="plain"):
            features.materialise(ws, missing)


def test_of_equal_times_the_greatest_values_hold_wherever_the_rows_lie(ws: Workspace) -> None:
    two = FeatureView("two", "k", event_time="e", table="readings", columns=["n", "temp"], types={"n": "int64"})
    data.write(ws, "readings", readings([("a", 1, 1, 5.0), ("a", 2, 1, None)]))
    data.write(ws, "readings", readings([("a", 2, 1, 3.0), ("x", 0, 1, 0.0)]))
    features.materialise(ws, two)
    asked = pa.table({"k": ["a"], "event_time": pa.array([at(5)], STAMP)})

    def both() -> tuple[Any, Any]:
        with open_online(ws) as store:
            online = LookUp(store, two).get({"k": "a"})
        built = data.table(ws, str(features.build_view(ws, two)))
        offline = features.join_features(asked, FeatureSet("two", [two], ["k"]), {"two": built})
        return online, {name: offline[name][0].as_py() for name in ("n", "temp")}

    assert both() == ({"n": 2, "temp": 3.0},) * 2
    data.delete(ws, "readings", [("k", "==", "x")])  # moves the row beside it to another place
    assert [d.how for d in features.refresh(ws)] == ["changes"] and both() == ({"n": 2, "temp": 3.0},) * 2
    data.write(ws, "readings", readings([("a", 1, 1, 9.0)]))  # is written last, and sorts before
    features.refresh(ws)
    assert both() == ({"n": 2, "temp": 3.0},) * 2
    data.delete(ws, "readings", [("temp", "==", 3.0)])
    features.refresh(ws)
    assert both() == ({"n": 2, "temp": None},) * 2


def test_an_unknown_table_and_an_unknown_view(ws: Workspace) -> None:
    with pytest.raises(NotFound, match="'readings'"):
        features.refresh(ws, PLAIN)
    with pytest.raises(NotFound, match="view 'x' is not online; online are: none"):
        features.set_online_retention(ws, "x", "1d")


def materialise_slowly(root: str, started: Connection) -> None:
    """Fills the store in small pieces until somebody kills this process."""
    ws = Workspace.open(root)
    usual = LmdbStore.put

    def put(store: LmdbStore, items: Any, **options: Any) -> int:
        written = 0
        for start in range(0, len(items), 500):
            written += usual(store, items[start : start + 500], **options)
            if start == 2_000:
                started.send(None)
            time.sleep(0.01)
        return written

    LmdbStore.put = put  # type: ignore[method-assign]
    features.refresh(ws, PLAIN)


def test_a_materialisation_killed_midway_and_resumed_gives_the_same_content(ws: Workspace) -> None:
    data.write(ws, "readings", readings([(f"e{n}", n % 3, n % 7, float(n)) for n in range(20_000)]))
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=materialise_slowly, args=(ws.root, there), daemon=True)
    process.start()
    assert here.poll(120)
    process.kill()
    process.join()
    with open_online(ws) as store:
        assert 2_000 <= len(online(store, PLAIN)) < 20_000
        assert features.freshness(ws, store=store) == []  # a half-filled view is not said to be online
        assert [d.how for d in features.refresh(ws, PLAIN, store=store)] == ["full"]
        assert online(store, PLAIN) == expected(ws, PLAIN)


@pytest.fixture(params=["lmdb", "redis"])
def either(request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer) -> Iterator[Workspace]:
    """A workspace on each store."""
    url = redis_server.url if request.param == "redis" else ""
    made = Workspace.open(tmp_path / "lake", name=f"either-{time.time_ns()}", registry_url="", online_url=url)
    yield made
    with open_online(made) as store:
        store.drop(b"")


def test_what_is_pushed_is_online_while_the_tables_are_followed(either: Workspace) -> None:
    ws = either
    folder = str(Path(ws.root) / "inbox")
    source = data.Source(
        "readings",
        data.PushLog(folder),
        schema={"k": "string", "n": "int64", "e": "timestamp", "temp": "float64", "c": "timestamp"},
    )
    inbox, stop = data.Inbox(source), threading.Event()

    def event(key: str, hour: int) -> dict[str, Any]:
        return {"k": key, "n": 0, "e": at(hour).isoformat(), "temp": float(hour), "c": None}

    inbox.accept([event("a", 1)]).result()
    data.run_once(ws, source)
    features.materialise(ws, VIEWS)
    following = threading.Thread(target=features.keep_online, args=(ws,), kwargs={"stop": stop, "every": "20ms"})
    following.start()
    try:
        with open_online(ws) as store:
            look = LookUp(store, [PLAIN, WINDOWED])
            for hour in range(2, 6):
                inbox.accept([event("a", hour), event(f"new{hour}", hour)]).result()
                data.run_once(ws, source)
                _until(lambda h=hour: look.get({"k": "a", "n": 0})["temp"] == h)
                _until(lambda h=hour: look.get({"k": f"new{h}", "n": 0})["count"] == 1.0)
            _until(lambda: features.freshness(ws, store=store)[0].lag == timedelta(0))
    finally:
        stop.set()
        following.join()
        inbox.close()
    assert registry.alerts(ws) == []


def test_a_view_that_cannot_be_refreshed_is_told_once_and_keeps_no_other_waiting(ws: Workspace) -> None:
    broken = FeatureView("broken", "k", event_time="e", table="readings", columns=["absent"])
    data.write(ws, "readings", readings([("a", 0, 1, 1.0)]))
    features.materialise(ws, PLAIN)
    stop = threading.Event()
    views = [broken, PLAIN]
    following = threading.Thread(target=features.keep_online, args=(ws, views), kwargs={"stop": stop, "every": "20ms"})
    following.start()
    try:
        data.write(ws, "readings", readings([("a", 0, 2, 2.0)]))
        with open_online(ws) as store:
            _until(lambda: LookUp(store, PLAIN).get({"k": "a", "n": 0})["temp"] == 2.0)
        _until(lambda: len(registry.alerts(ws)) == 1)
    finally:
        stop.set()
        following.join()
    assert "absent" in registry.alerts(ws)[0].message


def test_freshness_tells_what_is_waiting(ws: Workspace) -> None:
    data.write(ws, "readings", readings([("a", 0, 1, 1.0)]))
    features.materialise(ws, PLAIN, keep="9999w")
    data.write(ws, "readings", readings([("a", 0, 2, 2.0)]))
    (found,) = features.freshness(ws)
    assert (found.view, found.tables, found.behind, found.newest_event) == ("plain", ("readings",), 1, at(1))
    assert timedelta(0) < found.lag < timedelta(minutes=5) and found.keep == timedelta(weeks=9999)
    text = features.freshness_metrics(ws).decode()
    labels = f'{{version="{PLAIN.version}",view="plain"}}'
    assert f"raylake_online_versions_behind{labels} 1.0" in text and f"raylake_online_lag_seconds{labels} " in text
    features.refresh(ws)
    assert features.freshness(ws)[0].lag == timedelta(0)


def test_values_past_their_time_go(either: Workspace) -> None:
    now = datetime.now(UTC)
    rows = pa.table(
        {
            "k": ["old", "new"],
            "n": [0, 0],
            "e": [now - timedelta(days=9), now - timedelta(hours=1)],
            "temp": [1.0, 2.0],
            "c": [None, None],
        },
        schema=SCHEMA,
    )
    data.write(either, "readings", rows)
    assert features.materialise(either, PLAIN) == 2
    features.set_online_retention(either, "plain", "2d")
    assert features.clean_up_online(either) == {f"plain@{PLAIN.version}": 1}
    assert features.clean_up_online(either) == {f"plain@{PLAIN.version}": 0}
    assert features.materialise(either, PLAIN) == 1  # the old one is not written again
    with open_online(either) as store:
        look = LookUp(store, PLAIN)
        assert [look.get({"k": k, "n": 0})["temp"] for k in ("old", "new")] == [None, 2.0]
    with pytest.raises(ConfigError, match="'soon'"):
        features.set_online_retention(either, "plain", "soon")


def test_a_views_retention_holds_online_too(either: Workspace) -> None:
    now = datetime.now(UTC)
    view = FeatureView("plain", "k", event_time="e", table="readings", columns=["temp"], retention="2d")
    rows = {"k": ["old", "new"], "e": [now - timedelta(days=9), now - timedelta(hours=1)], "temp": [1.0, 2.0]}
    data.write(either, "readings", pa.table(rows))
    assert features.materialise(either, view) == 1
    assert features.freshness(either)[0].keep == timedelta(days=2)
    data.write(either, "readings", pa.table({"k": ["older"], "e": [now - timedelta(days=3)], "temp": [1.0]}))
    assert [(d.how, d.written) for d in features.refresh(either)] == [("changes", 0)]
    assert features.clean_up_online(either, now=now + timedelta(days=1)) == {f"plain@{view.version}": 0}
    features.set_online_retention(either, "plain", "12h")  # for the online store alone
    assert features.clean_up_online(either, now=now + timedelta(days=1)) == {f"plain@{view.version}": 1}
    features.set_online_retention(either, "plain", None)
    assert features.freshness(either)[0].keep == timedelta(days=2)
    features.refresh(either, replace(view, retention="4d"))
    assert features.freshness(either)[0].keep == timedelta(days=4)


def test_forgotten_rows_are_gone_online_too(either: Workspace) -> None:
    data.write(either, "readings", readings([("a", 0, 1, 1.0), ("b", 0, 1, 2.0)]))
    data.write(either, "readings", readings([("a", 0, 2, 3.0)]))
    features.materialise(either, VIEWS)
    done = features.forget(either, "readings", [("k", "==", "a")], key=["k"])
    assert all(table.left == 0 for table in done.rows.tables) and {view.removed for view in done.online} == {1}
    assert {table.name for table in done.derived.tables} == {f"features.{view.name}" for view in VIEWS}
    with open_online(either) as store:
        assert [found.status for found in LookUp(store, [PLAIN, WINDOWED]).find({"k": "a", "n": 0})] == [
            "not-found"
        ] * 2
        for view in VIEWS:
            assert online(store, view) == expected(either, view)


def test_a_month_of_rows_deleted_gives_the_values_before(either: Workspace) -> None:
    data.write(either, "readings", readings([("a", 0, 1, 1.0), ("a", 0, 30, 2.0), ("b", 0, 31, 3.0)]))
    features.materialise(either, PLAIN)
    data.delete(either, "readings", [("e", ">=", at(24))])
    (done,) = features.refresh(either)
    assert (done.how, done.removed) == ("changes", 2)
    with open_online(either) as store:
        found = LookUp(store, PLAIN).get_many([{"k": "a", "n": 0}, {"k": "b", "n": 0}])
        assert found == {"temp": [1.0, None]}


# --- look-ups ---------------------------------------------------------------------------------------------------------

TYPES = {"f": "float64", "s": "float32", "i": "int64", "o": "bool"}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_many_at_once_are_what_each_alone_is(draw: st.DataObject) -> None:
    names = draw.draw(st.lists(st.sampled_from("fsio"), min_size=1, unique=True))
    view = FeatureView("v", "k", event_time="e", table="t", columns=names, types={n: TYPES[n] for n in names}, ttl="2h")
    cell = {
        "f": st.floats(width=64, allow_nan=False), "s": st.floats(width=32, allow_nan=False),
        "i": st.integers(-(2**63), 2**63 - 1), "o": st.booleans(),
    }  # fmt: skip
    row = st.tuples(st.integers(-3, 3), *[st.one_of(st.none(), cell[name]) for name in names])
    rows = draw.draw(st.lists(row, min_size=9, max_size=20))
    columns = list(zip(*rows, strict=True))
    keys = [f"e{n}" for n in range(len(rows))]
    values = {"k": keys, "e": [at(hour) for hour in columns[0]]}
    table = pa.table({**values, **dict(zip(names, columns[1:], strict=True))})
    with tempfile.TemporaryDirectory() as folder, LmdbStore(folder) as store:
        Materialiser(Workspace.open(folder), view, {"v": conform_values(view, table)}, store=store).finish()
        look, asked = LookUp(store, view), [{"k": key} for key in [*keys, "absent", None]]
        one_by_one = [look.get(each, at(1)) for each in asked]
        assert look.get_many(asked, at(1)) == {name: [each[name] for each in one_by_one] for name in names}
        reader = features.FeatureReader(store, FeatureSet("s", [view]))
        frame = pa.table({"k": [each["k"] for each in asked], "event_time": pa.array([at(1)] * len(asked), STAMP)})
        assert reader.assemble(frame).to_pylist() == one_by_one


def test_why_a_value_is_missing_and_times_are_times(ws: Workspace) -> None:
    types = {"w": "timestamp", "d": "date"}
    view = FeatureView("v", "k", event_time="e", table="t", columns=["w", "d"], types=types, ttl="2h")
    values = pa.table({"k": ["a"], "e": [at(1)], "w": [at(5)], "d": [at(30).date()]})
    with open_online(ws) as store:
        Materialiser(ws, view, {"v": values}, store=store).finish()
        look = LookUp(store, view)
        assert look.get({"k": "a"}, at(2)) == {"w": at(5), "d": at(30).date()}
        assert look.find({"k": "a"}, at(2))[0].event_time == at(1)
        for key, hour, status in (
            ("a", 0, "future"),
            ("a", 4, "expired"),
            ("b", 2, "not-found"),
            (None, 2, "not-found"),
        ):
            (found,) = look.find({"k": key}, at(hour))
            assert (found.status, tuple(found.values)) == (status, (None, None))
        with pytest.raises(InvalidRequest, match="'k' of view 'v' is missing; given: x"):
            look.get({"x": 1})
        with pytest.raises(InvalidRequest, match="is 7, expected str") as told:
            look.get_many([{"k": "a"}, {"k": 7}])
        assert (told.value.field, told.value.row) == ("k", 1)
        with pytest.raises(ConfigError, match="two views have a feature 'w'"):
            LookUp(store, [view, FeatureView("u", "k", event_time="e", table="t", columns=["w"])])
        store.put([(ViewCodec(view).key(["bad"]), bytes(16) + b"other layout!")])
        for call in (lambda: look.get({"k": "bad"}), lambda: look.get_many([{"k": "bad"}] * 20)):
            with pytest.raises(StorageError, match="another layout"):
                call()


def test_refreshing_one_view_needs_no_registry_entry(ws: Workspace) -> None:
    data.write(ws, "readings", readings([("a", 0, 1, 1.0)]))
    with open_online(ws) as store:
        assert refresh_view(ws, store, PLAIN, None).how == "full"
    assert registry.online_definitions(ws) == []


def _until(holds: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)
