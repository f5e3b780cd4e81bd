"""What tracking returns besides `Run`: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from ...core import Node

Item = TypeVar("Item", covariant=True)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Experiment:
    """A group of runs.

    Attributes:
        id: Its number; 0 is ``Default``, which always exists.
        name: Free name, unique in the registry (deleted experiments keep theirs until they are purged).
        lifecycle: ``active`` or ``deleted``.
        artifact_location: Where the artifacts of its runs go, a URI.
        tags: Free labels.
        created_at: When it was created.
        updated_at: When its name or lifecycle last changed.
    """

    id: int
    name: str
    lifecycle: str
    artifact_location: str
    tags: dict[str, str]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Measurement:
    """One logged value of a metric.

    Attributes:
        key: Name of the metric.
        value: Any float, NaN and infinities included.
        step: Training step, 0 when none was given.
        logged_at: Microseconds since 1970, UTC, as the client said.

    Example:
        >>> Measurement("auc", 0.7, step=3, logged_at=1_500_000).at.isoformat()
        '1970-01-01T00:00:01.500000+00:00'
    """

    key: str
    value: float
    step: int
    logged_at: int

    @property
    def at(self) -> datetime:
        """`logged_at` as a time."""
        return _EPOCH + timedelta(microseconds=self.logged_at)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that a run read, as MLflow's client describes it.

    Attributes:
        name: Its name.
        digest: Hash of its content, at most 36 characters.
        source_type: Kind of its source, such as ``http`` or ``local``.
        source: Where it came from, JSON.
        schema: Its columns, JSON, or ``None``.
        profile: Figures of it, JSON, or ``None``.
        context: What it was read for, such as ``train``, or ``None``.
        tags: Other labels of this use of it.
    """

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None
    context: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelLink:
    """A run read (`role` ``input``) or wrote (``output``) a logged model, at a step."""

    role: str
    model_id: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as MLflow's clients see it: labels as text, measurements with step and time.

    Attributes:
        id: 32 hexadecimal digits (MLflow's own run ids look the same).
        kind: ``fit``, ``trial``, ``mlflow``, ...
        name: Free name.
        status: ``scheduled``, ``running``, ``finished``, ``failed`` or ``stopped``.
        lifecycle: ``active`` or ``deleted``.
        experiment_id: The experiment it belongs to.
        artifact_uri: Where its artifacts are.
        user_id: Who started it, or ``""``.
        parent: Id of the run it belongs to, or ``None``.
        created_at: Start.
        ended_at: End, or ``None``.
        params: Text of each parameter, with whether it is the JSON of a value that is no text.
        tags: As `params`.
        metrics: The latest measurement of each metric.
        datasets: What it read.
        models: Logged models that it read or wrote.
        inputs: Lineage nodes it read.
        outputs: Lineage nodes it wrote.
        artifact: Digest of the folder it produced, or ``None``.
        error: Why it failed, or ``""``.
    """

    id: str
    kind: str
    name: str
    status: str
    lifecycle: str
    experiment_id: int
    artifact_uri: str
    user_id: str
    parent: str | None
    created_at: datetime
    ended_at: datetime | None
    params: dict[str, tuple[str, bool]]
    tags: dict[str, tuple[str, bool]]
    metrics: tuple[Measurement, ...]
    datasets: tuple[Dataset, ...]
    models: tuple[ModelLink, ...]
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    artifact: str | None
    error: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a listing.

    Attributes:
        items: What was found, in order.
        token: Gives the next part, or ``""`` at the end.
    """

    items: tuple[Item, ...]
    token: str
