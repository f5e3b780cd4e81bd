"""The schema goes up and down, whole or not at all, and says the same as the models."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from raylake import registry
from raylake.core import ConfigError, Conflict, StorageError, Workspace
from raylake.registry import engine, migrate, schema


def tables(ws: Workspace) -> set[str]:
    with engine.raw_engine(ws.registry_url, os.getpid()).connect() as connection:
        return set(inspect(connection).get_table_names())


def execute(ws: Workspace, statement: str) -> None:
    with engine.raw_engine(ws.registry_url, os.getpid()).begin() as connection:
        connection.execute(text(statement))


def test_the_code_knows_the_newest_revision() -> None:
    script = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert script.get_heads() == [migrate.HEAD]


def test_migrations_and_models_agree(any_ws: Workspace) -> None:
    registry.migrate_schema(any_ws)
    with engine.raw_engine(any_ws.registry_url, os.getpid()).connect() as connection:
        options = {"compare_type": True, "version_table": migrate.VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.MAPPERS.metadata) == []


def test_down_and_up_again(any_ws: Workspace) -> None:
    assert registry.schema_version(any_ws) == ""
    for _ in range(2):
        registry.record_table(any_ws, "flights", 0, rows=1, schema={}, operation="write")
        assert registry.schema_version(any_ws) == migrate.HEAD
        assert tables(any_ws) == {*schema.MAPPERS.metadata.tables, migrate.VERSION_TABLE}
        assert registry.migrate_schema(any_ws, "base") == ""
        assert tables(any_ws) == {migrate.VERSION_TABLE}
    assert registry.tables(any_ws) == []


def test_going_where_it_is_changes_nothing(any_ws: Workspace) -> None:
    registry.record_table(any_ws, "flights", 0, rows=1, schema={}, operation="write")
    for revision in ("head", migrate.HEAD):
        assert registry.migrate_schema(any_ws, revision) == migrate.HEAD
    assert len(registry.tables(any_ws)) == 1


def test_a_migration_that_fails_leaves_nothing(any_ws: Workspace) -> None:
    execute(any_ws, "CREATE TABLE event (mine INTEGER)")
    with pytest.raises(StorageError, match="already exists"):
        registry.tables(any_ws)
    assert tables(any_ws) == {"event"}
    execute(any_ws, "DROP TABLE event")
    assert registry.tables(any_ws) == []


def test_unknown_revisions(any_ws: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"cannot be moved to '4711'.*knows revisions up to"):
        registry.migrate_schema(any_ws, "4711")


def test_a_registry_newer_than_this_code_is_left_alone(any_ws: Workspace) -> None:
    registry.migrate_schema(any_ws)
    execute(any_ws, f"UPDATE {migrate.VERSION_TABLE} SET version_num = '4711'")
    engine.forget_ready()
    with pytest.raises(ConfigError, match="a newer registry needs a newer raylake"):
        registry.tables(any_ws)
    assert registry.schema_version(any_ws) == "4711"


def test_threads_open_different_new_registries_at_once(tmp_path: Path) -> None:
    spaces = [Workspace.open(tmp_path / str(n), registry_url="", online_url="") for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(registry.tables, spaces)) == [[]] * 6


def test_the_caller_may_have_tables_of_the_same_name_in_sqlmodel() -> None:
    import sqlmodel

    assert not sqlmodel.SQLModel.metadata.tables.keys() & schema.MAPPERS.metadata.tables.keys()


def test_foreign_keys_hold(any_ws: Workspace) -> None:
    registry.migrate_schema(any_ws)
    with pytest.raises(Conflict), engine.writing(any_ws) as session:
        session.execute(text("INSERT INTO model_alias (model, alias, version) VALUES ('none', 'champion', 1)"))
