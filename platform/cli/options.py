"""What every command shares: the workspace option, the JSON option, and how records are shown."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core import ConfigError, Workspace

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", help="Storage root; default: raylake.toml, RAYLAKE_ROOT, then ./.raylake"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]

_NARROW = frozenset({"kind", "status", "severity", "version", "rows", "operation", "created_at"})
_MOST = 3


def open_workspace(root: Path | None) -> Workspace:
    """The workspace that the option names, or the default one."""
    return Workspace.open(root)


def existing_workspace(root: Path | None) -> Workspace:
    """As `open_workspace`, for commands that only look: a mistyped folder is an error, not a new workspace.

    Raises:
        ConfigError: There is no workspace.
    """
    ws = Workspace.open(root, create=False)
    file = ws.registry_url.removeprefix("sqlite:///")
    if file != ws.registry_url and not Path(file).is_file() and not (Path(ws.root) / "tables").is_dir():
        raise ConfigError(
            f"there is no workspace in {ws.root}: its registry {file} does not exist. Check --workspace, raylake.toml "
            "and RAYLAKE_ROOT; the first command that writes makes one: `raylake data ingest`, `raylake server`, ..."
        )
    return ws


def plain(value: Any) -> Any:
    """A JSON-able copy of a record; timestamps as ISO 8601, references as text."""
    if is_dataclass(value) and not isinstance(value, type):
        if type(value).__name__ in ("Node", "Ref"):
            return str(value)
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and value != value:
        return None
    return value


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(orjson.dumps(plain(value), option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def show(records: Iterable[Any], columns: Sequence[str], *, as_json: bool, title: str = "") -> None:
    """Print records as a table of `columns` (ids and long values shortened), or all their fields in full as JSON."""
    rows = [*records]
    if as_json:
        print_json(rows)
        return
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        # What does not fit is folded, never cut off: a cut id could not be copied.
        table.add_column(column, overflow="fold", no_wrap=column in _NARROW)
    for row in map(_shallow, rows):
        # Names may hold what rich would take for its own markup.
        table.add_row(*(escape(_cell(row.get(column))) for column in columns))
    Console().print(table if rows else f"no {title or 'records'} yet")


def _shallow(record: Any) -> Mapping[str, Any]:
    """The fields of a record, not yet made plain."""
    return record if isinstance(record, Mapping) else {f.name: getattr(record, f.name) for f in fields(record)}


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value[:6])
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        rest = [f"... and {len(value) - _MOST} more"] if len(value) > _MOST else []
        return "\n".join([*(f"{key}={_cell(item)}" for key, item in list(value.items())[:_MOST]), *rest])
    return str(value)


def load_object(path: str) -> Any:
    """Import ``package.module:name``, also from the current folder.

    Raises:
        ConfigError: The text has another form, or nothing is found there.
    """
    module, colon, name = path.partition(":")
    if not colon or not name:
        raise ConfigError(f"{path!r} names no object: use package.module:name")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"no module {error.name!r}: run from the folder that holds it, or install it") from error
    if not hasattr(loaded, name):
        near = get_close_matches(name, [each for each in vars(loaded) if not each.startswith("_")], 1)
        raise ConfigError(f"module {module!r} has no {name!r}" + (f": did you mean {near[0]!r}?" if near else ""))
    return getattr(loaded, name)
