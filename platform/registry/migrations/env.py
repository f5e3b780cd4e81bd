"""Alembic's entry point. The caller passes a connection, already in the migration's transaction."""

from alembic import context

from raylake.registry.migrate import VERSION_TABLE
from raylake.registry.schema import MAPPERS

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=MAPPERS.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    transactional_ddl=False,  # the caller owns the transaction, on SQLite too
)
context.run_migrations()
