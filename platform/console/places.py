"""Which workspace a request is about: by path prefix, by MLflow's header, else the default one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.types import Scope

from ..core import ConfigError, Workspace, check_name
from .refusal import Refusal

PREFIX = "/w/"
HEADER = b"x-mlflow-workspace"
_ODD = re.compile(r"[\x00-\x1f\x7f%\\]|/\.\.?(?:/|$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Places:
    """The workspaces of one server.

    Attributes:
        workspaces: By the name in URLs.
        default: The name that requests mean which name none.

    Raises:
        ConfigError: There is none, or the default is not among them.
        InvalidName: A name breaks the naming rule.

    Example:
        >>> ws = Workspace("/lake", "sqlite:////lake/registry.db", "lmdb:/lake/online")
        >>> Places({"prod": ws}, "prod").find({"path": "/w/prod/api", "root_path": ""}, None)[0]
        'prod'
    """

    workspaces: Mapping[str, Workspace]
    default: str

    def __post_init__(self) -> None:
        for name in self.workspaces:
            check_name(name, "workspace name")
        if self.default not in self.workspaces:
            known = ", ".join(self.workspaces) or "none"
            raise ConfigError(f"workspace {self.default!r} is not one of this server's: {known}")

    def find(self, scope: Scope, header: bytes | None) -> tuple[str, str]:
        """The name of the request's workspace (which may be unknown), and the path inside it.

        The prefix moves from the path to the scope's ``root_path``, so that routes do not see it.

        Raises:
            Refusal: Path and header name different workspaces.
        """
        path, root = _relative(scope)
        named = header.decode("latin-1").strip() if header else ""
        if path.startswith(PREFIX):
            name, _, rest = path[len(PREFIX) :].partition("/")
            if named and named != name:
                raise Refusal(400, "BadWorkspace", f"the path names workspace {name!r:.200}, the header another one")
            root, path = f"{root}{PREFIX}{name}", f"/{rest}"
        else:
            name = named or self.default
        scope["root_path"], scope["path"] = root, root + path
        return name, path


def check_path(path: str) -> None:
    """Refuse a path that tries to leave where it points: dot segments, however often encoded, and control characters.

    Raises:
        Refusal: 400.

    Example:
        >>> check_path("/api/2.0/mlflow/runs/get"), check_path("/artifacts/100%25/v1..2")
        (None, None)
        >>> check_path("/artifacts/%252e%252e/secret")
        Traceback (most recent call last):
        ...
        raylake.console.refusal.Refusal: the path has a segment '..' or a control character
    """
    if _ODD.search(path) is None:
        return
    for _ in range(4):
        segments = path.replace("\\", "/").split("/")
        if _CONTROL.search(path) or ".." in segments or "." in segments:
            raise Refusal(400, "BadPath", "the path has a segment '..' or a control character")
        decoded = unquote(path)
        if decoded == path:
            return
        path = decoded
    raise Refusal(400, "BadPath", "the path is encoded too often")


def _relative(scope: Scope) -> tuple[str, str]:
    """Path below the mount point, and the mount point; servers differ in whether the path contains it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return path or "/", root
