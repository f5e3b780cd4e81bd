"""Deployments and drift reports: what happens to a model version after it was registered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import update
from sqlmodel import Session, col, select

from ..core import DataError, Node, NotFound, Workspace, check_name
from .columns import plain
from .engine import now, reading, writing
from .lineage import connect
from .records import Deployment, DriftReport, ModelVersion
from .rows import listed
from .schema import DeploymentRow, DriftReportRow


def record_deployment(
    ws: Workspace,
    endpoint: str,
    model_version: ModelVersion,
    *,
    target: str,
    config: Mapping[str, Any] | None = None,
    url: str = "",
    status: str = "running",
) -> Deployment:
    """Record that a model version answers at an endpoint; what answered there before becomes ``replaced``.

    Lineage from the model version to the endpoint is recorded.

    Args:
        ws: The workspace.
        endpoint: Name of the endpoint.
        model_version: What was deployed.
        target: What was asked for, such as ``flight-delay@champion``.
        config: Autoscaling, capture, ...
        url: Where it answers.
        status: ``running``, or what is true.

    Raises:
        InvalidName: The endpoint's name is not valid.
        DataError: The configuration has no JSON form.
        Conflict: The model version is not registered.

    Example:
        >>> import tempfile
        >>> from raylake.registry import register_artifact
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = register_artifact(ws, "0" * 64, name="flight-delay")
        >>> record_deployment(ws, "delays", version, target="flight-delay@1").status
        'running'
    """
    row = DeploymentRow(
        endpoint=check_name(endpoint, "endpoint name"),
        model=model_version.name,
        version=model_version.version,
        target=target,
        config=plain(config or {}, "config"),
        url=url,
        status=status,
        created_at=now(),
    )
    with writing(ws) as session:
        _end(session, endpoint, "replaced")
        session.add(row)
        connect(session, [model_version.node], [Node("endpoint", endpoint)])
        session.flush()
        return _deployment(row)


def deployments(ws: Workspace, *, status: str | None = None) -> list[Deployment]:
    """Deployments, newest first, those that were replaced or ended included unless `status` chooses.

    Example:
        >>> import tempfile
        >>> deployments(Workspace.open(tempfile.mkdtemp()), status="running")
        []
    """
    query = select(DeploymentRow).order_by(col(DeploymentRow.seq).desc())
    if status is not None:
        query = query.where(DeploymentRow.status == status)
    with reading(ws) as session:
        return [_deployment(row) for row in session.exec(query)]


def deployment(ws: Workspace, endpoint: str) -> Deployment:
    """The newest deployment of an endpoint, whatever its status.

    Raises:
        NotFound: The endpoint is unknown; the message lists those that exist.

    Example:
        >>> import tempfile
        >>> deployment(Workspace.open(tempfile.mkdtemp()), "delays")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: endpoint 'delays' was never deployed; endpoints: none
    """
    with reading(ws) as session:
        return _deployment(_newest(session, endpoint))


def end_deployment(ws: Workspace, endpoint: str, *, status: str = "ended") -> Deployment:
    """Record that an endpoint no longer answers; ending it again changes nothing.

    Raises:
        NotFound: The endpoint is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> from raylake.registry import register_artifact
        >>> version = register_artifact(ws, "0" * 64, name="flight-delay")
        >>> _ = record_deployment(ws, "delays", version, target="flight-delay@1")
        >>> end_deployment(ws, "delays").status
        'ended'
    """
    with writing(ws) as session:
        _newest(session, endpoint)
        _end(session, endpoint, status)
        session.expire_all()
        return _deployment(_newest(session, endpoint))


def record_drift_report(
    ws: Workspace,
    endpoint: str,
    *,
    model: ModelVersion,
    window: tuple[datetime, datetime],
    reference: Node,
    current: Node,
    share: float,
    columns: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, str] | None = None,
) -> DriftReport:
    """Record a drift report; lineage from the model version and both data sets to it is recorded.

    Args:
        ws: The workspace.
        endpoint: Name of the endpoint.
        model: The version that answered.
        window: Start (included) and end (excluded) of the traffic; aware datetimes.
        reference: What was compared with.
        current: The captured traffic.
        share: Share of columns that drifted, 0 to 1, or NaN.
        columns: Column name to figures.
        metrics: Other figures.
        artifacts: Name (``html``, ``json``) to digest.

    Raises:
        DataError: The window is not aware or ends before it starts, or a figure has no JSON form.
        InvalidName: The endpoint's name is not valid.
        Conflict: The model version is not registered.

    Example:
        >>> import tempfile
        >>> from raylake.registry import register_artifact
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = register_artifact(ws, "0" * 64, name="flight-delay")
        >>> july = datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC)
        >>> report = record_drift_report(
        ...     ws, "delays", model=version, window=july, reference=version.node, share=0.25,
        ...     current=Node("table", "predictions.delays", "4"), columns={"hour": {"score": 0.3}})
        >>> report.share
        0.25
    """
    start, end = (_utc(moment) for moment in window)
    if end < start:
        raise DataError(f"window ends at {end}, before it starts at {start}: give (start, end)")
    row = DriftReportRow(
        id=uuid4().hex,
        endpoint=check_name(endpoint, "endpoint name"),
        model=model.name,
        version=model.version,
        window_start=start,
        window_end=end,
        reference=str(reference),
        current=str(current),
        share=float(share),
        columns=plain(columns, "columns"),
        metrics=plain(metrics or {}, "metrics"),
        artifacts=plain(artifacts or {}, "artifacts"),
        created_at=now(),
    )
    with writing(ws) as session:
        session.add(row)
        session.flush()
        connect(session, [model.node, reference, current], [Node("report", row.id)])
        return _report(row)


def drift_reports(ws: Workspace, endpoint: str | None = None) -> list[DriftReport]:
    """Drift reports, of one endpoint if named, newest first.

    Example:
        >>> import tempfile
        >>> drift_reports(Workspace.open(tempfile.mkdtemp()), "delays")
        []
    """
    query = select(DriftReportRow).order_by(col(DriftReportRow.seq).desc())
    if endpoint is not None:
        query = query.where(DriftReportRow.endpoint == endpoint)
    with reading(ws) as session:
        return [_report(row) for row in session.exec(query)]


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise DataError(f"moment {moment} has no time zone: use an aware datetime, such as datetime(..., tzinfo=UTC)")
    return moment.astimezone(UTC)


def _newest(session: Session, endpoint: str) -> DeploymentRow:
    query = select(DeploymentRow).where(DeploymentRow.endpoint == endpoint)
    row = session.exec(query.order_by(col(DeploymentRow.seq).desc()).limit(1)).first()
    if row is None:
        names = session.exec(select(DeploymentRow.endpoint).distinct()).all()
        raise NotFound(f"endpoint {endpoint!r} was never deployed; endpoints: {listed(names)}")
    return row


def _end(session: Session, endpoint: str, status: str) -> None:
    session.execute(
        update(DeploymentRow)
        .where(col(DeploymentRow.endpoint) == endpoint, col(DeploymentRow.ended_at).is_(None))
        .values(status=status, ended_at=now())
    )


def _deployment(row: DeploymentRow) -> Deployment:
    return Deployment(
        id=row.seq or 0,
        endpoint=row.endpoint,
        model=row.model,
        version=row.version,
        target=row.target,
        config=row.config,
        url=row.url,
        status=row.status,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


def _report(row: DriftReportRow) -> DriftReport:
    return DriftReport(
        id=row.id,
        endpoint=row.endpoint,
        model=row.model,
        version=row.version,
        window=(row.window_start, row.window_end),
        reference=Node.parse(row.reference),
        current=Node.parse(row.current),
        share=float("nan") if row.share is None else row.share,
        columns=row.columns,
        metrics=row.metrics,
        artifacts=row.artifacts,
        created_at=row.created_at,
    )
