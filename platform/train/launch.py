"""The one place that calls Ray Train."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ..core import StorageError, TrainingFailed, Workspace, urls
from .checkpoint_store import CheckpointStore
from .compute import Resources
from .job import WAIT_POLICY, Fitted, Job, rank_and_workers, share_cores
from .live import logging_to
from .resume import discard_checkpoints
from .trainers import Lightning, XGBoost

_ONE_WORKER = 0  # Ray Train's local mode: the loop runs in the calling process, without a worker group.
_CUT = ("Connection closed by peer", "Connection reset by peer", "Connection refused", "Broken pipe")
_GROUP_SECONDS = 10.0  # how often an elastic group looks for room to grow


def launch(ws: Workspace, job: Job, resources: Resources, run: str) -> Fitted:
    """Train `job` on the cluster.

    One worker is a Ray task that runs Ray Train's local mode: it takes a warm process and starts within
    milliseconds. More are a Ray Train worker group, whose processes take seconds to start; a task leads it, so that
    Ctrl-C and the end of this process reach all of it. When a worker, a node or the leading task is lost, training
    goes on from the newest checkpoint, as often as `job.checkpoints` says.

    Raises:
        TrainingFailed: A worker or Ray Train itself failed; the message is the worker's.
        KeyboardInterrupt: Ctrl-C; the workers are stopped.
    """
    for left in range(job.checkpoints.retries, -1, -1):
        try:
            return _once(ws, job, resources, run)
        except WorkerLost as lost:
            if not left:
                raise TrainingFailed(f"run {run} failed: {lost}{_hint(ws, run)}") from lost.__cause__
        except BaseException:
            _tidy(ws, run)
            raise
    raise AssertionError("unreachable")


class WorkerLost(TrainingFailed):
    """A process or node of a fit is gone, through no fault of the Spec: worth another try."""


def _once(ws: Workspace, job: Job, resources: Resources, run: str) -> Fitted:
    import ray

    reference = _alone(job, resources, run) if resources.alone else _group(ws, job, resources, run)
    try:
        found: Fitted = ray.get(reference)
    except KeyboardInterrupt:
        ray.cancel(reference, force=True)
        raise
    except ray.exceptions.OutOfMemoryError as error:
        raise TrainingFailed(
            f"run {run} failed: Ray ended its worker because the node ran out of memory: use more workers, a smaller "
            f"batch_size, or reserve memory by Compute(memory=...){_hint(ws, run)}"
        ) from error
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, WorkerLost):
            raise error.cause from error
        reason = str(error.cause) if isinstance(error.cause, TrainingFailed) else f"worker 0: {_name(error.cause)}"
        raise TrainingFailed(f"run {run} failed: {reason}{_hint(ws, run)}") from error
    except ray.exceptions.RayError as error:
        raise WorkerLost(f"its worker died: {str(error).splitlines()[0]}") from error
    return found


def train_worker(config: dict[str, Any]) -> Fitted:
    """Ray Train's loop on each worker; the first of a group reports the model as a checkpoint."""
    import ray.train

    job: Job = config["job"]
    rank, _ = rank_and_workers(job)
    with logging_to(job.ws, job.run, records=rank == 0):
        fitted = _loop(job)
    if job.alone:
        return fitted
    if rank != 0:
        ray.train.report({}, checkpoint=None)
        return fitted
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / fitted.file).write_bytes(fitted.content)
        facts = {name: getattr(fitted, name) for name in Fitted.__dataclass_fields__ if name != "content"}
        # Without a checkpoint Ray Train drops the metrics as well.
        ray.train.report(facts, checkpoint=ray.train.Checkpoint.from_directory(folder))
    return fitted


def _loop(job: Job) -> Fitted:
    # Imported in the worker only: the driver needs neither torch nor Lightning.
    if isinstance(job.trainer, XGBoost):
        from .xgboost_loop import train_xgboost

        return train_xgboost(job)
    if isinstance(job.trainer, Lightning):
        from .lightning_loop import train_lightning

        return train_lightning(job)
    from .torch_loop import train_torch

    return train_torch(job)


def _alone(job: Job, resources: Resources, run: str) -> Any:
    import ray

    options: dict[str, Any] = {
        "num_cpus": resources.cpus,
        "num_gpus": resources.gpus,
        "memory": resources.memory,
        "resources": dict(resources.custom),
    }
    return ray.remote(max_retries=0, **options)(_local).options(name=f"fit-{run}").remote(job)


def _local(job: Job) -> Fitted:
    share_cores()
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
    from uuid import uuid4

    import ray.train

    api: Any = ray.train
    filesystem, path = urls.writable_folder(urls.join(ws.runs_url, f"fit-{run}"))
    # A reused name would merge old checkpoints of Ray Train into this group.
    name = f"group-{uuid4().hex[:8]}"
    config = api.RunConfig(
        name=name,
        storage_path=path,
        storage_filesystem=filesystem,
        worker_runtime_env={"env_vars": dict([WAIT_POLICY])},
        # Ray Train would start a group again for a wrong parameter, too: `launch` knows the difference.
        failure_config=api.FailureConfig(max_failures=0),
        logging_config=api.LoggingConfig(log_level="ERROR"),
    )
    workers: Any = resources.workers if resources.most is None else (resources.workers, resources.most)
    scaling = api.ScalingConfig(
        num_workers=workers,
        use_gpu=resources.gpus > 0,
        resources_per_worker=resources.bundle,
        placement_strategy=resources.placement.upper().replace("-", "_"),
        elastic_resize_monitor_interval_s=_GROUP_SECONDS,
    )
    try:
        return _fitted(_trainer(job, scaling_config=scaling, run_config=config).fit(), run)
    except ray.train.TrainingFailedError as error:
        raise _translated(error) from None


def _trainer(job: Job, **options: Any) -> Any:
    loop: Any = train_worker
    if isinstance(job.trainer, XGBoost):
        from ray.train.xgboost import XGBoostTrainer

        return XGBoostTrainer(loop, train_loop_config={"job": job}, **options)
    from ray.train.torch import TorchTrainer

    return TorchTrainer(loop, train_loop_config={"job": job}, **options)


def _fitted(result: Any, run: str) -> Fitted:
    if result.checkpoint is None or result.metrics is None:
        raise TrainingFailed(f"run {run} ended without a model: no worker reported a checkpoint")
    facts = dict(result.metrics)
    with result.checkpoint.as_directory() as folder:
        content = (Path(folder) / facts["file"]).read_bytes()
    return Fitted(content=content, **facts)


def _translated(error: Any) -> TrainingFailed:
    import ray

    failures = getattr(error, "worker_failures", None) or {}
    causes = {rank: getattr(failure, "_base_exc", failure) for rank, failure in sorted(failures.items())}
    if not causes:
        return TrainingFailed(str(error))
    dead = [
        rank
        for rank, cause in causes.items()
        if isinstance(cause, ray.exceptions.RayError) or type(cause).__name__.startswith("WorkerHealthCheck")
    ]
    if dead:
        return WorkerLost(f"worker {dead[0]} died: {_death(causes[dead[0]])}")
    # A worker that lost its peer may say so before Ray notices that the peer is dead.
    cut = [rank for rank, cause in causes.items() if any(words in str(cause) for words in _CUT)]
    if len(cut) == len(causes):
        return WorkerLost(f"worker {cut[0]} lost its peers: {str(causes[cut[0]]).splitlines()[0]}")
    rank = next(rank for rank in causes if rank not in cut)
    return TrainingFailed(f"worker {rank}: {_name(causes[rank])}")


def _death(error: Exception) -> str:
    """The line that says why: Ray's own begins with a description of the worker."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in reversed(lines) if "died" in line), lines[0])


def _name(error: Exception) -> str:
    memory = isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "out of memory" in str(error)
    advice = ": the worker ran out of memory; use more workers or a smaller batch_size" if memory else ""
    return f"{type(error).__name__}: {error}{advice}"


def _hint(ws: Workspace, run: str) -> str:
    if CheckpointStore(ws, run).newest() is None:
        return ""
    return f". It can go on from its newest checkpoint: train.fit(ws, spec, resume={run!r})"


def _tidy(ws: Workspace, run: str) -> None:
    """Remove what a run left that has nothing to go on from."""
    try:
        if CheckpointStore(ws, run).newest() is None:
            discard_checkpoints(ws, run)
    except (OSError, StorageError):
        return  # the error that counts is on its way
