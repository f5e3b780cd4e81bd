"""The one place that calls Ray Train."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from ..core import TrainingFailed, Workspace, urls
from .compute import Resources
from .job import Job, datasets
from .recorded import interruptible
from .trainers import XGBoost


def launch(ws: Workspace, job: Job, resources: Resources, run: str, folder: Path) -> dict[str, Any]:
    """Train `job` on Ray workers; the model file is put into `folder`.

    Returns:
        What the first worker reported: ``load_seconds``, ``train_seconds``, ``rounds``, ``history``.

    Raises:
        TrainingFailed: A worker or Ray Train itself failed; the message is the worker's.
        KeyboardInterrupt: Ctrl-C.
    """
    import ray.train

    filesystem, path = urls.filesystem(ws.runs_url)
    filesystem.create_dir(path, recursive=True)
    config = ray.train.RunConfig(
        # A reused name would merge old checkpoints into this run.
        name=f"fit-{run}",
        storage_path=path,
        storage_filesystem=filesystem,
        logging_config=ray.train.LoggingConfig(log_level="ERROR"),
    )
    try:
        with interruptible():
            result = _trainer(job, resources, config).fit()
        if result.checkpoint is None or result.metrics is None:
            raise TrainingFailed(f"run {run} ended without a model: no worker reported a checkpoint")
        with result.checkpoint.as_directory() as found:
            shutil.copytree(found, folder)
        return dict(result.metrics)
    except ray.train.TrainingFailedError as error:
        raise TrainingFailed(f"run {run} failed: {_reason(error)}") from error
    finally:
        _remove(filesystem, f"{path}/fit-{run}")


def _trainer(job: Job, resources: Resources, config: Any) -> Any:
    import ray.train

    scaling = ray.train.ScalingConfig(
        num_workers=resources.workers, use_gpu=resources.gpus > 0, resources_per_worker=resources.bundle
    )
    options: dict[str, Any] = {
        "train_loop_config": {"job": job},
        "scaling_config": scaling,
        "run_config": config,
        "datasets": datasets(job),
        "dataset_config": _data_config(),
    }
    if isinstance(job.trainer, XGBoost):
        from ray.train.xgboost import XGBoostTrainer

        return XGBoostTrainer(_loop_xgboost(), **options)
    from ray.train.torch import TorchTrainer

    return TorchTrainer(_loop_torch, **options)


def _loop_xgboost() -> Callable[[dict[str, Any]], None]:
    from .xgboost_loop import train_xgboost

    return train_xgboost


def _loop_torch(config: dict[str, Any]) -> None:
    # Imported in the worker only: the driver needs neither torch nor Lightning.
    from .torch_loop import train_torch

    train_torch(config)


def _data_config() -> Any:
    import ray.train
    from ray.data import DataContext

    # In order, so that the same rows reach the same worker in each run.
    options = copy.copy(DataContext.get_current().execution_options)
    options.preserve_order = True
    return ray.train.DataConfig(execution_options=options)


def _reason(error: Any) -> str:
    failures = getattr(error, "worker_failures", None)
    if not failures:
        return str(error)
    rank, failure = sorted(failures.items())[0]
    cause = getattr(failure, "_base_exc", failure)
    return f"worker {rank}: {type(cause).__name__}: {cause}"


def _remove(filesystem: pafs.FileSystem, path: str) -> None:
    if filesystem.get_file_info(path).type == pafs.FileType.Directory:
        filesystem.delete_dir(path)
