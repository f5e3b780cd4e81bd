"""What is said about models and their versions: description, labels, aliases, stage."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, update
from sqlmodel import Session, col

from ..core import DataError, Workspace
from .engine import now, reading, writing
from .model_names import Wanted, check_model_name
from .model_rows import exists_already, live_model, model_records, resolve, touch_model, version_record
from .records import Model, ModelVersion
from .rows import upsert
from .schema import AliasRow, ModelRow, ModelTagRow, ModelVersionRow, ModelVersionTagRow
from .webhooks import announce

STAGES = ("None", "Staging", "Production", "Archived")
ACTIVE_STAGES = ("Staging", "Production")
LONGEST_KEY, LONGEST_VALUE = 250, 100_000


def create_model(ws: Workspace, name: str, *, description: str = "", tags: Mapping[str, str] | None = None) -> Model:
    """Create a model without versions. (`register` creates the model by itself.)

    Args:
        ws: The workspace.
        name: MLflow's rule for names holds; raylake's own functions register only ``[a-z0-9_-]``.
        description: Free text.
        tags: Free labels.

    Raises:
        Conflict: The name is taken.
        InvalidName: The name is not valid.
        DataError: A label is too long.

    Example:
        >>> import tempfile
        >>> create_model(Workspace.open(tempfile.mkdtemp()), "Iris Classifier", tags={"team": "plants"}).tags
        {'team': 'plants'}
    """
    labels = check_tags(tags or {})
    with writing(ws) as session:
        row = session.get(ModelRow, check_model_name(name), with_for_update=True)
        if row is not None and row.deleted_at is None:
            raise exists_already(name)
        at = now()
        if row is None:
            row = ModelRow(name=name, created_at=at)
            session.add(row)
        row.created_at, row.updated_at, row.deleted_at, row.description = at, at, None, description
        session.flush()
        _write_tags(session, name, labels)
        told = {"name": name, "tags": labels, "description": description}
        announce(session, "registered_model.created", told)
        return model_records(session, [row])[0]


def model(ws: Workspace, name: str) -> Model:
    """One registered model by its name.

    Raises:
        NotFound: It is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_model(ws, "flight-delay", description="Minutes late")
        >>> model(ws, "flight-delay").description
        'Minutes late'
    """
    with reading(ws) as session:
        return model_records(session, [live_model(session, check_model_name(name))])[0]


def describe_model(ws: Workspace, name: str, description: str, *, version: int | None = None) -> None:
    """Replace the description of a model, or of one of its versions.

    Raises:
        NotFound: The model or version is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_model(ws, "flight-delay")
        >>> describe_model(ws, "flight-delay", "Minutes late")
        >>> model(ws, "flight-delay").description
        'Minutes late'
    """
    with writing(ws) as session:
        row = _subject(session, name, version)
        row.description, row.updated_at = description, now()


def tag_model(ws: Workspace, name: str, tags: Mapping[str, str], *, version: int | None = None) -> None:
    """Set labels of a model, or of one of its versions; those with other keys stay.

    Raises:
        NotFound: The model or version is unknown.
        DataError: A key is longer than 250 characters, or a value than 100,000.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_model(ws, "flight-delay")
        >>> tag_model(ws, "flight-delay", {"team": "ops"})
        >>> untag_model(ws, "flight-delay", "team")
        >>> model(ws, "flight-delay").tags
        {}
    """
    labels = check_tags(tags)
    with writing(ws) as session:
        _subject(session, name, version).updated_at = now()
        session.flush()
        _write_tags(session, name, labels, version)
        for key, value in labels.items() if version is not None else ():
            told = {"name": name, "version": str(version), "key": key, "value": value}
            announce(session, "model_version_tag.set", told)


def untag_model(ws: Workspace, name: str, key: str, *, version: int | None = None) -> None:
    """Remove a label of a model, or of one of its versions; nothing happens when it has none of that key.

    Raises:
        NotFound: The model or version is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_model(ws, "flight-delay", tags={"team": "ops"})
        >>> untag_model(ws, "flight-delay", "team")
        >>> model(ws, "flight-delay").tags
        {}
    """
    with writing(ws) as session:
        _subject(session, name, version).updated_at = now()
        if version is None:
            session.execute(delete(ModelTagRow).where(col(ModelTagRow.model) == name, col(ModelTagRow.key) == key))
            return
        session.execute(
            delete(ModelVersionTagRow).where(
                col(ModelVersionTagRow.model) == name,
                col(ModelVersionTagRow.version) == version,
                col(ModelVersionTagRow.key) == key,
            )
        )
        announce(session, "model_version_tag.deleted", {"name": name, "version": str(version), "key": key})


def drop_alias(ws: Workspace, name: str, alias: str) -> None:
    """Remove an alias; nothing happens when there is none. Its history stays.

    Raises:
        NotFound: The model is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = create_model(ws, "flight-delay")
        >>> drop_alias(ws, "flight-delay", "champion")
    """
    with writing(ws) as session:
        live_model(session, check_model_name(name), lock=True)
        row = session.get(AliasRow, (name, alias))
        if row is not None:
            session.delete(row)
            touch_model(session, name)
            announce(session, "model_version_alias.deleted", {"name": name, "alias": alias})


def move_stage(ws: Workspace, name: str, version: int, stage: str, *, archive_existing: bool = False) -> ModelVersion:
    """Put a version into one of MLflow's stages.

    Args:
        ws: The workspace.
        name: The model.
        version: Its version.
        stage: ``None``, ``Staging``, ``Production`` or ``Archived``, in any case.
        archive_existing: Archive the versions that are in the stage now; for ``Staging`` and ``Production``.

    Raises:
        DataError: The stage is unknown, or cannot be emptied.
        NotFound: The model or version is unknown.

    Example:
        >>> import tempfile
        >>> from raylake.registry import register_artifact
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = register_artifact(ws, "0" * 64, name="flight-delay")
        >>> move_stage(ws, "flight-delay", 1, "production").stage
        'Production'
    """
    wanted = check_stage(stage)
    if archive_existing and wanted not in ACTIVE_STAGES:
        raise DataError(f"stage {wanted!r} cannot be emptied: archive_existing is for {', '.join(ACTIVE_STAGES)}")
    with writing(ws) as session:
        live_model(session, check_model_name(name), lock=True)
        row = resolve(session, Wanted(name, version=version))
        if archive_existing:
            others = (col(ModelVersionRow.model) == name, col(ModelVersionRow.stage) == wanted)
            session.execute(update(ModelVersionRow).where(*others).values(stage="Archived", updated_at=now()))
        row.stage, row.updated_at = wanted, now()
        touch_model(session, name)
        session.flush()
        return version_record(session, row)


def check_stage(stage: str) -> str:
    """The stage in its canonical spelling.

    Raises:
        DataError: It is unknown.

    Example:
        >>> check_stage("PRODUCTION")
        'Production'
    """
    found = {each.lower(): each for each in STAGES}.get(str(stage).lower())
    if found is None:
        raise DataError(f"Invalid Model Version stage: {stage!r:.100}: use one of {', '.join(STAGES)}")
    return found


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Labels as text, if none is too long.

    Raises:
        DataError: One is.

    Example:
        >>> check_tags({"team": "ops"})
        {'team': 'ops'}
    """
    found = {str(key): str(value) for key, value in tags.items()}
    for key, value in found.items():
        if not 1 <= len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise DataError(
                f"tag {key!r:.300} with a value of {len(value)} characters cannot be kept: "
                f"use a key of 1 to {LONGEST_KEY} and a value of at most {LONGEST_VALUE} characters"
            )
    return found


def _subject(session: Session, name: str, version: int | None) -> ModelRow | ModelVersionRow:
    row = live_model(session, check_model_name(name), lock=True)
    return row if version is None else resolve(session, Wanted(name, version=version))


def _write_tags(session: Session, name: str, tags: Mapping[str, str], version: int | None = None) -> None:
    if version is None:
        rows = [{"model": name, "key": key, "value": value} for key, value in tags.items()]
        upsert(session, ModelTagRow, rows, key=["model", "key"], changed=["value"])
    else:
        rows = [{"model": name, "version": version, "key": key, "value": value} for key, value in tags.items()]  # type: ignore[dict-item]
        upsert(session, ModelVersionTagRow, rows, key=["model", "version", "key"], changed=["value"])


def write_version_tags(session: Session, name: str, version: int, tags: Mapping[str, str]) -> None:
    """Set labels of a version inside an open transaction."""
    _write_tags(session, name, tags, version)
