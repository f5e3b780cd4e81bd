"""What a rule refers to, looked up once before rows are checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pyarrow.compute as pc

from ...core import Node, Ref, Workspace, table_node
from .rules import Expectation


def bind(ws: Workspace, rules: Iterable[Expectation]) -> tuple[tuple[Expectation, ...], tuple[Node, ...]]:
    """The rules, each with what it refers to; and the table versions that were read for them.

    Raises:
        NotFound: A table that a rule refers to does not exist.
        SchemaMismatch: It has no such column.
    """
    bound, read = [], []
    for rule in rules:
        if rule.rule == "refers_to":
            rule, node = _bind_reference(ws, rule)
            read.append(node)
        bound.append(rule)
    return tuple(bound), tuple(read)


def _bind_reference(ws: Workspace, rule: Expectation) -> tuple[Expectation, Node]:
    from ..delta_log import require
    from ..read import table

    text, key = rule.arguments
    ref = Ref.parse(text)
    pinned = ref if ref.version is not None else ref.at(require(ws, ref).version())
    values = pc.drop_null(table(ws, pinned, columns=[key]).column(key).combine_chunks().unique())
    return replace(rule, known=values), table_node(pinned)
