"""Steps that turn one kind of column into another: casts, parts of dates, text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ...core import ConfigError
from .categories import check_buckets
from .dates import PARTS
from .step import Step, one_of

CastTo = Literal["float64", "int64", "bool", "string"]


@dataclass(frozen=True, slots=True)
class Cast(Step):
    """Read a column as another kind.

    Attributes:
        columns: Columns.
        to: ``float64``, ``int64`` (cuts decimals), ``bool`` (0 or 1) or ``string``. Text that is no number becomes
            NaN.

    Example:
        >>> Cast(["month"], "string").to
        'string'
    """

    learns: ClassVar[bool] = False
    to: CastTo = "float64"

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        if self.to not in ("float64", "int64", "bool", "string"):
            raise ConfigError(f"to={self.to!r} of Cast is not valid: use float64, int64, bool or string")


@dataclass(frozen=True, slots=True)
class DateParts(Step):
    """Replace a date or timestamp by numbers: ``column_month``, ``column_hour``, ...

    Attributes:
        columns: Date or timestamp columns; those without a time zone count as UTC. Null gives NaN.
        parts: Some of ``year``, ``month`` (1 to 12), ``day``, ``yearday`` (from 1), ``weekday`` (Monday is 0),
            ``weekend`` (0 or 1), ``hour``, ``minute``.
        cyclic: Whether each part that comes round again becomes two columns, its sine and cosine
            (``column_hour_sin``, ``column_hour_cos``), so that hour 23 is next to hour 0; ``year`` and ``weekend``
            stay.
        timezone: IANA name of the zone whose clock is meant.

    Example:
        >>> from datetime import datetime
        >>> import pyarrow as pa
        >>> from raylake.data import Recipe
        >>> flights = pa.table({"at": [datetime(2013, 7, 4, 3)]})
        >>> Recipe([DateParts(["at"], timezone="America/New_York")]).fit(flights).apply(flights).to_pylist()
        [{'at_month': 7.0, 'at_weekday': 2.0, 'at_hour': 23.0}]
    """

    learns: ClassVar[bool] = False
    parts: Sequence[str] = ("month", "weekday", "hour")
    cyclic: bool = False
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        if isinstance(self.parts, str) or not self.parts:
            raise ConfigError(f"parts={self.parts!r} of DateParts is not a list: use some of {list(PARTS)}")
        for part in self.parts:
            one_of(self, "parts", part, tuple(PARTS))
        object.__setattr__(self, "parts", tuple(self.parts))
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(
                f"timezone={self.timezone!r} of DateParts is not an IANA name such as 'America/New_York'"
            ) from error


@dataclass(frozen=True, slots=True)
class Lower(Step):
    """Text in lower case, without white space at either end; null stays null.

    Attributes:
        columns: Text columns.

    Example:
        >>> Lower(["note"]).columns
        ('note',)
    """

    learns: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class TextLength(Step):
    """Add a column ``column_length``, the number of characters; null gives NaN. The text stays for later steps.

    Attributes:
        columns: Text columns.

    Example:
        >>> TextLength(["note"]).columns
        ('note',)
    """

    learns: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class NGrams(Step):
    """Replace text by how often its n-grams occur, hashed to columns ``column#0``, ``column#1``, ...

    Attributes:
        columns: Text columns. Null becomes 0 everywhere.
        size: The longest n-gram; shorter ones count too.
        unit: ``word`` (runs of letters, digits and underscores) or ``character``.
        buckets: How many columns.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Recipe
        >>> fitted = Recipe([Lower(["note"]), NGrams(["note"], buckets=8)]).fit(pa.table({"note": ["Late again"]}))
        >>> fitted.apply_columns({"note": ["late, LATE", None]}).sum(axis=1).tolist()
        [2.0, 0.0]
    """

    learns: ClassVar[bool] = False
    size: int = 1
    unit: Literal["word", "character"] = "word"
    buckets: int = 64

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        one_of(self, "unit", self.unit, ("word", "character"))
        check_buckets(self, self.buckets)
        if not isinstance(self.size, int) or not 1 <= self.size <= 10:
            raise ConfigError(f"size={self.size!r} of NGrams is not a whole number from 1 to 10")


@dataclass(frozen=True, slots=True)
class Drop(Step):
    """Leave columns out, such as a key after `Enrich`, or text after a function has read it.

    Attributes:
        columns: Columns of any kind.

    Example:
        >>> Drop(["note"]).columns
        ('note',)
    """

    learns: ClassVar[bool] = False
