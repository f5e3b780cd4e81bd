"""Models, their versions and their aliases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Final

from sqlalchemy import func
from sqlmodel import Session, col, select

from ..core import Conflict, InvalidName, Node, NotFound, Ref, Workspace, check_name
from .columns import numbers
from .engine import now, reading, writing
from .lineage import connect
from .records import Model, ModelVersion, Run
from .rows import LARGEST, insert_new, listed
from .schema import AliasMoveRow, AliasRow, ModelRow, ModelVersionRow, RunRow
from .tracking.views import latest_metrics


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
    run_id = run.id if isinstance(run, Run) else run
    with writing(ws) as session:
        done = session.exec(select(RunRow).where(RunRow.id == run_id)).first()
        if done is None:
            raise NotFound(f"run {run_id!r} is not recorded: registry.runs(ws) lists the newest runs")
        if done.status != "finished" or done.artifact is None:
            state = f"has status {done.status!r}" if done.status != "finished" else "has no artifact"
            raise Conflict(f"run {run_id} {state}: only a finished run with an artifact can be registered")
        _locked(session, check_name(name, "model name"))
        known = session.exec(
            select(ModelVersionRow).where(ModelVersionRow.model == name, ModelVersionRow.run_id == run_id)
        ).first()
        metrics = latest_metrics(session, done.seq or 0)
        row = known or _append(session, name, done.artifact, metrics, description, [Node("run", run_id)], run_id)
        if alias is not None:
            _point(session, name, alias, row.version)
        return _record(session, row)


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
        _locked(session, check_name(name, "model name"))
        row = _append(session, name, check_digest(artifact), values, description, sources)
        if alias is not None:
            _point(session, name, alias, row.version)
        return _record(session, row)


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
    wanted = Ref.parse(ref) if isinstance(ref, str) else ref
    with reading(ws) as session:
        return _record(session, _resolve(session, wanted))


def model_versions(ws: Workspace, name: str) -> list[ModelVersion]:
    """Every version of a model, oldest first; empty for an unknown model.

    Example:
        >>> import tempfile
        >>> model_versions(Workspace.open(tempfile.mkdtemp()), "flight-delay")
        []
    """
    query = select(ModelVersionRow).where(ModelVersionRow.model == check_name(name, "model name"))
    with reading(ws) as session:
        aliases = _aliases(session, name)
        rows = session.exec(query.order_by(col(ModelVersionRow.version)))
        return [_with(row, aliases) for row in rows]


def models(ws: Workspace) -> list[Model]:
    """Every registered model, sorted by name.

    Example:
        >>> import tempfile
        >>> models(Workspace.open(tempfile.mkdtemp()))
        []
    """
    newest = select(ModelVersionRow.model, func.max(ModelVersionRow.version)).group_by(ModelVersionRow.model)
    with reading(ws) as session:
        latest: dict[str, int] = dict(session.exec(newest).all())
        aliases: dict[str, dict[str, int]] = {}
        for row in session.exec(select(AliasRow).order_by(col(AliasRow.alias))):
            aliases.setdefault(row.model, {})[row.alias] = row.version
        rows = session.exec(select(ModelRow).order_by(col(ModelRow.name)))
        return [Model(row.name, latest.get(row.name), aliases.get(row.name, {}), row.created_at) for row in rows]


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
        if session.get(ModelRow, check_name(name, "model name"), with_for_update=True) is None:
            raise _unknown_model(session, name)
        row = _resolve(session, Ref(name, version=version))
        _point(session, name, alias, version, expected)
        return _record(session, row)


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


def _locked(session: Session, name: str) -> None:
    """Create the model if it is new, and keep other writers of its versions out until the commit."""
    insert_new(session, ModelRow, [{"name": name, "created_at": now()}])
    session.get(ModelRow, name, with_for_update=True)


def _append(
    session: Session,
    name: str,
    artifact: str,
    metrics: Mapping[str, float],
    description: str,
    inputs: Iterable[Node],
    run_id: str | None = None,
) -> ModelVersionRow:
    last = session.exec(select(func.max(ModelVersionRow.version)).where(ModelVersionRow.model == name)).one()
    row = ModelVersionRow(
        model=name,
        version=(last or 0) + 1,
        artifact=artifact,
        run_id=run_id,
        metrics=dict(metrics),
        description=description,
        created_at=now(),
    )
    session.add(row)
    session.flush()
    connect(session, inputs, [Node("model", name, str(row.version))])
    return row


def _point(session: Session, name: str, alias: str, version: int, expected: int | Unset | None = UNSET) -> None:
    if check_name(alias, "alias").isdecimal():
        raise InvalidName(f"alias {alias!r} is a number and would read as a version: use a word such as 'champion'")
    row = session.get(AliasRow, (name, alias))
    present = row.version if row else None
    if expected is not UNSET and present != expected:
        found, wanted = ("no version" if at is None else f"version {at}" for at in (present, expected))
        raise Conflict(
            f"alias {alias!r} of {name!r} points at {found}, expected: {wanted}. Somebody moved it: "
            "read it again and decide anew"
        )
    if present == version:
        return
    if row:
        row.version = version
    else:
        session.add(AliasRow(model=name, alias=alias, version=version))
    session.add(AliasMoveRow(model=name, alias=alias, version=version, created_at=now()))
    session.flush()


def _resolve(session: Session, wanted: Ref) -> ModelVersionRow:
    if wanted.namespace != "main":
        raise InvalidName(f"model reference {str(wanted)!r} has a namespace: models have none, use name@version")
    query = select(ModelVersionRow).where(ModelVersionRow.model == wanted.name)
    if wanted.alias is not None:
        pointer = session.get(AliasRow, (wanted.name, wanted.alias))
        query = query.where(ModelVersionRow.version == (pointer.version if pointer else None))
    elif wanted.version is not None:
        query = query.where(ModelVersionRow.version == (wanted.version if wanted.version <= LARGEST else None))
    row = session.exec(query.order_by(col(ModelVersionRow.version).desc()).limit(1)).first()
    if row is None:
        raise _missing(session, wanted)
    return row


def _missing(session: Session, wanted: Ref) -> NotFound:
    if session.get(ModelRow, wanted.name) is None:
        return _unknown_model(session, wanted.name)
    versions = session.exec(select(ModelVersionRow.version).where(ModelVersionRow.model == wanted.name)).all()
    what = f"version {wanted.version}" if wanted.alias is None else f"alias {wanted.alias!r}"
    newest = ", ".join(str(version) for version in sorted(versions, reverse=True)[:10])
    return NotFound(
        f"model {wanted.name!r} has no {what}; newest versions: {newest}; "
        f"aliases: {listed(_aliases(session, wanted.name))}"
    )


def _unknown_model(session: Session, name: str) -> NotFound:
    names = session.exec(select(ModelRow.name)).all()
    return NotFound(f"model {name!r} is not registered; registered models: {listed(names)}")


def _aliases(session: Session, name: str) -> dict[str, int]:
    rows = session.exec(select(AliasRow).where(AliasRow.model == name).order_by(col(AliasRow.alias)))
    return {row.alias: row.version for row in rows}


def _record(session: Session, row: ModelVersionRow) -> ModelVersion:
    return _with(row, _aliases(session, row.model))


def _with(row: ModelVersionRow, aliases: Mapping[str, int]) -> ModelVersion:
    return ModelVersion(
        name=row.model,
        version=row.version,
        artifact=row.artifact,
        run_id=row.run_id,
        metrics=row.metrics,
        description=row.description,
        aliases=tuple(alias for alias, version in aliases.items() if version == row.version),
        created_at=row.created_at,
    )
