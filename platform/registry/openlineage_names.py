"""How vertices of the lineage graph are named in OpenLineage, and back.

Ours: namespace ``raylake://<workspace>``, name ``kind:name``, the version in the standard version facet. Of others: a
node of kind ``dataset`` named ``<namespace> <name>``; a dataset that is one of our own tables by its place in storage
(a Spark job that reads ``file:/lake/tables/main/flights``) is that table. Runs are ``run:<id>``, 32 hexadecimal digits
of the OpenLineage run id.

Source: https://openlineage.io/spec/2-0-2/OpenLineage.json and its naming conventions.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from ..core import DataError, InvalidName, Node, Ref, Workspace
from ..core.refs import table_node

SCHEME = "raylake://"
SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
FACETS = "https://openlineage.io/spec/facets/"
NODE_FACET = "raylake_node"  # the exact name of a run whose id is no UUID
COLUMNS_FACET = "raylake_columns"  # column edges with versions, which the standard facet has no place for


def producer() -> str:
    """What made our events."""
    return f"urn:raylake:{version('raylake')}"


def facet(schema: str, **content: Any) -> dict[str, Any]:
    """A facet with what every facet carries."""
    return {"_producer": producer(), "_schemaURL": schema, **content}


def dataset_name(ws: Workspace, node: Node) -> tuple[str, str]:
    """Namespace and name of a node.

    Example:
        >>> ws = Workspace("/lake", "sqlite:////lake/registry.db", "lmdb:/lake/online")
        >>> dataset_name(ws, Node("table", "main.flights", "3"))
        ('raylake://default', 'table:main.flights')
    """
    if node.kind == "dataset":
        namespace, _, name = node.name.replace("%40", "@").partition(" ")
        # Only what comes back as the same node: a name that somebody made up may look like anything.
        foreign = namespace and name and not namespace.startswith(SCHEME)
        if foreign and dataset_node(ws, namespace, name) == Node("dataset", node.name):
            return namespace, name
    return f"{SCHEME}{ws.name}", f"{node.kind}:{node.name}"


def dataset_node(ws: Workspace, namespace: str, name: str, pinned: str = "") -> Node:
    """The node of a dataset.

    Example:
        >>> ws = Workspace("/lake", "sqlite:////lake/registry.db", "lmdb:/lake/online")
        >>> str(dataset_node(ws, "raylake://default", "table:main.flights", "3"))
        'table:main.flights@3'
        >>> str(dataset_node(ws, "file", "/lake/tables/main/flights"))
        'table:main.flights'
        >>> str(dataset_node(ws, "postgres://db:5432", "shop.orders"))
        'dataset:postgres://db:5432 shop.orders'
    """
    marked = pinned.replace("@", "%40")
    if namespace.startswith(SCHEME):
        kind, colon, rest = name.partition(":")
        if not colon:
            raise DataError(
                f"dataset {name!r} of {namespace!r} is not valid: use kind:name, such as table:main.flights"
            )
        return Node(kind, rest, marked)
    own = _own_table(ws, namespace, name)
    if own is not None:
        return Node(own.kind, own.name, marked)
    return Node("dataset", f"{namespace} {name}".replace("@", "%40"), marked)


def run_id(node: Node) -> str:
    """The OpenLineage run id of a run's node; one that is no UUID gets a name-based one."""
    try:
        return str(UUID(hex=node.name))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"raylake:{node}"))


def run_node(run: Mapping[str, Any]) -> Node:
    """The node of an event's run.

    Raises:
        DataError: The run id is no UUID.
    """
    facets = run.get("facets")
    named = facets.get(NODE_FACET) if isinstance(facets, Mapping) else None
    if isinstance(named, Mapping) and isinstance(named.get("name"), str):
        return Node("run", str(named["name"]), str(named.get("version", "")))
    try:
        return Node("run", UUID(str(run.get("runId"))).hex)
    except ValueError as error:
        raise DataError(f"run.runId {run.get('runId')!r:.100} is not valid: use a UUID") from error


def _own_table(ws: Workspace, namespace: str, name: str) -> Node | None:
    place = name if namespace == "file" else f"{namespace.rstrip('/')}/{name.lstrip('/')}"
    folder = f"{ws.root.rstrip('/')}/tables/"
    parts = place.removeprefix(folder).strip("/").split("/")
    if not place.startswith(folder) or len(parts) != 2:
        return None
    try:
        return table_node(Ref(parts[1], namespace=parts[0]))
    except InvalidName:
        return None
