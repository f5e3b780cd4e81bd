"""Boosting on a Ray Train worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from ..core import TrainingFailed
from .checkpoint_store import CheckpointStore, Saved, Writer, newest_of
from .flavours import XGBOOST_FILE
from .job import Fitted, Job, rank_and_workers
from .live import log_if_training
from .prepared import Part, Reader, Rows, share
from .trainers import XGBoost

_MEASURES = {"binary": ("logloss", "auc"), "multiclass": ("mlogloss",), "regression": ("rmse",)}
_OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}
_POINTS = 200


def train_xgboost(job: Job) -> Fitted:
    """Read this worker's rows and boost, together with the other workers."""
    import xgboost

    trainer = job.trainer
    if not isinstance(trainer, XGBoost):
        raise TypeError(f"XGBoost loop got {type(trainer).__name__}")
    started = time.perf_counter()
    names, threads = job.matrix_columns, job.threads
    rank, workers = rank_and_workers(job)
    inputs = streamed(job.train, names, trainer, threads, rank, workers)
    evals = [(inputs, "train")]
    if job.valid is not None:
        evals = [(streamed(job.valid, names, trainer, threads, rank, workers, like=inputs), "valid")]
    loaded = time.perf_counter()
    found: dict[str, dict[str, list[float]]] = {}
    before = newest_of(job.ws, job.run, job.resumes)
    done = 0
    model = None
    if before is not None:
        done, model = before[0].number, xgboost.Booster()
        model.load_model(bytearray(before[1][XGBOOST_FILE]))
    watch = _watch(job, rank, done)
    booster = xgboost.train(
        parameters(trainer, job.task, seed=job.seed, threads=threads, gpu=job.gpu, classes=len(job.classes)),
        inputs,
        max(0, trainer.rounds - done),
        evals=evals,
        evals_result=found,
        early_stopping_rounds=trainer.early_stopping if job.valid is not None else None,
        verbose_eval=False,
        xgb_model=model,
        callbacks=[watch],
    )
    watch.close()
    if job.valid is not None and trainer.early_stopping is not None:
        booster = booster[: booster.best_iteration + 1]
    return Fitted(
        file=XGBOOST_FILE,
        content=bytes(booster.save_raw("ubj")),
        rounds=booster.num_boosted_rounds(),
        history={f"{part}_{name}": values for part, names in found.items() for name, values in names.items()},
        load_seconds=loaded - started,
        train_seconds=time.perf_counter() - loaded,
    )


def _watch(job: Job, rank: int, done: int) -> Any:
    """A callback that logs, stops on a value that is not finite, and saves (all workers have the same trees)."""
    import xgboost

    settings, last = job.checkpoints, getattr(job.trainer, "rounds", 0) - 1
    stride = max(1, (last + 1) // _POINTS)
    writer = Writer(CheckpointStore(job.ws, job.run), settings) if rank == 0 else None

    class Watch(xgboost.callback.TrainingCallback):
        saved = time.monotonic()

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            number = model.num_boosted_rounds()
            values = {f"{part}_{name}": got[-1] for part, names in evals_log.items() for name, got in names.items()}
            bad = {name: value for name, value in values.items() if value != value and not name.endswith("auc")}
            if bad:
                name, value = next(iter(bad.items()))
                raise TrainingFailed(f"{name} became {value} in round {number}: lower learning_rate, check the labels")
            if (number - 1) % stride == 0 or number == last + 1:
                log_if_training(number, values)
            if writer is not None and self._due(number):
                writer.write(Saved(job.run, number, {}, values), {XGBOOST_FILE: bytes(model.save_raw("ubj"))})
                self.saved = time.monotonic()
            return False

        def _due(self, number: int) -> bool:
            if number > last or number == done:
                return False
            if settings.every is not None:
                return number % settings.every == 0
            return time.monotonic() > self.saved + settings.seconds

        def close(self) -> None:
            if writer is not None:
                writer.wait()

    return Watch()


def parameters(trainer: XGBoost, task: str, *, seed: int, threads: int, gpu: bool, classes: int = 0) -> dict[str, Any]:
    """XGBoost's parameters: the trainer's over our defaults."""
    return {
        "objective": _OBJECTIVES[task],
        "eval_metric": list(_MEASURES[task]),
        "tree_method": "hist",
        "verbosity": 0,
        **({"num_class": classes} if task == "multiclass" else {}),
        **trainer.params,
        "seed": seed,
        "nthread": threads,
        "device": "cuda" if gpu else "cpu",
    }


def matrix(rows: Rows, names: tuple[str, ...], trainer: XGBoost, threads: int, like: Any = None) -> Any:
    """A quantised matrix, which the `hist` and `approx` tree methods train on; others get a plain one."""
    import xgboost

    facts: dict[str, Any] = {"feature_names": list(names), "nthread": threads}
    if not _quantised(trainer):
        return xgboost.DMatrix(rows.inputs, rows.labels, **facts)
    bins = trainer.params.get("max_bin", 256)
    return xgboost.QuantileDMatrix(rows.inputs, rows.labels, ref=like, max_bin=bins, **facts)


def streamed(
    part: Part, names: tuple[str, ...], trainer: XGBoost, threads: int, rank: int, workers: int, like: Any = None
) -> Any:
    """As `matrix` of this worker's share of `part`, a row group at a time: only the quantised values stay.

    XGBoost goes over the rows several times (sizes, cuts, values); the reader keeps what fits its cache.

    Raises:
        DataError: There are fewer rows than workers.
    """
    import xgboost

    reader = Reader(part)
    first, last = share(part.rows, rank, workers)
    if first == last or not _quantised(trainer):
        from .job import worker_rows

        return matrix(worker_rows(part, rank, workers), names, trainer, threads, like)

    class Pieces(xgboost.DataIter):
        _rest: Iterator[Rows]

        def next(self, input_data: Callable[..., Any]) -> bool:
            rows = next(self._rest, None)
            if rows is None:
                return False
            input_data(data=rows.inputs, label=rows.labels, feature_names=list(names))
            return True

        def reset(self) -> None:
            self._rest = reader.pieces(part.groups, first, last)

    pieces = Pieces(release_data=True)
    pieces.reset()
    bins = trainer.params.get("max_bin", 256)
    return xgboost.QuantileDMatrix(pieces, ref=like, max_bin=bins, nthread=threads)


def _quantised(trainer: XGBoost) -> bool:
    return trainer.params.get("tree_method", "hist") == "hist" and trainer.params.get("booster") != "gblinear"
