"""Models, their versions and their aliases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Final

from sqlmodel import Session, col, select

from ..core import Conflict, Node, Ref, Workspace, check_name
from .columns import numbers
from .engine import now, reading, writing
from .model_names import Wanted, check_alias, check_model_name, parse_reference
from .model_rows import (
    append_version,
    ensure_model,
    live_model,
    model_records,
    point,
    resolve,
    version_record,
    version_records,
)
from .records import Model, ModelVersion, Run
from .schema import AliasMoveRow, AliasRow, ModelRow, ModelVersionRow
from .tracking import run as find_run
from .webhooks import announce

STORED_SCHEME = "mlflow-artifacts:/sha256"  # where MLflow's client finds a stored folder


class Unset(Enum):
    """The type of `UNSET`: an argument that was not given, where ``None`` has a meaning of its own."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


def register(
    ws: Workspace, run: Run | str, *, name: str, alias: str | None = None, description: str = ""
) -> ModelVersion:
    """Register the artifact of a finished run as the next version of a model.

    The run's metrics are copied and lineage from the run is recorded. The same run registered again under the
    same name returns the version it became the first time (and moves `alias`, if given, to it).

    Args:
        ws: The workspace.
        run: The run, or its id.
        name: The model's name.
        alias: An alias to point at the version, such as ``champion``.
        description: Free text.

    Raises:
        NotFound: The run is unknown.
        Conflict: The run has not finished, or has no artifact.
        InvalidName: The name or alias is not valid.

    Example:
        >>> import tempfile
        >>> from raylake.registry import finish_run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = finish_run(ws, start_run(ws, "fit", "first").id, artifact="0" * 64)
        >>> str(register(ws, fit, name="flight-delay", alias="champion"))
        'flight-delay@1'
    """
    done = find_run(ws, run.id if isinstance(run, Run) else run)
    if done.status != "finished" or done.artifact is None:
        state = f"has status {done.status!r}" if done.status != "finished" else "has no artifact"
        raise Conflict(f"run {done.id} {state}: only a finished run with an artifact can be registered")
    with writing(ws) as session:
        ensure_model(session, check_name(name, "model name"))
        same = select(ModelVersionRow).where(
            ModelVersionRow.model == name,
            ModelVersionRow.run_id == done.id,
            ModelVersionRow.artifact == done.artifact,
            col(ModelVersionRow.deleted_at).is_(None),
        )
        row = session.exec(same.order_by(col(ModelVersionRow.version)).limit(1)).first()
        if row is None:
            made = _row(name, done.artifact, done.metrics, description, done.id)
            row = append_version(session, made, [done.node])
            announce_version(session, row, {})
        if alias is not None:
            point(session, name, check_alias(check_name(alias, "alias")), row.version)
        return version_record(session, row)


def register_artifact(
    ws: Workspace,
    artifact: str,
    *,
    name: str,
    alias: str | None = None,
    metrics: Mapping[str, float] | None = None,
    inputs: Iterable[Node] = (),
    description: str = "",
) -> ModelVersion:
    """Register a stored folder that no run made as the next version of a model. Each call makes a version.

    Args:
        ws: The workspace.
        artifact: Digest of the model's folder.
        name: The model's name.
        alias: An alias to point at the version.
        metrics: What is known of its quality.
        inputs: What it was made from; lineage is recorded.
        description: Free text.

    Raises:
        InvalidName: The name, alias or digest is not valid.
        DataError: A metric is not a number.

    Example:
        >>> import tempfile
        >>> str(register_artifact(Workspace.open(tempfile.mkdtemp()), "0" * 64, name="flight-delay"))
        'flight-delay@1'
    """
    from .artifacts import check_digest

    values, sources = numbers(metrics or {}), [*inputs]
    with writing(ws) as session:
        ensure_model(session, check_name(name, "model name"))
        row = append_version(session, _row(name, check_digest(artifact), values, description), sources)
        announce_version(session, row, {})
        if alias is not None:
            point(session, name, check_alias(check_name(alias, "alias")), row.version)
        return version_record(session, row)


def model_version(ws: Workspace, ref: Ref | str) -> ModelVersion:
    """The version that ``name@3``, ``name@champion`` or ``name`` (the newest) names.

    Raises:
        NotFound: The model, version or alias is unknown; the message lists those that exist.
        InvalidName: `ref` breaks the naming rule.

    Example:
        >>> import tempfile
        >>> model_version(Workspace.open(tempfile.mkdtemp()), "flight-delay@champion")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: model 'flight-delay' is not registered; registered models: none
    """
    with reading(ws) as session:
        return version_record(session, resolve(session, parse_reference(ref)))


def model_versions(ws: Workspace, name: str) -> list[ModelVersion]:
    """Every version of a model, oldest first; empty for an unknown model.

    Example:
        >>> import tempfile
        >>> model_versions(Workspace.open(tempfile.mkdtemp()), "flight-delay")
        []
    """
    query = select(ModelVersionRow).where(
        ModelVersionRow.model == check_model_name(name), col(ModelVersionRow.deleted_at).is_(None)
    )
    with reading(ws) as session:
        return version_records(session, session.exec(query.order_by(col(ModelVersionRow.version))).all())


def models(ws: Workspace) -> list[Model]:
    """Every registered model, sorted by name.

    Example:
        >>> import tempfile
        >>> models(Workspace.open(tempfile.mkdtemp()))
        []
    """
    with reading(ws) as session:
        live = select(ModelRow).where(col(ModelRow.deleted_at).is_(None))
        return model_records(session, session.exec(live.order_by(col(ModelRow.name))).all())


def set_alias(
    ws: Workspace, name: str, alias: str, version: int, *, expected: int | Unset | None = UNSET
) -> ModelVersion:
    """Point an alias at a version, atomically, and remember the move. A move to where it points is none.

    Args:
        ws: The workspace.
        name: The model.
        alias: Such as ``champion``; not a number, which would read as a version.
        version: Where it shall point.
        expected: If given, where it must point now (``None``: it must not exist yet).

    Raises:
        Conflict: The alias does not point at `expected`; somebody moved it meanwhile.
        NotFound: The model or version is unknown.
        InvalidName: The alias is not valid.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> first = register_artifact(ws, "0" * 64, name="flight-delay")
        >>> set_alias(ws, "flight-delay", "champion", 1, expected=None).aliases
        ('champion',)
        >>> set_alias(ws, "flight-delay", "champion", 1, expected=None)
        Traceback (most recent call last):
        ...
        raylake.core.errors.Conflict: alias 'champion' of 'flight-delay' points at version 1, expected: no ...
    """
    with writing(ws) as session:
        live_model(session, check_model_name(name), lock=True)
        row = resolve(session, Wanted(name, version=version))
        _expect(session, name, check_alias(alias), expected)
        point(session, name, alias, version)
        return version_record(session, row)


def alias_history(ws: Workspace, name: str, alias: str) -> list[tuple[int, datetime]]:
    """Where an alias pointed, as ``(version, since)``, oldest first; empty for an unknown alias.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> first = register_artifact(ws, "0" * 64, name="flight-delay", alias="champion")
        >>> [version for version, since in alias_history(ws, "flight-delay", "champion")]
        [1]
    """
    query = select(AliasMoveRow).where(AliasMoveRow.model == name, AliasMoveRow.alias == alias)
    with reading(ws) as session:
        return [(row.version, row.created_at) for row in session.exec(query.order_by(col(AliasMoveRow.seq)))]


def announce_version(session: Session, row: ModelVersionRow, tags: Mapping[str, str]) -> None:
    """Tell the webhooks of a new version."""
    told = {"name": row.model, "version": str(row.version), "source": row.source, "run_id": row.run_id}
    announce(session, "model_version.created", {**told, "tags": dict(tags), "description": row.description or None})


def _row(
    name: str, artifact: str, metrics: Mapping[str, float], description: str, run_id: str | None = None
) -> ModelVersionRow:
    return ModelVersionRow(
        model=name,
        version=0,
        artifact=artifact,
        run_id=run_id,
        metrics=dict(metrics),
        description=description,
        created_at=now(),
        source=f"{STORED_SCHEME}/{artifact}",
    )


def _expect(session: Session, name: str, alias: str, expected: int | Unset | None) -> None:
    row = session.get(AliasRow, (name, alias))
    present = row.version if row else None
    if expected is not UNSET and present != expected:
        found, wanted = ("no version" if at is None else f"version {at}" for at in (present, expected))
        raise Conflict(
            f"alias {alias!r} of {name!r} points at {found}, expected: {wanted}. Somebody moved it: "
            "read it again and decide anew"
        )
