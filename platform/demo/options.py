"""How the story is told: sampling, budget, dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

ENDPOINT = "flight-delay"
CHAMPION = "flight-delay@champion"
MONTHS = (7, 8, 9, 10, 11, 12)


@dataclass(frozen=True, slots=True)
class Options:
    """How much of the year is used.

    Attributes:
        fast: Replay the first three days of each month only, and search with three trials.
        trials: Trials of the study.
        connections: Connections of the replay's client.
        rounds: Boosting rounds of a fit.
    """

    fast: bool = False
    trials: int = 6
    connections: int = 4
    rounds: int = 150

    @property
    def study_trials(self) -> int:
        """Trials, fewer when fast."""
        return min(self.trials, 3) if self.fast else self.trials

    def window(self, month: int) -> tuple[datetime, datetime]:
        """Start (included) and end (excluded) of what is replayed of a month."""
        return month_window(month, days=3 if self.fast else None)


def month_window(month: int, *, days: int | None = None) -> tuple[datetime, datetime]:
    """Start (included) and end (excluded) of a month of 2013, or of its first days, in UTC; month 13 is January 2014.

    Example:
        >>> month_window(7)[1].isoformat()
        '2013-08-01T00:00:00+00:00'
    """
    start = month_start(month)
    end = month_start(month + 1)
    return (start, end) if days is None else (start, start.replace(day=1 + days))


def month_start(month: int) -> datetime:
    """First moment of a month; 13 and more run on into 2014.

    Example:
        >>> month_start(13).isoformat()
        '2014-01-01T00:00:00+00:00'
    """
    year, index = divmod(month - 1, 12)
    return datetime(2013 + year, index + 1, 1, tzinfo=UTC)


def month_label(month: int) -> str:
    """``2013-07``."""
    return date(2013, month, 1).strftime("%Y-%m")
