"""MLflow's own client against a server: one process logs runs with parameters and metrics."""

from __future__ import annotations

import os
import sys
import time

from figures import Figure, emit

os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"


def main(workload: str, who: str, url: str, runs: int) -> None:
    """Runs a second; two are logged first to warm up."""
    import mlflow

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment(f"bench of {who}")
    params = {f"p{number}": number for number in range(10)}
    metrics = {f"m{number}": number / 7 for number in range(50)}

    def log(count: int) -> None:
        for number in range(count):
            with mlflow.start_run(run_name=f"run {number}"):
                mlflow.log_params(params)
                mlflow.log_metrics(metrics, step=number)

    log(2)
    start = time.perf_counter()
    log(runs)
    emit([Figure(workload, who, runs / (time.perf_counter() - start), "runs/s", "higher")])


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
