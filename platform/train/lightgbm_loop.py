"""LightGBM on a Ray Train worker; more workers grow the same trees together."""

from __future__ import annotations

import time
from typing import Any

from .fitted_model import fitted_model
from .job import Fitted, Job, Rows, rank_and_workers, worker_rows
from .lightgbm_trainer import LightGBM
from .live import log_if_training

_OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}
_MEASURES = {"binary": ["binary_logloss", "auc"], "multiclass": ["multi_logloss"], "regression": ["rmse"]}
_NAMES = {"binary_logloss": "logloss", "multi_logloss": "logloss", "multi_error": "error"}
_POINTS = 200


def train_lightgbm(job: Job) -> Fitted:
    """Load this worker's rows and boost, together with the other workers."""
    started = time.perf_counter()
    rank, workers = rank_and_workers(job)
    train = worker_rows(job.train, rank, workers)
    valid = None if job.valid is None else worker_rows(job.valid, rank, workers)
    loaded = time.perf_counter()
    booster, history = boost(job, train, valid)
    return fitted_model(
        booster,
        history=history,
        rounds=booster.current_iteration(),
        seconds=(loaded - started, time.perf_counter() - loaded),
    )


def boost(job: Job, train: Rows, valid: Rows | None) -> tuple[Any, dict[str, list[float]]]:
    """Fit on `train`; within a worker group all workers grow the same trees.

    Returns:
        The booster and, per metric name such as ``valid_logloss``, its value after each round. In a group these are of
        the first worker's rows: LightGBM does not add them up.
    """
    import lightgbm

    trainer = job.trainer
    if not isinstance(trainer, LightGBM):
        raise TypeError(f"LightGBM loop got {type(trainer).__name__}")
    params = {**settings(trainer, job), **_network(job)}
    names = list(job.matrix_columns)
    inputs = lightgbm.Dataset(train.inputs, train.labels, feature_name=names, params=params)
    parts, part_names = [inputs], ["train"]
    if valid is not None:
        parts, part_names = [inputs.create_valid(valid.inputs, valid.labels)], ["valid"]
    found: dict[str, dict[str, list[float]]] = {}
    callbacks: list[Any] = [lightgbm.record_evaluation(found), _live]
    if trainer.early_stopping is not None and valid is not None:
        callbacks.append(Stopper(trainer.early_stopping, not job.alone))
    booster = lightgbm.train(params, inputs, trainer.rounds, parts, part_names, callbacks=callbacks)
    if booster.best_iteration > 0:
        booster = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
    history = {
        f"{part}_{_NAMES.get(name, name)}": list(values)
        for part, each in found.items()
        for name, values in each.items()
    }
    return booster, history


def _live(env: Any) -> None:
    """Log the metrics of a round; of many rounds, evenly chosen ones."""
    if env.iteration % max(1, env.end_iteration // _POINTS) == 0 or env.iteration == env.end_iteration - 1:
        found = env.evaluation_result_list
        log_if_training(
            env.iteration + 1, {f"{part}_{_NAMES.get(name, name)}": value for part, name, value, *_ in found}
        )


def settings(trainer: LightGBM, job: Job) -> dict[str, Any]:
    """LightGBM's parameters: the trainer's over our defaults, which give the same trees for the same rows."""
    classes = {"num_class": len(job.classes)} if job.task == "multiclass" else {}
    return {
        "objective": _OBJECTIVES[job.task],
        "metric": _MEASURES[job.task],
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        **trainer.params,
        **classes,
        "seed": job.seed,
        "num_threads": job.threads,
        "device_type": "gpu" if job.gpu else "cpu",
    }


def _network(job: Job) -> dict[str, Any]:
    if job.alone:
        return {}
    from ray.train.lightgbm import get_network_params

    # Without these two, LightGBM trains as many models as there are workers, each on its own rows.
    return {"tree_learner": "data", "pre_partition": True, **get_network_params()}


class Stopper:
    """Stops when the first validation metric has not improved for `rounds` rounds, on all workers at once.

    LightGBM's own callback lets each worker of a group judge by its own validation rows: one stops, and the others wait
    for it for ever.
    """

    order = 30

    def __init__(self, rounds: int, group: bool) -> None:
        self._rounds, self._group = rounds, group
        self._best, self._best_round = float("nan"), 0

    def __call__(self, env: Any) -> None:
        """Judge one round."""
        from lightgbm.callback import EarlyStopException

        _, _, value, bigger = env.evaluation_result_list[0][:4]
        score = value if bigger else -value
        if not score <= self._best:
            self._best, self._best_round = score, env.iteration
        stop = env.iteration - self._best_round >= self._rounds or env.iteration == env.end_iteration - 1
        if self._group:
            from ray.train.collective import broadcast_from_rank_zero

            stop, self._best_round = broadcast_from_rank_zero((stop, self._best_round))
        if stop:
            raise EarlyStopException(self._best_round, env.evaluation_result_list)
