"""The flights of New York in 2013: where the raw files are, and what the demonstration declares about them.

A package of its own, so that Ray workers and endpoints that need one of its functions load no more than this.
"""

from .dataset import FlightFiles, flight_files
from .declarations import (
    AIRCRAFT,
    AIRCRAFT_AGE,
    ARRIVALS,
    CALENDAR,
    CONGESTION,
    LATE_ARRIVAL,
    VIEWS,
    WEATHER,
    aircraft_age,
    calendar,
    departures_only,
    prepare_flights,
    prepare_planes,
    prepare_weather,
    reported_arrivals,
    sources,
)

__all__ = [
    "AIRCRAFT",
    "AIRCRAFT_AGE",
    "ARRIVALS",
    "CALENDAR",
    "CONGESTION",
    "LATE_ARRIVAL",
    "VIEWS",
    "WEATHER",
    "FlightFiles",
    "aircraft_age",
    "calendar",
    "departures_only",
    "flight_files",
    "prepare_flights",
    "prepare_planes",
    "prepare_weather",
    "reported_arrivals",
    "sources",
]
