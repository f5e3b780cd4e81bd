"""What can happen to the tasks of a run: the events of its state machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OfTask:
    """Something that happens to one task."""

    task: str


class Start(OfTask):
    """A task is started."""

    __slots__ = ()


class Skip(OfTask):
    """A waiting task's condition does not hold."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Finish(OfTask):
    """A running task ended well; `output` is the digest of what it returned."""

    output: str


@dataclass(frozen=True, slots=True)
class Reuse(OfTask):
    """A waiting task takes an earlier result, whose digest is `output`."""

    output: str


@dataclass(frozen=True, slots=True)
class Break(OfTask):
    """A waiting task cannot start: its inputs are wrong."""

    error: str


@dataclass(frozen=True, slots=True)
class Fail(OfTask):
    """A running task ended in an error; `crash` when its worker died, `final` when a repetition is of no use."""

    error: str
    at: float
    crash: bool = False
    final: bool = False


@dataclass(frozen=True, slots=True)
class Expand:
    """The number of items of a waiting mapped node is known."""

    key: str
    width: int


class Cancel:
    """The run is cancelled: nothing new starts but the finaliser."""


class Pause:
    """Nothing new starts; what runs may end."""


Event = OfTask | Expand | Cancel | Pause
