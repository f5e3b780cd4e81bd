"""What the nouns share on the way into the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from ..core import Node
from .schema import Row

LARGEST = 2**63 - 1  # what a column for versions holds


def insert_new(session: Session, row: type[Row], values: list[dict[str, Any]]) -> None:
    """Insert the rows that do not exist yet; the others stay as they are."""
    if not values:
        return
    if session.get_bind().dialect.name == "sqlite":
        session.execute(sqlite.insert(row).on_conflict_do_nothing(), values)
    else:
        session.execute(postgresql.insert(row).on_conflict_do_nothing(), values)


def upsert(session: Session, row: type[Row], values: list[dict[str, Any]], key: list[str], changed: list[str]) -> None:
    """Insert rows; where the key exists, replace the columns `changed`."""
    if not values:
        return
    for dialect in (sqlite, postgresql):
        if session.get_bind().dialect.name == dialect.base.dialect.name:
            statement = dialect.insert(row)
            replaced: Mapping[str, Any] = {name: statement.excluded[name] for name in changed}
            session.execute(statement.on_conflict_do_update(index_elements=key, set_=replaced), values)


def texts(nodes: Iterable[Node]) -> list[str]:
    """Nodes as text, each once, in their order."""
    return list(dict.fromkeys(str(node) for node in nodes))


def parsed(nodes: Iterable[str]) -> tuple[Node, ...]:
    """The nodes back from their text."""
    return tuple(Node.parse(text) for text in nodes)


def listed(names: Iterable[object], *, most: int = 20) -> str:
    """What exists, for a message: sorted, shortened.

    Example:
        >>> listed(["b", "a"]), listed([])
        ('a, b', 'none')
    """
    found = sorted({str(name) for name in names})
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) or "none") + more
