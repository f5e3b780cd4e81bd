"""MLflow's own client against a server: one process logs runs of 10 parameters and 50 metrics, in two ways."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from figures import Figure, emit

os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"


def main(batched: str, single: str, who: str, url: str, runs: int) -> None:
    """Runs a second, logged by two calls a run, and a tenth as many by sixty; two are logged first to warm up."""
    import mlflow

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment(f"bench of {who}")
    params = {f"p{number}": number for number in range(10)}
    metrics = {f"m{number}": number / 7 for number in range(50)}

    def at_once(number: int) -> None:
        mlflow.log_params(params)
        mlflow.log_metrics(metrics, step=number)

    def one_by_one(number: int) -> None:
        for key, param in params.items():
            mlflow.log_param(key, param)
        for key, value in metrics.items():
            mlflow.log_metric(key, value, step=number)

    def log(count: int, work: Callable[[int], None]) -> float:
        start = time.perf_counter()
        for number in range(count):
            with mlflow.start_run(run_name=f"run {number}"):
                work(number)
        return count / (time.perf_counter() - start)

    log(2, at_once)
    emit(
        [
            Figure(batched, who, log(runs, at_once), "runs/s", "higher"),
            Figure(single, who, log(max(runs // 10, 3), one_by_one), "runs/s", "higher"),
        ]
    )


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    main(*sys.argv[1:5], int(sys.argv[5]))
