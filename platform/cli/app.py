"""The root command, its groups, and the one place where errors become exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from rich.console import Console

from ..core import RaylakeError
from . import (
    backup,
    cluster,
    data,
    demo_command,
    features,
    lineage,
    monitor,
    pipelines,
    registry,
    serve,
    server,
    sources,
    token,
    train,
)

# What typer returns after Ctrl-C: 128 + SIGINT, as a shell does.
INTERRUPTED = 130

app = typer.Typer(
    name="raylake",
    help="Ray-native MLOps: from raw data to a served, monitored, self-retraining model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo_command.demo)
app.command("up")(cluster.up)
app.command("down")(cluster.down)
app.command("status")(cluster.status)
app.command("server")(server.server)
app.command("audit")(token.audit)
app.add_typer(token.group, name="token", help="API tokens of the server: create, list, revoke")
for command in (
    *(lineage.runs, lineage.models, lineage.tables, lineage.lineage),
    *(lineage.compare, lineage.trace, lineage.card),
):
    app.command(command.__name__)(command)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(
    data.group, name="data", help="Tables: ingest, query, profile, check, describe, change, restore, clean up"
)
app.add_typer(sources.group, name="source", help="Configure and run sources: add, pause, resume, remove, discover")
app.add_typer(features.group, name="features", help="Build feature views, fill the online store")
app.add_typer(train.train_group, name="train", help="Fit models")
app.add_typer(train.tune_group, name="tune", help="Search hyper-parameters")
app.add_typer(pipelines.group, name="pipeline", help="Run, resume, schedule and draw pipelines")
app.add_typer(registry.group, name="registry", help="Aliases of models, events")
app.add_typer(serve.group, name="serve", help="Deploy and list endpoints")
app.add_typer(monitor.group, name="monitor", help="Drift reports and alerts")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    Exit codes: 0 done, 1 an error that raylake explains, 2 wrong usage, 130 interrupted.

    Example:
        >>> main(["runs", "--workspace", "/dev/null/x"])
        1
    """
    command = typer.main.get_command(app)
    errors = Console(stderr=True, soft_wrap=True)
    try:
        given = None if arguments is None else list(arguments)
        code = command.main(args=given, prog_name="raylake", standalone_mode=False)
    except RaylakeError as error:
        errors.print(f"[red]{type(error).__name__}[/red]: ", end="")
        errors.print(str(error), markup=False, highlight=False)
        return 1
    except typer.TyperException as error:
        _show_usage(error)
        return 2
    except typer.Abort:
        code = INTERRUPTED
    if code == INTERRUPTED:
        errors.print("interrupted; run the same command again to continue")
    return code if isinstance(code, int) else 0


def _show_usage(error: typer.TyperException) -> None:
    """Let typer explain wrong usage in its own format."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()


if __name__ == "__main__":
    sys.exit(main())
