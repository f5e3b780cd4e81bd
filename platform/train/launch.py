"""The one place that calls Ray Train."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from ..core import TrainingFailed, Workspace, urls
from .compute import Resources
from .job import WAIT_POLICY, Fitted, Job, datasets, share_cores
from .output import captured
from .usage import measured

_ONE_WORKER = 0  # Ray Train's local mode: the loop runs in the calling process, without a worker group.


def launch(ws: Workspace, job: Job, resources: Resources, run: str) -> Fitted:
    """Train `job` on the cluster.

    One worker is a Ray task that runs Ray Train's local mode: it takes a warm process and starts within
    milliseconds. More are a Ray Train worker group, whose processes take seconds to start; a task leads it, so that
    Ctrl-C and the end of this process reach all of it.

    Raises:
        TrainingFailed: A worker or Ray Train itself failed; the message is the worker's.
        KeyboardInterrupt: Ctrl-C; the workers are stopped.
    """
    import ray

    alone = resources.workers == 1 or not job.trainer.loop.group
    reference = _alone(job, resources, run) if alone else _group(ws, job, resources, run)
    try:
        found: Fitted = ray.get(reference)
    except KeyboardInterrupt:
        ray.cancel(reference, force=True)
        raise
    except ray.exceptions.RayTaskError as error:
        reason = str(error.cause) if isinstance(error.cause, TrainingFailed) else f"worker 0: {_name(error.cause)}"
        raise TrainingFailed(f"run {run} failed: {reason}") from error
    except ray.exceptions.RayError as error:
        raise TrainingFailed(f"run {run} failed: its worker died: {str(error).splitlines()[0]}") from error
    return found


def train_worker(config: dict[str, Any]) -> Fitted:
    """Ray Train's loop on each worker; the first of a group reports the model as a checkpoint."""
    import ray.train

    job: Job = config["job"]
    fitted = _loop(job)
    if job.workers == 1:
        return fitted
    if ray.train.get_context().get_world_rank() != 0:
        ray.train.report({}, checkpoint=None)
        return fitted
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / fitted.file).write_bytes(fitted.content)
        facts = {each.name: getattr(fitted, each.name) for each in fields(fitted) if each.name != "content"}
        # Without a checkpoint Ray Train drops the metrics as well.
        ray.train.report(facts, checkpoint=ray.train.Checkpoint.from_directory(folder))
    return fitted


def _loop(job: Job) -> Fitted:
    # Imported in the worker only: the driver needs neither torch nor Lightning.
    with measured() as usage, captured() as output:
        found: Fitted = job.trainer.loop.function()(job)
    return replace(found, usage=usage.figures, output=output.text)


def _alone(job: Job, resources: Resources, run: str) -> Any:
    import ray

    options: dict[str, Any] = {"num_cpus": resources.cpus, "num_gpus": resources.gpus, "memory": resources.memory}
    return ray.remote(max_retries=0, **options)(_local).options(name=f"fit-{run}").remote(job)


def _local(job: Job) -> Fitted:
    share_cores()
    if not job.trainer.loop.group:
        return _loop(job)
    import ray.train

    scaling = ray.train.ScalingConfig(num_workers=_ONE_WORKER, use_gpu=job.gpu)
    found: Fitted = _trainer(job, scaling_config=scaling).fit().return_value
    return found


def _group(ws: Workspace, job: Job, resources: Resources, run: str) -> Any:
    import ray

    # Ray Train asks Ray's state API about its own controller. Without an address that API follows the file that
    # the machine's last `ray start` left behind, and a dead cluster there stalls every fit for half a minute.
    environment = {"RAY_API_SERVER_ADDRESS": ray.get_runtime_context().gcs_address}
    task = ray.remote(max_retries=0, num_cpus=0, runtime_env={"env_vars": environment})(_lead)
    return task.options(name=f"fit-{run}").remote(ws, job, resources, run)


def _lead(ws: Workspace, job: Job, resources: Resources, run: str) -> Fitted:
    """The task that starts a worker group and waits for it."""
    import ray.train

    api: Any = ray.train
    filesystem, path = urls.filesystem(ws.runs_url)
    filesystem.create_dir(path, recursive=True)
    config = api.RunConfig(
        # A reused name would merge old checkpoints into this run.
        name=f"fit-{run}",
        storage_path=path,
        storage_filesystem=filesystem,
        worker_runtime_env={"env_vars": dict([WAIT_POLICY])},
        logging_config=api.LoggingConfig(log_level="ERROR"),
    )
    scaling = ray.train.ScalingConfig(
        num_workers=resources.workers, use_gpu=resources.gpus > 0, resources_per_worker=resources.bundle
    )
    trainer = _trainer(
        job, scaling_config=scaling, run_config=config, datasets=datasets(job), dataset_config=_data_config()
    )
    try:
        return _fitted(trainer.fit(), run)
    except ray.train.TrainingFailedError as error:
        raise TrainingFailed(_reason(error)) from None
    finally:
        _remove(filesystem, f"{path}/fit-{run}")


def _trainer(job: Job, **options: Any) -> Any:
    return job.trainer.loop.group_trainer()(train_worker, train_loop_config={"job": job}, **options)


def _fitted(result: Any, run: str) -> Fitted:
    if result.checkpoint is None or result.metrics is None:
        raise TrainingFailed(f"run {run} ended without a model: no worker reported a checkpoint")
    facts = dict(result.metrics)
    with result.checkpoint.as_directory() as folder:
        content = (Path(folder) / facts["file"]).read_bytes()
    return Fitted(content=content, **facts)


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
    return f"worker {rank}: {_name(cause)}"


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _remove(filesystem: pafs.FileSystem, path: str) -> None:
    if filesystem.get_file_info(path).type == pafs.FileType.Directory:
        filesystem.delete_dir(path)
