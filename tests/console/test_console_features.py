"""Online features over HTTP: Feast's protocol, its permissions, wrong requests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from console_routes import bearer, locked_client, running
from starlette.testclient import TestClient

from raylake import data, features
from raylake.console import Policy, create_app
from raylake.core import Workspace
from raylake.features import Entity, FeatureSet, FeatureView, OnDemand, Rolling

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from peers import PINNED, peer_environment, peer_python

NOW = datetime.now(UTC).replace(microsecond=0)
STAMP = pa.timestamp("us", tz="UTC")
WEATHER = FeatureView(
    "weather",
    "origin",
    event_time="seen",
    table="weather",
    columns=["temp", "sky", "sunrise", "day"],
    types={"sky": "string", "sunrise": "timestamp", "day": "date"},
    ttl="3h",
)
SEATS = FeatureView(
    "seats", Entity("seat", ("origin", "row"), {"row": "int64"}), event_time="seen", table="seats", columns=["price"]
)
BUSY = FeatureView("busy", "origin", event_time="seen", table="weather", window=Rolling("temp", "3h", "count", "n"))


def doubled(table: pa.Table) -> pa.Table:
    """Twice the fare."""
    import pyarrow.compute as pc

    return pa.table({"twice": pc.multiply(table["fare"], 2.0)})


def weather(*rows: tuple[str, float, float | None]) -> pa.Table:
    origin, hours, temp = zip(*rows, strict=True)
    seen = [NOW - timedelta(hours=ago) for ago in hours]
    columns = {"origin": origin, "seen": pa.array(seen, STAMP), "temp": pa.array(temp, pa.float64())}
    return pa.table(
        {**columns, "sky": ["blue"] * len(rows), "sunrise": pa.array(seen, STAMP), "day": [NOW.date()] * len(rows)}
    )


@pytest.fixture
def client(ws: Workspace) -> Iterator[TestClient]:
    data.write(ws, "weather", weather(("EWR", 1, 39.5), ("JFK", 9, 41.0), ("LGA", 1, None)))
    data.write(ws, "seats", pa.table({"origin": ["EWR"], "row": [7], "seen": pa.array([NOW], STAMP), "price": [99.0]}))
    features.materialise(ws, FeatureSet("delay", [WEATHER, SEATS, OnDemand("fares", ["fare"], doubled, ["twice"])]))
    features.materialise(ws, BUSY)
    with TestClient(create_app(ws)) as made:
        yield made


def ask(client: TestClient, body: dict[str, Any], path: str = "/get-online-features") -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stamp(ago: float) -> str:
    return (NOW - timedelta(hours=ago)).isoformat().replace("+00:00", "Z")


def test_features_come_as_feast_sends_them(client: TestClient) -> None:
    origins = ["EWR", "JFK", "LGA", "XXX", None]
    answer = ask(client, {"features": ["weather:temp", "weather:sunrise", "busy:n"], "entities": {"origin": origins}})
    assert answer["metadata"]["feature_names"] == ["origin", "temp", "sunrise", "n"]
    entity, temp, sunrise, count = answer["results"]
    assert entity["values"] == origins
    assert temp["values"] == [39.5, None, None, None, None]
    assert temp["statuses"] == ["PRESENT", "OUTSIDE_MAX_AGE", "NULL_VALUE", "NOT_FOUND", "NOT_FOUND"]
    assert temp["event_timestamps"][0] == stamp(1) and temp["event_timestamps"][3] == "1970-01-01T00:00:00Z"
    assert sunrise["values"][0] == int((NOW - timedelta(hours=1)).timestamp())
    assert count["values"] == [1.0, 1.0, 0.0, None, None]


def test_a_feature_set_is_a_feature_service_with_its_functions(client: TestClient) -> None:
    entities = {"origin": ["EWR"], "row": [7], "fare": [4.0]}
    answer = ask(client, {"feature_service": "delay", "entities": entities, "full_feature_names": True})
    found = dict(zip(answer["metadata"]["feature_names"], (r["values"][0] for r in answer["results"]), strict=True))
    assert (found["weather__temp"], found["seats__price"], found["twice"]) == (39.5, 99.0, 8.0)
    assert found["weather__day"] == NOW.date().isoformat()


def test_rows_are_pushed_online_offline_and_both(client: TestClient, ws: Workspace) -> None:
    def temp(origin: str) -> Any:
        return ask(client, {"features": ["weather:temp"], "entities": {"origin": [origin]}})["results"][1]["values"][0]

    def row(origin: str, value: float) -> dict[str, Any]:
        told = (NOW - timedelta(minutes=5)).isoformat()
        return {"origin": [origin], "seen": [told], "temp": [value], "sky": [None], "sunrise": [None], "day": [None]}

    features.drop_view(ws, BUSY)
    ask(client, {"push_source_name": "weather", "df": row("EWR", 1.0)}, "/push")
    assert temp("EWR") == 1.0 and data.facts(ws, "weather").rows == 3
    ask(client, {"push_source_name": "weather", "df": row("JFK", 2.0), "to": "offline"}, "/push")
    assert temp("JFK") is None and data.facts(ws, "weather").rows == 4
    ask(client, {"push_source_name": "weather", "df": row("LGA", 3.0), "to": "online_and_offline"}, "/push")
    assert (temp("LGA"), temp("JFK"), temp("EWR")) == (3.0, 2.0, 1.0)
    stale = row("LGA", 9.0) | {"seen": [(NOW - timedelta(days=1)).isoformat()]}
    ask(client, {"push_source_name": "weather", "df": stale}, "/push")
    assert temp("LGA") == 3.0  # older never overwrites newer


def test_feast_may_write_values_of_a_view(client: TestClient) -> None:
    frame = {
        "origin": ["NEW"],
        "temp": [5.0],
        "event_timestamp": [NOW.replace(tzinfo=None).isoformat()],
        "created": [None],
    }
    ask(client, {"feature_view_name": "weather", "df": frame, "allow_registry_cache": False}, "/write-to-online-store")
    answer = ask(client, {"features": ["weather:temp", "weather:sky"], "entities": {"origin": ["NEW"]}})
    assert [r["values"][0] for r in answer["results"][1:]] == [5.0, None]


def test_materialising_over_http(client: TestClient, ws: Workspace) -> None:
    def temp() -> Any:
        return ask(client, {"features": ["weather:temp"], "entities": {"origin": ["EWR"]}})["results"][1]["values"][0]

    data.write(ws, "weather", weather(("EWR", 0.5, 50.0)))
    (lag,) = [each for each in client.get("/api/raylake/features/freshness").json() if each["view"] == "weather"]
    assert (lag["tables"], lag["behind"]) == (["weather"], 1) and lag["lag_seconds"] > 0
    ask(client, {"end_ts": NOW.isoformat(), "feature_views": ["weather"]}, "/materialize-incremental")
    assert temp() == 50.0
    features.drop_view(ws, WEATHER)
    features.refresh(ws, WEATHER)
    moments = {"start_ts": (NOW - timedelta(days=1)).isoformat(), "end_ts": NOW.isoformat()}
    ask(client, {**moments, "feature_views": ["weather"]}, "/materialize")
    ask(client, {"disable_event_timestamp": True}, "/materialize")
    assert temp() == 50.0
    assert "raylake_online_versions_behind" in client.get("/api/raylake/features/metrics").text
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/get-online-features", {"features": ["weather:temp"], "entities": {"row": [1]}}, 422, "'origin'"),
        (
            "/get-online-features",
            {"features": ["weather:temp"], "entities": {"origin": [1]}},
            422,
            "is 1, expected str",
        ),
        ("/get-online-features", {"features": ["weather:temp"], "entities": {"origin": [[1]]}}, 422, "expected str"),
        ("/get-online-features", {"features": ["weather:x"], "entities": {"origin": ["EWR"]}}, 422, "it has temp, sky"),
        ("/get-online-features", {"features": ["weather"], "entities": {"origin": ["EWR"]}}, 422, "use view:feature"),
        (
            "/get-online-features",
            {"features": ["x:y"], "entities": {"origin": ["EWR"]}},
            404,
            "online are: busy, seats",
        ),
        ("/get-online-features", {"features": [], "entities": {"origin": ["EWR"]}}, 422, "no feature is asked for"),
        ("/get-online-features", {"features": ["weather:temp"], "entities": {}}, 422, "no entity"),
        (
            "/get-online-features",
            {"features": ["weather:temp"], "entities": {"a": [1], "b": []}},
            422,
            "as many values",
        ),
        ("/get-online-features", {"feature_service": "x", "entities": {"a": [1]}}, 404, "set 'x' is not online"),
        ("/push", {"push_source_name": "x", "df": {}}, 404, "tables: main.seats, main.weather"),
        ("/push", {"push_source_name": "weather", "df": {"origin": ["EWR"]}}, 422, "push to online_and_offline"),
        ("/push", {"push_source_name": "seats", "df": {"origin": ["EWR"]}}, 422, "'row' is missing"),
        ("/push", {"push_source_name": "seats", "df": {"origin": ["EWR"], "row": []}}, 422, "as many values"),
        ("/push", {"push_source_name": "seats", "df": {"x": ["EWR"]}, "to": "offline"}, 422, "has no column 'x'"),
        ("/push", {"push_source_name": "weather", "df": {"temp": ["warm"]}, "to": "offline"}, 422, "cannot be double"),
        ("/push", {"push_source_name": "weather", "df": {}, "to": "nowhere"}, 422, "to"),
        ("/materialize", {}, 422, "start_ts and end_ts are required"),
        ("/materialize", {"start_ts": "2013-02-01", "end_ts": "2013-01-01"}, 422, "must be before"),
        ("/materialize-incremental", {"end_ts": "soon"}, 422, "'soon' is not a moment"),
        ("/materialize-incremental", {"end_ts": "2013-01-01", "feature_views": ["x"]}, 404, "view 'x' is not online"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    client: TestClient, path: str, body: dict[str, Any], status: int, told: str
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status and told in answer.json()["message"], answer.text


def test_who_may_read_may_not_push(client: TestClient, ws: Workspace) -> None:
    question = {"features": ["weather:temp"], "entities": {"origin": ["EWR"]}}
    with locked_client(ws) as locked:
        assert locked.post("/get-online-features", json=question).status_code == 401
        reader, writer = bearer(ws, "viewer"), bearer(ws, "editor")
        assert locked.post("/get-online-features", json=question, headers=reader).status_code == 200
        assert locked.get("/health", headers=reader).status_code == 200
        assert locked.get("/health").status_code == 401
        for path in ("/push", "/materialize", "/materialize-incremental", "/write-to-online-store"):
            assert locked.post(path, json={}, headers=reader).status_code == 403, path
            assert locked.post(path, json={}, headers=writer).status_code == 422, path
        assert locked.post(f"/w/{ws.name}/get-online-features", json=question, headers=reader).status_code == 200


@pytest.mark.slow
def test_feasts_own_client_reads_and_writes(ws: Workspace) -> None:
    """The real one, in an environment of its own (about half a minute to make, once), over a real connection."""
    data.write(ws, "weather", weather(("EWR", 1, 39.5), ("JFK", 9, 41.0)))
    rows = pa.table({"row": [7], "seen": pa.array([NOW], STAMP), "price": [99.0]})
    data.write(ws, "prices", rows)
    by_row = Entity("row", types={"row": "int64"})
    features.materialise(
        ws, [WEATHER, FeatureView("seats", by_row, event_time="seen", table="prices", columns=["price"])]
    )
    with running(ws, Policy()) as port:
        command = [str(peer_python("feast")), str(PINNED / "feast_remote.py"), f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=peer_environment(), timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["weather"] == {
        "origin": ["EWR", "JFK", "NEW", "XXX"],
        "temp": [39.5, None, 7.5, None],
        "sky": ["blue", None, "new", None],
    }
    assert found["seats"] == {"row": [7, 8], "seats__price": [99.0, None]}
