"""Evaluations of model versions on pinned tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select

from ..core import Node, Ref, Workspace
from .columns import plain
from .engine import now, reading, writing
from .lineage import connect
from .records import ModelVersion
from .schema import EvaluationRow


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """What a model version was found to be worth on a frozen set of rows.

    Attributes:
        id: Number of the record.
        model: Name of the model.
        version: Its version.
        data: The pinned table, such as ``flights@3``.
        task: ``binary``, ``multiclass`` or ``regression``.
        rows: Number of rows.
        metrics: Metric to value.
        artifact: Digest of the folder with the report and the plots, or ``None``.
        created_at: When it was recorded.
    """

    id: int
    model: str
    version: int
    data: str
    task: str
    rows: int
    metrics: dict[str, float]
    artifact: str | None
    created_at: datetime

    @property
    def node(self) -> Node:
        """Vertex of the lineage graph."""
        return Node("report", f"evaluation-{self.id}")


def record_evaluation(
    ws: Workspace,
    version: ModelVersion,
    *,
    data: str,
    task: str,
    rows: int,
    metrics: Mapping[str, float],
    artifact: str | None = None,
) -> EvaluationRecord:
    """Record an evaluation; lineage from the model version and the table to it is recorded.

    Raises:
        InvalidName: `data` is no table reference.
        DataError: A metric has no JSON form.
        Conflict: The model version is not registered.

    Example:
        >>> import tempfile
        >>> from raylake.registry import register_artifact
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = register_artifact(ws, "0" * 64, name="flight-delay")
        >>> record_evaluation(ws, version, data="flights@3", task="binary", rows=100, metrics={"auc": 0.7}).metrics
        {'auc': 0.7}
    """
    ref = Ref.parse(data)
    row = EvaluationRow(
        model=version.name,
        version=version.version,
        data=str(ref),
        task=task,
        rows=rows,
        metrics=plain(metrics, "metrics"),
        artifact=artifact,
        created_at=now(),
    )
    with writing(ws) as session:
        session.add(row)
        session.flush()
        found = _record(row)
        table = Node("table", ref.name, "" if ref.version is None else str(ref.version))
        connect(session, [version.node, table], [found.node])
        return found


def evaluations(
    ws: Workspace, *, model: str | None = None, version: int | None = None, data: str | None = None
) -> list[EvaluationRecord]:
    """Recorded evaluations, newest first: of a model, a version of it, a pinned table, or all.

    Example:
        >>> import tempfile
        >>> evaluations(Workspace.open(tempfile.mkdtemp()), model="flight-delay")
        []
    """
    query = select(EvaluationRow).order_by(col(EvaluationRow.seq).desc())
    for column, value in ((EvaluationRow.model, model), (EvaluationRow.version, version), (EvaluationRow.data, data)):
        if value is not None:
            query = query.where(column == value)
    with reading(ws) as session:
        return [_record(row) for row in session.exec(query)]


def _record(row: EvaluationRow) -> EvaluationRecord:
    return EvaluationRecord(
        id=row.seq or 0,
        model=row.model,
        version=row.version,
        data=row.data,
        task=row.task,
        rows=row.rows,
        metrics=row.metrics,
        artifact=row.artifact,
        created_at=row.created_at,
    )
