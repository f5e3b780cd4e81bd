"""The base of the rows: one metadata of our own, and how its constraints are named."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# A registry of our own: the caller's SQLModel classes may use the same names.
MAPPERS = registry(metadata=MetaData(naming_convention=NAMING))


class Row(SQLModel, registry=MAPPERS):
    """Base of the rows."""
