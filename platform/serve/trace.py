"""From a prediction's id back to everything that made it: model, run, training set, features, tables, files, code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .. import data, registry
from ..core import DEFAULT_NAMESPACE, Node, NotFound, Ref, Workspace, table_node
from ..registry import LineageGraph, ModelVersion, Run, show
from ..registry.lineage_graph import graph_of
from .capture import RESERVED
from .prediction_log import rows_with_id
from .values import PREDICTIONS

# What is no raw data: everything else that is a table was there before raylake computed anything.
_MADE = frozenset({"features", "training", PREDICTIONS, "truth", "quarantine"})


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of the prediction log.

    Attributes:
        id: The prediction's id.
        request_id: Id of the request it was part of.
        endpoint: Name of the endpoint that answered.
        at: Event time of the row.
        received_at: When the request came.
        value: What was predicted.
        latency_ms: Milliseconds from the request to the answer.
        inputs: The columns of the request and the features as the model saw them.
        log: The table and version in which the row was found.
    """

    id: str
    request_id: str
    endpoint: str
    at: datetime | None
    received_at: datetime
    value: float
    latency_ms: float
    inputs: dict[str, Any]
    log: Node


@dataclass(frozen=True, slots=True)
class Code:
    """The code that ran.

    Attributes:
        commit: Git commit, or ``""`` when it ran outside a checkout.
        dirty: Whether tracked files differed from the commit.
        command: The command line.
        libraries: Library to version.
    """

    commit: str
    dirty: bool
    command: tuple[str, ...]
    libraries: Mapping[str, str]

    def __str__(self) -> str:
        if not self.commit:
            return "outside a git checkout"
        return f"{self.commit}{' with uncommitted changes' if self.dirty else ''}"


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that made one prediction.

    Attributes:
        prediction: The row of the prediction log.
        model: The model version that answered.
        run: The run that made the model, or ``None`` when it was registered without one.
        training: The training sets that the run read, each a pinned table version.
        features: Feature sets, views and recipes, by version.
        feature_tables: The computed feature tables, by version.
        tables: The raw tables, by version.
        files: The source files.
        code: The run's code, or ``None`` when there is no run or it recorded none.
        graph: All of it as a lineage graph.
    """

    prediction: Prediction
    model: ModelVersion
    run: Run | None
    training: tuple[Node, ...]
    features: tuple[Node, ...]
    feature_tables: tuple[Node, ...]
    tables: tuple[Node, ...]
    files: tuple[Node, ...]
    code: Code | None
    graph: LineageGraph

    def __str__(self) -> str:
        rows = [(name, value) for name, value in _rows(self) if value]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def __repr__(self) -> str:
        return f"<Trace of {self.prediction.id}>\n{self}"

    def _repr_html_(self) -> str:
        body = show.table_html((), [row for row in _rows(self) if row[1]])
        return show.block(show.heading("Prediction", self.prediction.id) + body) + self.graph._repr_html_()


def trace(ws: Workspace, prediction_id: str, *, endpoint: str | None = None) -> Trace:
    """What made one prediction: model version, run, training set, features, raw tables, source files and code.

    Files of the log whose statistics exclude the id are not opened; ids that raylake gave share a prefix per replica,
    so that few files are left. An id that was captured twice is traced to the answer given last.

    Args:
        ws: The workspace.
        prediction_id: The id from the answer: ``<id>#<row>``, the id of a single-row request, or one that the client
            gave.
        endpoint: The endpoint that answered; by default all logs are searched.

    Raises:
        NotFound: No log holds the id (capture may be sampled, or still be writing), or the endpoint has no log.

    Example:
        >>> import tempfile
        >>> from datetime import UTC
        >>> import pyarrow as pa
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> flights = Node("table", "main.flights", "3")
        >>> model = registry.register_artifact(ws, "0" * 64, name="delay", alias="champion", inputs=[flights])
        >>> asked = datetime(2013, 7, 1, 12, tzinfo=UTC)
        >>> row = {"id": "a#0", "request_id": "a", "at": asked, "received_at": asked, "model": "delay", "version": 1}
        >>> rows = [{**row, "distance": 1400.0, "prediction": 0.82, "latency_ms": 0.7}]
        >>> log = data.write(ws, "predictions.delays", pa.Table.from_pylist(rows))  # as an endpoint does
        >>> print(trace(ws, "a"))
        prediction    0.82 by endpoint delays
        received      2013-07-01 12:00:00 UTC, answered in 0.7 ms
        inputs        distance=1400
        model         delay@1 (champion)
        training set  table:main.flights@3
        raw tables    table:main.flights@3
    """
    found = _find(ws, prediction_id, endpoint)
    model = registry.model_version(ws, Ref(str(found.pop("model")), version=int(found.pop("version"))))
    prediction = _prediction(found)
    edges = registry.upstream(ws, model.node)
    nodes = tuple(dict.fromkeys(end for edge in edges for end in (edge.source, edge.target)))
    run = None if model.run_id is None else registry.run(ws, model.run_id)
    read = run.inputs if run is not None else tuple(edge.source for edge in edges if edge.target == model.node)
    tables = [node for node in nodes if node.kind == "table"]
    return Trace(
        prediction=prediction,
        model=model,
        run=run,
        training=tuple(node for node in read if node.kind == "table"),
        features=tuple(node for node in nodes if node.kind in ("feature-set", "view", "recipe")),
        feature_tables=tuple(node for node in tables if _namespace(node) == "features"),
        tables=tuple(node for node in tables if _namespace(node) not in _MADE),
        files=tuple(node for node in nodes if node.kind in ("file", "dataset")),
        code=None if run is None else _code(run),
        graph=_graph(ws, prediction, model, edges),
    )


def _find(ws: Workspace, wanted: str, endpoint: str | None) -> dict[str, Any]:
    """The newest captured row of the id, with the endpoint and the log it was found in."""
    logs = _logs(ws, endpoint)
    named = (wanted, f"{wanted}#0") if "#" not in wanted else (wanted,)
    best: dict[str, Any] | None = None
    for ref in logs:
        version, rows = rows_with_id(ws, ref, named)
        for row in rows.to_pylist():
            if best is None or row["received_at"] >= best["received_at"]:
                best = {**row, "endpoint": ref.name, "log": table_node(ref, version)}
    if best is None:
        places = ", ".join(str(ref) for ref in logs) or "no prediction log"
        raise NotFound(
            f"prediction {wanted!r} is not in the log (searched: {places}). Rows appear about a second after the "
            "answer; a deployment with capture=Capture(sample=...) below 1 keeps only a part"
        )
    return best


def _logs(ws: Workspace, endpoint: str | None) -> list[Ref]:
    if endpoint is not None:
        ref = Ref(endpoint, namespace=PREDICTIONS)
        if not data.exists(ws, ref):
            raise NotFound(f"endpoint {endpoint!r} has no prediction log: deploy it with capture, and ask it something")
        return [ref]
    known = [Ref.parse(version.name) for version in registry.tables(ws)]
    return [ref for ref in known if ref.namespace == PREDICTIONS]


def _prediction(row: dict[str, Any]) -> Prediction:
    inputs = {name: value for name, value in row.items() if name not in RESERVED | {"endpoint", "log"}}
    return Prediction(
        id=row["id"],
        request_id=row["request_id"],
        endpoint=row["endpoint"],
        at=row["at"],
        received_at=row["received_at"],
        value=row["prediction"],
        latency_ms=row["latency_ms"],
        inputs=inputs,
        log=row["log"],
    )


def _namespace(node: Node) -> str:
    namespace, dot, _ = node.name.partition(".")
    return namespace if dot else DEFAULT_NAMESPACE


def _code(run: Run) -> Code | None:
    known = run.tags.get("environment")
    if not isinstance(known, Mapping):
        return None
    git = known.get("git") or {}
    command = tuple(str(word) for word in known.get("argv") or ())
    return Code(str(git.get("commit", "")), bool(git.get("dirty")), command, known.get("libraries") or {})


def _graph(ws: Workspace, prediction: Prediction, model: ModelVersion, edges: list[registry.Edge]) -> LineageGraph:
    asked, endpoint = Node("prediction", prediction.id.replace("@", "%40")), Node("endpoint", prediction.endpoint)
    more = (registry.Edge(model.node, endpoint), registry.Edge(endpoint, asked))
    value = f"{show.plain_text(prediction.value)} at {show.plain_text(prediction.received_at)}"
    return graph_of(ws, asked, [*dict.fromkeys([*edges, *more])], labels={asked: value})


def _rows(trace: Trace) -> list[tuple[str, str]]:
    asked, model = trace.prediction, trace.model
    aliases = f" ({', '.join(model.aliases)})" if model.aliases else ""
    inputs = ", ".join(f"{name}={show.plain_text(value)}" for name, value in asked.inputs.items())
    return [
        ("prediction", f"{show.plain_text(asked.value)} by endpoint {asked.endpoint}"),
        ("received", f"{show.plain_text(asked.received_at)}, answered in {asked.latency_ms:.1f} ms"),
        ("inputs", inputs),
        ("model", f"{model}{aliases}"),
        ("run", "" if trace.run is None else f"{trace.run.kind} {trace.run.name} ({trace.run.id})"),
        ("training set", ", ".join(str(version) for version in trace.training)),
        ("features", ", ".join(map(str, trace.features))),
        ("feature tables", ", ".join(map(str, trace.feature_tables))),
        ("raw tables", ", ".join(map(str, trace.tables))),
        ("source files", _named(trace.files)),
        ("code", "" if trace.code is None else str(trace.code)),
    ]


def _named(nodes: tuple[Node, ...], most: int = 5) -> str:
    more = f" and {len(nodes) - most} more" if len(nodes) > most else ""
    return ", ".join(node.name for node in nodes[:most]) + more
