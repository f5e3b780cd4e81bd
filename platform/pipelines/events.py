"""What can happen to the tasks of a run: the events of its state machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Start:
    """A task is started."""

    task: str


@dataclass(frozen=True, slots=True)
class Finish:
    """A running task ended well."""

    task: str
    output: str


@dataclass(frozen=True, slots=True)
class Fail:
    """A running task ended in an error; `crash` when its worker died, `final` when a repetition is of no use."""

    task: str
    error: str
    at: float
    crash: bool = False
    final: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """A waiting task's condition does not hold."""

    task: str


@dataclass(frozen=True, slots=True)
class Reuse:
    """A waiting task takes an earlier result."""

    task: str
    output: str


@dataclass(frozen=True, slots=True)
class Expand:
    """The number of items of a waiting mapped node is known."""

    key: str
    width: int


@dataclass(frozen=True, slots=True)
class Break:
    """A waiting task cannot start: its inputs are wrong."""

    task: str
    error: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """The run is cancelled: nothing new starts but the finaliser."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing new starts; what runs may end."""


Event = Start | Finish | Fail | Skip | Reuse | Expand | Break | Cancel | Pause
