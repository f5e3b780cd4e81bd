"""What starts a pipeline by itself: times and events. Frozen values that the registry keeps as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from ..core import PipelineInvalid

_Trigger = TypeVar("_Trigger")


@dataclass(frozen=True, slots=True)
class Cron:
    """Times as cron's five fields say, in a time zone.

    When clocks change it does what Debian's cron does: what falls into the hour that is left out runs right after it;
    what falls into the hour that comes twice runs once (with ``*`` in minute or hour: as often as the clock shows it).

    Attributes:
        expression: ``minute hour day month weekday``.
        timezone: IANA name.

    Raises:
        PipelineInvalid: The expression or the zone is not valid.

    Example:
        >>> Cron("30 6 * * mon-fri", "Europe/Berlin").next_after(datetime(2026, 1, 3, tzinfo=UTC)).isoformat()
        '2026-01-05T05:30:00+00:00'
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            zone = ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise PipelineInvalid(
                f"time zone {self.timezone!r} is not known: use an IANA name such as Europe/Berlin"
            ) from error
        try:
            next(CronSim(self.expression, datetime(2026, 1, 1, tzinfo=zone)))
        except CronSimError as error:
            raise PipelineInvalid(
                f"cron expression {self.expression!r} is not valid ({error}): use `minute hour day month weekday`, "
                "such as '30 6 * * mon-fri'"
            ) from error
        except StopIteration as error:
            raise PipelineInvalid(f"cron expression {self.expression!r} never comes true") from error

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`, in UTC."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        for found in CronSim(self.expression, local):
            at = found.astimezone(UTC)
            if at > moment:
                return at
        return None


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed interval, counted from `start` (the epoch without it), whatever the clocks of a zone do.

    Example:
        >>> Every(seconds=3600).next_after(datetime(2026, 1, 1, 5, 59, tzinfo=UTC)).isoformat()
        '2026-01-01T06:00:00+00:00'
    """

    seconds: float
    start: str = "1970-01-01T00:00:00+00:00"

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise PipelineInvalid(f"interval of {self.seconds!r} seconds is not valid: give more than 0")
        _moment(self.start)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`, in UTC."""
        start = _moment(self.start)
        if moment < start:
            return start
        steps = (moment - start) // timedelta(seconds=self.seconds) + 1
        return start + steps * timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Once:
    """One time, ISO 8601 with its offset (UTC without one).

    Example:
        >>> Once("2026-01-01T06:00:00+01:00").next_after(datetime(2025, 1, 1, tzinfo=UTC)).isoformat()
        '2026-01-01T05:00:00+00:00'
    """

    at: str

    def __post_init__(self) -> None:
        _moment(self.at)

    def next_after(self, moment: datetime) -> datetime | None:
        """The time, if it is after `moment`."""
        at = _moment(self.at)
        return at if at > moment else None


@dataclass(frozen=True, slots=True)
class OnTable:
    """A new version of a table, ``name`` or ``namespace.name``."""

    table: str


@dataclass(frozen=True, slots=True)
class OnModel:
    """A new version of a model."""

    model: str


@dataclass(frozen=True, slots=True)
class OnAlert:
    """A new alert; of one severity when it is named."""

    severity: str = ""


@dataclass(frozen=True, slots=True)
class OnEvent:
    """A new event of the registry's journal; `subject` may contain ``*`` and ``?``. Webhooks are events of kind
    ``webhook`` whose subject is ``webhook:NAME``; `signal` records one.
    """

    kind: str
    subject: str = "*"


@dataclass(frozen=True, slots=True)
class OnPipeline:
    """A run of another pipeline ended as `state`: ``finished``, ``failed`` or ``cancelled``."""

    pipeline: str
    state: str = "finished"


@dataclass(frozen=True, slots=True)
class OnFiles:
    """Files that arrive or change below a local or remote folder; `pattern` is a glob of their names.

    A file counts when its size and time have been the same in two looks, so that none is read half-written.
    """

    folder: str
    pattern: str = "*"


TimeTrigger = Cron | Every | Once
EventTrigger = OnTable | OnModel | OnAlert | OnEvent | OnPipeline | OnFiles
Trigger = TimeTrigger | EventTrigger
_KINDS: Mapping[str, type[Trigger]] = {
    each.__name__: each for each in (Cron, Every, Once, OnTable, OnModel, OnAlert, OnEvent, OnPipeline, OnFiles)
}


def trigger_json(trigger: Trigger) -> dict[str, Any]:
    """A trigger as JSON."""
    return {"type": type(trigger).__name__, **asdict(trigger)}


def trigger_from(stored: Mapping[str, Any]) -> Trigger:
    """The trigger of `trigger_json`.

    Example:
        >>> trigger_from(trigger_json(Every(60)))
        Every(seconds=60, start='1970-01-01T00:00:00+00:00')
    """
    fields = dict(stored)
    return _KINDS[fields.pop("type")](**fields)


def times(trigger: TimeTrigger, start: datetime, end: datetime) -> Iterator[datetime]:
    """The times of a trigger from `start` (included) to `end` (excluded).

    Example:
        >>> day = datetime(2026, 1, 1, tzinfo=UTC)
        >>> len(list(times(Every(3600), day, day + timedelta(days=1))))
        24
    """
    at = trigger.next_after(start - timedelta(microseconds=1))
    while at is not None and at < end:
        yield at
        at = trigger.next_after(at)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise PipelineInvalid(f"time {text!r} is not valid: use ISO 8601, such as 2026-01-31T06:00:00+01:00") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
