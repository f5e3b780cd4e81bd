"""Names and references: `flights`, `flights@3`, `flight-delay@champion`, `table:main.flights@3`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import InvalidName

DEFAULT_NAMESPACE = "main"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")


def check_name(name: str, what: str = "name") -> str:
    """Return `name` if it is a valid name, else raise.

    Names become folders, table names and URL segments, so they are checked wherever they enter.

    Args:
        name: One to 128 characters of ``[a-z0-9_-]``, starting with a letter or a digit.
        what: What the name is for; used in the message.

    Raises:
        InvalidName: The name breaks the rule.

    Example:
        >>> check_name("flight-delay")
        'flight-delay'
        >>> check_name("../x", "table name")
        Traceback (most recent call last):
        ...
        raylake.core.errors.InvalidName: table name '../x' is not valid: use 1 to 128 characters of a-z, 0-9, _ ...
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName(
            f"{what} {name!r} is not valid: use 1 to 128 characters of a-z, 0-9, _ and -, "
            "starting with a letter or a digit"
        )
    return name


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to a table or model: its name and, if pinned, a version or an alias.

    Attributes:
        name: The checked short name, such as ``flights``.
        version: A version number (0 or greater), or ``None``.
        alias: A movable pointer's name such as ``champion``, or ``None``. Never set together with `version`.
        namespace: For tables, the namespace (default ``main``); models and endpoints leave the default.
    """

    name: str
    version: int | None = None
    alias: str | None = None
    namespace: str = DEFAULT_NAMESPACE

    def __post_init__(self) -> None:
        check_name(self.name)
        check_name(self.namespace, "namespace")
        if self.alias is not None:
            check_name(self.alias, "alias")
        if self.version is not None and self.version < 0:
            raise InvalidName(f"version {self.version} of {self.name!r} is not valid: use 0 or a greater number")

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Parse ``[namespace.]name[@version|@alias]``.

        Raises:
            InvalidName: A part breaks the naming rule.

        Example:
            >>> Ref.parse("flights@3").version
            3
            >>> Ref.parse("flight-delay@champion").alias
            'champion'
            >>> Ref.parse("predictions.flight-delay").namespace
            'predictions'
            >>> str(Ref.parse("main.flights@3"))
            'flights@3'
        """
        if not isinstance(text, str):
            raise InvalidName(f"reference {text!r} is not valid: use text such as 'flights' or 'flights@3'")
        path, at, selector = text.partition("@")
        namespace, dot, name = path.rpartition(".")
        if not dot:
            namespace = DEFAULT_NAMESPACE
        if at and not selector:
            raise InvalidName(f"reference {text!r} is not valid: nothing stands after '@'; use name@3 or name@alias")
        if selector.isdecimal():
            return cls(name, version=int(selector), namespace=namespace)
        return cls(name, alias=selector or None, namespace=namespace)

    @property
    def qualified(self) -> str:
        """``namespace.name``, without version or alias."""
        return f"{self.namespace}.{self.name}"

    def at(self, version: int) -> Ref:
        """The same reference pinned to `version`."""
        return Ref(self.name, version=version, namespace=self.namespace)

    def __str__(self) -> str:
        name = self.name if self.namespace == DEFAULT_NAMESPACE else self.qualified
        selector = self.alias if self.version is None else str(self.version)
        return name if selector is None else f"{name}@{selector}"


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """A vertex of the lineage graph, written ``kind:name@version``.

    Attributes:
        kind: ``file``, ``table``, ``view``, ``feature-set``, ``training-set``, ``recipe``, ``run``,
            ``model``, ``endpoint`` or ``report``.
        name: Free text without ``@`` (a table's is always written with its namespace, ``main.flights``).
        version: The version as text; empty for things that have none.
    """

    kind: str
    name: str
    version: str = ""

    def __post_init__(self) -> None:
        check_name(self.kind, "kind of lineage node")
        if not self.name or "@" in self.version:
            raise InvalidName(
                f"lineage node {self.kind}:{self.name}@{self.version} is not valid: name it kind:name@version"
            )

    @classmethod
    def parse(cls, text: str) -> Node:
        """Parse ``kind:name@version``.

        Example:
            >>> Node.parse("table:main.flights@3")
            Node(kind='table', name='main.flights', version='3')
        """
        kind, colon, rest = text.partition(":")
        if not colon:
            raise InvalidName(
                f"lineage node {text!r} is not valid: use kind:name@version, such as table:main.flights@3"
            )
        name, at, version = rest.rpartition("@")
        return cls(kind, name, version) if at else cls(kind, rest)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}@{self.version}" if self.version else f"{self.kind}:{self.name}"


def table_node(ref: Ref | str, version: int | None = None) -> Node:
    """The lineage node of a table version.

    Example:
        >>> str(table_node("flights", 3))
        'table:main.flights@3'
    """
    ref = Ref.parse(ref) if isinstance(ref, str) else ref
    pinned = ref.version if version is None else version
    return Node("table", ref.qualified, "" if pinned is None else str(pinned))
