"""`raylake features ...`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import JsonOption, WorkspaceOption, existing_workspace, load_object, open_workspace, print_json, show

if TYPE_CHECKING:
    from ..core import Workspace

group = typer.Typer(no_args_is_help=True)
ViewArgument = Annotated[str, typer.Argument(help="package.module:view")]
ViewsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="package.module:view, names of views that are online, or weather@2; default: all that are online"
    ),
]


@group.command()
def build(view: ViewArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Compute a feature view from its table into `features.<view>`."""
    from .. import features

    version = features.build_view(open_workspace(workspace), load_object(view))
    show([version], ("name", "version", "rows", "operation"), as_json=json, title="tables")


@group.command()
def materialise(
    view: Annotated[str, typer.Argument(help="package.module:view, or the name of a registered one, weather@2")],
    until: Annotated[datetime | None, typer.Option(help="UTC; default: everything known")] = None,
    keep: Annotated[str | None, typer.Option(help="Keep values for so long after their event time, e.g. 90d")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Fill the online store with the latest values of a view or feature set."""
    from datetime import UTC

    from .. import features

    moment = until.replace(tzinfo=UTC) if until else None
    wanted = load_object(view) if ":" in view else view
    rows = features.materialise(open_workspace(workspace), wanted, until=moment, keep=keep)
    if json:
        print_json({"rows": rows})
        return
    typer.echo(f"{rows} values written")


@group.command()
def refresh(views: ViewsArgument = None, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Bring online what changed since the last time, deletions too."""
    from .. import features

    ws = open_workspace(workspace)
    done = features.refresh(ws, _views(ws, views) if views else None)
    show(done, ("view", "version", "source", "how", "written", "removed"), as_json=json, title="views online")


@group.command()
def follow(
    views: ViewsArgument = None,
    every: Annotated[str, typer.Option(help="Pause between two looks")] = "100ms",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Keep views online: refresh them whenever their tables get a new version. Ends with Ctrl-C."""
    from .. import features

    ws = open_workspace(workspace)
    try:
        features.keep_online(ws, _views(ws, views) if views else None, every=every)
    except KeyboardInterrupt:
        if json:
            print_json({"ended": True})
        else:
            typer.echo("ended; the next one goes on from here")


@group.command()
def get(
    view: Annotated[str, typer.Argument(help="Name of a view that is online, or package.module:view")],
    keys: Annotated[list[str], typer.Argument(help="Entity keys, e.g. origin=EWR")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Show what the online store holds for an entity."""
    from .. import features

    ws = open_workspace(workspace)
    (wanted,) = _views(ws, [view])
    with features.open_online(ws) as store:
        (found,) = features.LookUp(store, wanted).find(_keys(wanted, keys))
    values = dict(zip(wanted.feature_columns, found.values, strict=True))
    if json:
        print_json({"view": found.view, "status": found.status, "event_time": found.event_time, "values": values})
        return
    when = f", of {found.event_time:%Y-%m-%d %H:%M:%S} UTC" if found.event_time else ""
    typer.echo(f"{found.view}: {found.status}{when}")
    show([{"feature": k, "value": v} for k, v in values.items()], ("feature", "value"), as_json=False, title="features")


@group.command()
def freshness(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """How far each view that is online is behind its tables."""
    from .. import features

    found = features.freshness(existing_workspace(workspace))
    rows: list[Any] = [
        {
            "view": each.view,
            "version": each.version,
            "tables": list(each.tables),
            "behind": each.behind,
            "lag_seconds": each.lag.total_seconds(),
            "newest_event": each.newest_event,
            "keep_seconds": None if each.keep is None else each.keep.total_seconds(),
        }
        for each in found
    ]
    show(
        rows, ("view", "version", "tables", "behind", "lag_seconds", "newest_event"), as_json=json, title="views online"
    )


@group.command()
def retention(
    view: Annotated[str, typer.Argument(help="Name of a view that is online")],
    keep: Annotated[str, typer.Argument(help="How long after their event time values stay, e.g. 90d; or `declared`")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Keep the online values of a view for another time than its declared retention."""
    from .. import features

    features.set_online_retention(existing_workspace(workspace), view, None if keep == "declared" else keep)
    if json:
        print_json({"view": view, "keep": keep})
    else:
        typer.echo(f"{view}: kept {'as declared' if keep == 'declared' else f'for {keep}'}")


@group.command("clean-up")
def clean_up(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Remove online values that are older than their view keeps."""
    from .. import features

    removed = features.clean_up_online(existing_workspace(workspace))
    rows = [{"view": view, "removed": count} for view, count in removed.items()]
    show(rows, ("view", "removed"), as_json=json, title="views with a retention")


def _views(ws: Workspace, names: list[str]) -> list[Any]:
    from .. import features, registry

    found: list[Any] = []
    for name in names:
        if ":" in name:
            made = load_object(name)
            found += made.views if isinstance(made, features.FeatureSet) else [made]
        elif "@" in name:
            found.append(features.find_view(ws, name))
        else:  # the one that was materialised last: a newer one may be registered only
            found.append(features.online_view(registry.online_definition(ws, "view", name)))
    return found


def _keys(view: Any, given: list[str]) -> dict[str, str | int]:
    """``origin=EWR`` with the types that the view's entity declares."""
    from ..core import ConfigError

    types = dict(zip(view.entity.keys, view.entity.key_types, strict=True))
    found: dict[str, str | int] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in types:
            raise ConfigError(f"{text!r} names no key of {view.name!r}: use {' '.join(f'{key}=...' for key in types)}")
        if types[name] != "int64":
            found[name] = value
            continue
        try:
            found[name] = int(value)
        except ValueError as error:
            raise ConfigError(f"key {name!r} of {view.name!r} is a whole number, not {value!r}") from error
    return found
