"""`raylake train ...` and `raylake tune ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import JsonOption, WorkspaceOption, load_object, open_workspace, print_json, show

train_group = typer.Typer(no_args_is_help=True)
tune_group = typer.Typer(no_args_is_help=True)
SpecArgument = Annotated[str, typer.Argument(help="package.module:function; called with the workspace, returns a Spec")]


@train_group.command()
def fit(
    spec: SpecArgument,
    register: Annotated[str, typer.Option(help="Register the model under this name")] = "",
    alias: Annotated[str, typer.Option(help="Alias to set, such as champion")] = "",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Fit a model; optionally register it."""
    from .. import registry, train

    ws = open_workspace(workspace)
    run = train.fit(ws, load_object(spec)(ws))
    if register:
        version = registry.register(ws, run, name=register, alias=alias or None)
        show([version], ("name", "version", "metrics", "aliases"), as_json=json, title="models")
        return
    show([run], ("id", "kind", "name", "status", "metrics"), as_json=json, title="runs")


@tune_group.command()
def search(
    spec: SpecArgument,
    space: Annotated[str, typer.Argument(help="package.module:space, a mapping of parameter names to ranges")],
    trials: Annotated[int, typer.Option(min=1)] = 20,
    metric: str = "auc",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Search hyper-parameters and fit the best."""
    from .. import tune

    ws = open_workspace(workspace)
    study = tune.search(ws, load_object(spec)(ws), load_object(space), metric=metric, trials=trials)
    if json:
        print_json(study)
        return
    show(study.trials, ("id", "status", "params", "metrics"), as_json=False, title="trials")
    typer.echo(f"best: {study.best_params} as run {study.best_run.id}")
