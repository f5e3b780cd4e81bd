"""What the flight story declares: three sources, four feature views, calendar features, one feature set.

The question: at its scheduled departure, will this flight arrive more than 15 minutes late? Only what is known by
then may be used. The delay of the flight's own departure is not, and is no feature.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from .. import data, features
from .dataset import FlightFiles

LATE_MINUTES = 15
LOCAL_ZONE = "America/New_York"
# Aircraft are known long before they fly; a constant time makes the table a slowly changing one.
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")

_FLIGHT_COLUMNS = {
    **dict.fromkeys(("year", "month", "day", "sched_dep_time", "sched_arr_time", "flight", "hour", "minute"), "int64"),
    **dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "distance"), "float64"),
    **dict.fromkeys(("carrier", "tailnum", "origin", "dest"), "string"),
    "time_hour": "timestamp",
}
_WEATHER_COLUMNS = {
    "origin": "string",
    **dict.fromkeys(("year", "month", "day", "hour"), "int64"),
    **dict.fromkeys(
        ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
        "float64",
    ),
    "time_hour": "timestamp",
}
_PLANE_COLUMNS = {
    **dict.fromkeys(("tailnum", "type", "manufacturer", "model", "engine"), "string"),
    **dict.fromkeys(("year", "engines", "seats", "speed"), "float64"),
}


def _minutes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    micros = pc.multiply(pc.cast(column, pa.float64()), 60e6)
    return pc.cast(pc.cast(micros, pa.int64(), safe=False), pa.duration("us"))


def prepare_flights(table: pa.Table) -> pa.Table:
    """Add `flight_id`, the UTC moments `scheduled_at` and `departed_at`, and the label `late` (null when unknown).

    Args:
        table: `time_hour` (timestamp, UTC: the scheduled hour), `minute`, `dep_delay` and `arr_delay` (minutes, null
            for a cancelled flight), `carrier`, `flight`, `origin`; other columns are kept.

    Returns:
        As many rows, with `flight_id` (string), `scheduled_at` and `departed_at` (timestamp, UTC) and `late` (int64: 1
        when it arrived more than 15 minutes late) appended.

    Example:
        >>> raw = {"time_hour": [datetime(2013, 1, 1, 10, tzinfo=UTC)], "minute": [15], "dep_delay": [2.0]}
        >>> raw |= {"arr_delay": [16.0], "carrier": ["UA"], "flight": [1545], "origin": ["EWR"]}
        >>> made = prepare_flights(pa.table(raw)).to_pylist()[0]
        >>> made["flight_id"], f"{made['departed_at']:%H:%M}", made["late"]
        ('UA-1545-EWR-2013010110', '10:17', 1)
    """
    hour = pc.cast(table["time_hour"], INSTANT)
    scheduled = pc.add(hour, _minutes(table["minute"]))
    day = pc.strftime(hour, format="%Y%m%d%H")
    number = pc.cast(table["flight"], pa.string())
    flight_id = pc.binary_join_element_wise(table["carrier"], number, table["origin"], day, "-")
    return (
        table.append_column("flight_id", flight_id)
        .append_column("scheduled_at", scheduled)
        .append_column("departed_at", pc.add(scheduled, _minutes(table["dep_delay"])))
        .append_column("late", pc.cast(pc.greater(table["arr_delay"], LATE_MINUTES), pa.int64()))
    )


def prepare_weather(table: pa.Table) -> pa.Table:
    """Add `observed_at`, the UTC moment of the observation.

    Args:
        table: Has `time_hour` (timestamp); other columns are kept.

    Example:
        >>> seen = pa.table({"time_hour": [datetime(2013, 1, 1, 6, tzinfo=UTC)], "temp": [39.0]})
        >>> prepare_weather(seen).column_names
        ['time_hour', 'temp', 'observed_at']
    """
    return table.append_column("observed_at", pc.cast(table["time_hour"], INSTANT))


def prepare_planes(table: pa.Table) -> pa.Table:
    """Add `registered_at` (timestamp, UTC), a moment before the first flight.

    Example:
        >>> prepare_planes(pa.table({"tailnum": ["N14228"]}))["registered_at"][0].as_py().year
        2000
    """
    moment = pa.array([LONG_AGO] * table.num_rows, INSTANT)
    return table.append_column("registered_at", moment)


def calendar(table: pa.Table) -> pa.Table:
    """Local calendar of the schedule: minute of the day and day of the week (0 = Monday).

    Computed from the request itself, so the same function runs in training and in serving.

    Args:
        table: Has `scheduled_at` (timestamp, UTC).

    Returns:
        Columns `minute_of_day` and `weekday`, float64, as many rows.

    Example:
        >>> moments = [datetime(2013, 7, 1, 14, 5, tzinfo=UTC)]  # a Monday, 10:05 in New York
        >>> calendar(pa.table({"scheduled_at": pa.array(moments, INSTANT)})).to_pylist()
        [{'minute_of_day': 605.0, 'weekday': 0.0}]
    """
    local = pc.cast(table["scheduled_at"], pa.timestamp("us", tz=LOCAL_ZONE))
    minute = pc.add(pc.multiply(pc.hour(local), 60), pc.minute(local))
    return pa.table(
        {
            "minute_of_day": pc.cast(minute, pa.float64()),
            "weekday": pc.cast(pc.day_of_week(local), pa.float64()),
        }
    )


def departures_only(table: pa.Table) -> pa.Table:
    """Flights that did depart: the others have no moment at which their delay became known.

    Example:
        >>> departed = pa.array([None, datetime(2013, 1, 1, 10, 17, tzinfo=UTC)], INSTANT)
        >>> departures_only(pa.table({"flight": [1, 2], "departed_at": departed}))["flight"].to_pylist()
        [2]
    """
    return table.filter(pc.is_valid(table["departed_at"]))


def reported_arrivals(table: pa.Table) -> pa.Table:
    """Flights that did arrive, with `reported_at`: when how late they were can be known.

    The files tell how long a flight was in the air, not when it reached its gate in UTC: an hour for taxiing and the
    report is added.

    Example:
        >>> departed = pa.array([datetime(2013, 1, 1, 10, 17, tzinfo=UTC)] * 2, INSTANT)
        >>> flown = pa.table({"departed_at": departed, "air_time": [53.0, None], "arr_delay": [3.0, None]})
        >>> [f"{moment:%H:%M}" for moment in reported_arrivals(flown)["reported_at"].to_pylist()]
        ['12:10']
    """
    reported = pc.add(table["departed_at"], _minutes(pc.add(table["air_time"], 60.0)))
    table = table.append_column("reported_at", reported)
    # A null created time would mean: known at departure.
    return table.filter(pc.and_(pc.is_valid(table["reported_at"]), pc.is_valid(table["arr_delay"])))


def aircraft_age(table: pa.Table) -> pa.Table:
    """Years since the aircraft was made, from the request's moment and the looked-up year.

    Example:
        >>> asked = pa.table({"scheduled_at": [datetime(2013, 7, 1, tzinfo=UTC)] * 2, "year": [1999.0, None]})
        >>> aircraft_age(asked)["aircraft_age"].to_pylist()
        [14.0, None]
    """
    now = pc.cast(pc.year(table["scheduled_at"]), pa.float64())
    return pa.table({"aircraft_age": pc.subtract(now, table["year"])})


def sources(files: FlightFiles) -> tuple[data.Source, data.Source, data.Source]:
    """The three feeds (flights, weather, planes), each with its own pipeline and expectations.

    Args:
        files: Where the raw files are; see `flight_files`.

    Example:
        >>> from pathlib import Path
        >>> feeds = sources(FlightFiles(Path("flights.csv.zip"), Path("weather.csv"), Path("planes.csv")))
        >>> [(feed.name, len(feed.expectations)) for feed in feeds]
        [('flights', 5), ('weather', 4), ('planes', 3)]
    """
    flights = data.Source(
        "flights",
        data.Csv(str(files.flights)),
        schema=_FLIGHT_COLUMNS,
        key=("flight_id",),
        event_time="scheduled_at",
        transform=prepare_flights,
        expectations=[
            data.not_null("origin"),
            data.between("distance", 50, 6000),
            data.one_of("origin", ["EWR", "JFK", "LGA"]),
            data.not_null("tailnum", on_fail="warn"),
            data.unique("flight_id"),
        ],
    )
    weather = data.Source(
        "weather",
        data.Csv(str(files.weather)),
        schema=_WEATHER_COLUMNS,
        key=("origin", "observed_at"),
        event_time="observed_at",
        transform=prepare_weather,
        expectations=[
            data.between("wind_speed", 0, 150),
            data.between("humid", 0, 100),
            data.not_null("temp", on_fail="warn"),
            data.not_null("pressure", on_fail="warn"),
        ],
    )
    planes = data.Source(
        "planes",
        data.Csv(str(files.planes)),
        schema=_PLANE_COLUMNS,
        key=("tailnum",),
        transform=prepare_planes,
        expectations=[
            data.unique("tailnum"),
            data.not_null("year", on_fail="warn"),
            data.between("year", 1930, 2013),
        ],
    )
    return flights, weather, planes


WEATHER = features.FeatureView(
    "weather",
    features.Entity("airport", ("origin",)),
    event_time="observed_at",
    table="weather",
    columns=("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
    ttl="3h",
    description="The last weather observed at the origin",
)
CONGESTION = features.FeatureView(
    "congestion",
    features.Entity("airport", ("origin",)),
    event_time="departed_at",
    table="flights",
    columns=(),
    transform=departures_only,
    window=(
        features.Rolling("dep_delay", over="2h", agg="mean", name="delay_mean_2h"),
        features.Rolling("dep_delay", over="2h", agg="share_above:15", name="late_share_2h"),
        features.Rolling("dep_delay", over="2h", agg="count", name="departures_2h"),
        features.Rolling("dep_delay", over="30m", agg="mean", name="delay_mean_30m"),
    ),
    ttl="3h",
    description="How late the departures of the origin were in the hours before",
)
ARRIVALS = features.FeatureView(
    "arrivals",
    features.Entity("destination", ("dest",)),
    event_time="departed_at",
    created_time="reported_at",
    table="flights",
    transform=reported_arrivals,
    window=(
        features.Rolling("arr_delay", over="6h", agg="mean", name="arrival_delay_mean_6h"),
        features.Rolling("arr_delay", over="6h", agg="share_above:15", name="arrival_late_share_6h"),
        features.Rolling("arr_delay", over="6h", agg="last", name="arrival_delay_last"),
    ),
    ttl="12h",
    units={"arrival_delay_mean_6h": "minutes", "arrival_delay_last": "minutes"},
    description="How late flights to the destination arrived, as far as it was reported",
)
AIRCRAFT = features.FeatureView(
    "aircraft",
    features.Entity("aircraft", ("tailnum",)),
    event_time="registered_at",
    table="planes",
    columns=("year", "seats"),
    description="Year of manufacture and seats of the aircraft",
)
CALENDAR = features.OnDemand(
    "calendar", inputs=("scheduled_at",), function=calendar, outputs=("minute_of_day", "weekday")
)
AIRCRAFT_AGE = features.OnDemand(
    "aircraft-age", inputs=("scheduled_at", "year"), function=aircraft_age, outputs=("aircraft_age",)
)
LATE_ARRIVAL = features.FeatureSet(
    "late-arrival",
    features=(WEATHER, CONGESTION, ARRIVALS, AIRCRAFT, CALENDAR, AIRCRAFT_AGE),
    passthrough=("carrier", "origin", "dest", "distance"),
)
VIEWS = (WEATHER, CONGESTION, ARRIVALS, AIRCRAFT)
