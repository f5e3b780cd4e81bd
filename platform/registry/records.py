"""What the registry returns: frozen records. All times are aware, UTC, with microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..core import Node, Ref
from .show import Shown


@dataclass(frozen=True, slots=True)
class TableVersion(Shown):
    """One immutable version of a Delta table.

    Attributes:
        name: Qualified name, ``main.flights``.
        version: The Delta version, 0 or greater.
        rows: Number of rows in this version, or ``None`` when unknown.
        schema: Column name to type name, in column order.
        operation: What wrote it: ``ingest``, ``write``, ...
        metrics: Figures of the write, such as counts per expectation.
        source: Name of the Source that fed it, or ``""``.
        created_at: When it was recorded.

    Example:
        >>> import datetime
        >>> now = datetime.datetime.now(datetime.UTC)
        >>> flights = TableVersion("main.flights", 3, 10, {}, "write", {}, "", now)
        >>> str(flights), str(flights.node)
        ('flights@3', 'table:main.flights@3')
    """

    name: str
    version: int
    rows: int | None
    schema: dict[str, str]
    operation: str
    metrics: dict[str, Any]
    source: str
    created_at: datetime

    @property
    def ref(self) -> Ref:
        """The pinned reference."""
        return Ref.parse(self.name).at(self.version)

    @property
    def node(self) -> Node:
        """The vertex in the lineage graph."""
        return Node("table", self.name, str(self.version))

    def __str__(self) -> str:
        return str(self.ref)


@dataclass(frozen=True, slots=True)
class Run(Shown):
    """One execution: a fit, a trial, a study, a materialisation, ...

    Attributes:
        id: 32 hexadecimal digits.
        kind: ``fit``, ``trial``, ``study``, ...
        name: Free name of the run.
        status: ``running``, ``finished``, ``failed`` or ``stopped``.
        params: What it was started with.
        metrics: The value of every metric at its highest step, the newest of several.
        tags: Free labels.
        inputs: Lineage nodes it read.
        parent: Id of the run it belongs to (a trial's study), or ``None``.
        artifact: Digest of the folder it produced, or ``None``.
        error: Why it failed, or ``""``.
        created_at: Start.
        ended_at: End, or ``None`` while it runs.
        outputs: Lineage nodes it wrote.
        experiment_id: The experiment it belongs to; 0 is ``Default``.
        lifecycle: ``active`` or ``deleted``.
    """

    id: str
    kind: str
    name: str
    status: str
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, Any]
    inputs: tuple[Node, ...]
    parent: str | None
    artifact: str | None
    error: str
    created_at: datetime
    ended_at: datetime | None
    outputs: tuple[Node, ...] = ()
    experiment_id: int = 0
    lifecycle: str = "active"

    @property
    def node(self) -> Node:
        """The vertex in the lineage graph."""
        return Node("run", self.id)


@dataclass(frozen=True, slots=True)
class Model(Shown):
    """A model's name, with what is known of its versions.

    Attributes:
        name: The registered name.
        latest: Newest version number; ``None`` while there is none.
        aliases: Alias to version number.
        created_at: When it was created, or its first version registered.
        description: Free text.
        tags: Free labels.
        updated_at: When something about it changed last.
    """

    name: str
    latest: int | None
    aliases: dict[str, int]
    created_at: datetime
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelVersion(Shown):
    """One version of a model: what it is made of never changes.

    Name, version, artifact, run, metrics, source and lineage are fixed when it is registered. What is said about it
    (description, tags, stage, aliases) is as it was when the record was read.

    Attributes:
        name: The model's name.
        version: 1 or greater.
        artifact: Digest of the model's folder.
        run_id: The run that made it, which may have been purged since, or ``None``.
        metrics: The run's metrics when it was registered.
        description: Free text.
        aliases: Aliases, sorted.
        created_at: When it was registered.
        source: Where its files were copied from, such as ``mlflow-artifacts:/0/<run>/artifacts/model``; may be empty.
        run_link: A link to a run in another system, or ``""``.
        logged_model: Id of the logged model it was made from, or ``None``.
        stage: ``None``, ``Staging``, ``Production`` or ``Archived`` (MLflow's; aliases are the better way).
        tags: Free labels.
        updated_at: When something about it changed last.

    Example:
        >>> import datetime
        >>> now = datetime.datetime.now(datetime.UTC)
        >>> version = ModelVersion("flight-delay", 1, "0" * 64, None, {}, "", ("champion",), now)
        >>> str(version), str(version.node)
        ('flight-delay@1', 'model:flight-delay@1')
    """

    name: str
    version: int
    artifact: str
    run_id: str | None
    metrics: dict[str, float]
    description: str
    aliases: tuple[str, ...]
    created_at: datetime
    source: str = ""
    run_link: str = ""
    logged_model: str | None = None
    stage: str = "None"
    tags: dict[str, str] = field(default_factory=dict)
    updated_at: datetime | None = None

    @property
    def ref(self) -> Ref:
        """The pinned reference.

        Raises:
            InvalidName: The name is one that only MLflow's rule allows.
        """
        return Ref(self.name, version=self.version)

    @property
    def node(self) -> Node:
        """The vertex in the lineage graph."""
        return Node("model", self.name, str(self.version))

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Deployment(Shown):
    """A model version that was put behind an endpoint.

    Attributes:
        id: Rises with every deployment.
        endpoint: Name of the endpoint.
        model: Name of the model.
        version: The model's version.
        target: What was asked for, such as ``flight-delay@champion``.
        config: Autoscaling, capture, ...
        url: Where it answers, or ``""``.
        status: ``running``, ``replaced`` (by a later deployment of the endpoint), ``ended``, ...
        created_at: Start.
        ended_at: End, or ``None``.
    """

    id: int
    endpoint: str
    model: str
    version: int
    target: str
    config: dict[str, Any]
    url: str
    status: str
    created_at: datetime
    ended_at: datetime | None

    @property
    def node(self) -> Node:
        """The endpoint's vertex in the lineage graph."""
        return Node("endpoint", self.endpoint)

    @property
    def model_node(self) -> Node:
        """The deployed model version's vertex in the lineage graph."""
        return Node("model", self.model, str(self.version))


@dataclass(frozen=True, slots=True)
class DriftReport(Shown):
    """The stored result of one comparison of captured traffic with a reference.

    Attributes:
        id: 32 hexadecimal digits.
        endpoint: Name of the endpoint.
        model: Name of the model that answered.
        version: Its version.
        window: Start (included) and end (excluded) of the traffic, UTC.
        reference: What was compared with.
        current: The captured traffic.
        share: Share of columns that drifted, 0 to 1; NaN when it could not be computed.
        columns: Column name to figures (method, score, threshold, drifted, ...).
        metrics: Other figures: rows, AUC, nulls, ...
        artifacts: Name (``html``, ``json``) to digest.
        created_at: When it was recorded.
    """

    id: str
    endpoint: str
    model: str
    version: int
    window: tuple[datetime, datetime]
    reference: Node
    current: Node
    share: float
    columns: Mapping[str, Mapping[str, Any]]
    metrics: dict[str, Any]
    artifacts: dict[str, str]
    created_at: datetime

    @property
    def node(self) -> Node:
        """The vertex in the lineage graph."""
        return Node("report", self.id)


@dataclass(frozen=True, slots=True)
class Alert(Shown):
    """A notification.

    Attributes:
        id: Rises with every alert.
        severity: ``info``, ``warning``, ``error`` or ``critical``.
        subject: What it is about.
        message: One sentence.
        evidence: The figures behind it.
        created_at: When it was raised.
    """

    id: int
    severity: str
    subject: Node
    message: str
    evidence: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Event(Shown):
    """Something that happened.

    Attributes:
        id: A cursor: it rises in the order of commits and is never reused.
        kind: What happened, such as ``alias-moved``.
        subject: To what.
        payload: Details.
        created_at: When it was recorded.
    """

    id: int
    kind: str
    subject: Node
    payload: dict[str, Any]
    created_at: datetime


def stands_for(one: Node, other: Node) -> bool:
    """Whether two nodes are the same thing in the same version; a node without a version is in all of them.

    Example:
        >>> stands_for(Node("model", "m"), Node("model", "m", "3"))
        True
    """
    versions = one.version == other.version or not one.version or not other.version
    return (one.kind, one.name) == (other.kind, other.name) and versions


@dataclass(frozen=True, slots=True, order=True)
class Edge(Shown):
    """One edge of the lineage graph: `target` was made from `source`."""

    source: Node
    target: Node


@dataclass(frozen=True, slots=True, order=True)
class ColumnEdge(Shown):
    """One column that was made from another.

    Attributes:
        source: What was read.
        source_column: Its column.
        target: What was written.
        target_column: Its column.
        how: How, in a word or two (``mean over 3h``, ``scale``); ``""`` for a copy.
    """

    source: Node
    source_column: str
    target: Node
    target_column: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class SourceRecord(Shown):
    """A source that was configured at run time.

    Attributes:
        name: Name of the source.
        definition: What it reads, and how; the form of `raylake.data.source_to_plain`.
        status: ``active`` or ``paused``.
        revision: Grows by one with every change of the definition.
        error: Why the last run failed, or ``""``.
        last_run_at: When it ran last, or ``None``.
        created_at: When it was added.
        changed_at: When definition or status changed last.
    """

    name: str
    definition: dict[str, Any]
    status: str
    revision: int
    error: str
    last_run_at: datetime | None
    created_at: datetime
    changed_at: datetime
