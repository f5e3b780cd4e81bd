"""Tracking: experiments, runs and what is logged to them."""

from .experiments import (
    create_experiment,
    delete_experiment,
    delete_experiment_tag,
    experiment,
    rename_experiment,
    restore_experiment,
    set_experiment_tags,
)
from .ingest import MetricWriter
from .inputs import log_inputs
from .metrics import delete_tag, log_metrics, log_params, measurements, metric_history, set_tags
from .purge import purge_deleted, purge_run
from .runs import delete_run, finish_run, reopen_run, restore_run, run, runs, start_run, trials
from .search import search_experiments, search_runs
from .values import Dataset, Experiment, Measurement, ModelLink, Page, RunView

__all__ = [
    "Dataset",
    "Experiment",
    "Measurement",
    "MetricWriter",
    "ModelLink",
    "Page",
    "RunView",
    "create_experiment",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "experiment",
    "finish_run",
    "log_inputs",
    "log_metrics",
    "log_params",
    "measurements",
    "metric_history",
    "purge_deleted",
    "purge_run",
    "rename_experiment",
    "reopen_run",
    "restore_experiment",
    "restore_run",
    "run",
    "runs",
    "search_experiments",
    "search_runs",
    "set_experiment_tags",
    "set_tags",
    "start_run",
    "trials",
]
