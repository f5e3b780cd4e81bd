"""`train.fit` beside XGBoost called directly on the same rows and cores, and intervals beside scikit-learn's loop."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sklearn.metrics as oracle
import xgboost
from figures import Figure, timed

from raylake import features, train
from raylake.core import Workspace, ensure_ray
from raylake.train.evaluation.bootstrap import bootstrap
from raylake.train.evaluation.weighted import BINARY

ROWS, COLUMNS, ROUNDS = 1_000_000, 30, 200
FIT = f"fit of XGBoost, {ROWS // 1_000_000}M rows x {COLUMNS}, {ROUNDS} rounds, 2 threads"
START = "fit of XGBoost, 1,000 rows: the fixed start"
TWO = f"{FIT}: beyond the start"
INTERVALS = "95 % intervals of 10 metrics, 50,000 rows, 200 resamples"


def _rows(rows: int) -> pa.Table:
    random = np.random.default_rng(0)
    values = random.normal(size=(rows, COLUMNS)).astype(np.float32)
    label = values[:, 0] + values[:, 1] * values[:, 2] + random.normal(size=rows) > 0
    names = [f"f{place}" for place in range(COLUMNS)]
    at = pa.array(np.arange(rows) * 1_000_000, pa.timestamp("us", "UTC"))
    return pa.table({"at": at, **dict(zip(names, values.T, strict=True)), "late": label})


def _spec(ws: Workspace, name: str, rows: pa.Table, **more: object) -> train.Spec:
    inputs = [column for column in rows.column_names if column.startswith("f")]
    chosen = features.FeatureSet(name, [], passthrough=tuple(inputs))
    made = features.training_set(ws, name, labels=rows, label="late", event_time="at", feature_set=chosen)
    return train.Spec(train.XGBoost(ROUNDS, max_depth=6), made, compute=train.Compute(cpus=2), **more)  # type: ignore[arg-type]


def _direct(path: Path) -> None:
    """What `fit` does, by hand: read, split by time, train, score the validation rows, save."""
    rows = pq.read_table(path)
    names = [column for column in rows.column_names if column.startswith("f")]
    matrix = np.column_stack([rows[name].to_numpy() for name in names])
    label = rows["late"].to_numpy(zero_copy_only=False)
    cut = int(len(label) * 0.8)
    inputs = xgboost.QuantileDMatrix(matrix[:cut], label[:cut], nthread=2)
    valid = xgboost.QuantileDMatrix(matrix[cut:], label[cut:], ref=inputs, nthread=2)
    params = {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "max_depth": 6, "nthread": 2}
    booster = xgboost.train(params, inputs, ROUNDS, evals=[(valid, "valid")], verbose_eval=False)
    oracle.roc_auc_score(label[cut:], booster.inplace_predict(matrix[cut:]))
    booster.save_raw("ubj")


def _seconds(work: Callable[[], object], repeat: int = 2) -> list[float]:
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def _by_hand(path: Path) -> list[float]:
    """In a process whose OpenMP threads sleep while they wait, as those of a fit do.

    On a busy machine threads that spin would triple the peer's time.
    """
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); import bench_fit, pathlib; "
        "print(json.dumps(bench_fit._seconds(lambda: bench_fit._direct(pathlib.Path(sys.argv[2])))))"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(path)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [float(each) for each in json.loads(done.stdout.splitlines()[-1])]


def _fits(folder: str) -> list[Figure]:
    ws = Workspace.open(Path(folder, "lake"), ray_address="local", http_port=0)
    ensure_ray(ws)
    rows = _rows(ROWS)
    path = Path(folder, "rows.parquet")
    pq.write_table(rows, path)
    small, large = _spec(ws, "small", rows.slice(0, 1000)), _spec(ws, "large", rows)
    del rows
    train.fit(ws, small)
    start = timed(START, "raylake", lambda: train.fit(ws, small), repeat=3)
    whole, direct = _seconds(lambda: train.fit(ws, large)), _by_hand(path)
    ours, theirs = statistics.median(whole), statistics.median(direct)
    return [
        start,
        Figure(FIT, "raylake", ours, "s", "lower", max(whole) / min(whole)),
        Figure(FIT, "xgboost, by hand", theirs, "s", "lower", max(direct) / min(direct)),
        Figure(TWO, "raylake", ours - start.value, "s", "lower"),
        Figure(TWO, "xgboost, by hand", theirs, "s", "lower"),
    ]


def _intervals() -> list[Figure]:
    random = np.random.default_rng(0)
    scores = random.random(50_000)
    labels = (random.random(50_000) < scores).astype(float)
    chosen = {name: metric for name, metric in BINARY.items() if name != "calibration_error"}

    def ours() -> None:
        bootstrap({name: metric.prepare(scores, labels) for name, metric in chosen.items()}, 50_000, 200, 0)

    def theirs() -> None:
        for _ in range(200):
            at = random.integers(0, 50_000, 50_000)
            said = scores[at] >= 0.5
            for score in (
                oracle.roc_auc_score,
                oracle.average_precision_score,
                oracle.log_loss,
                oracle.brier_score_loss,
            ):
                score(labels[at], scores[at])
            for score in (oracle.accuracy_score, oracle.balanced_accuracy_score, oracle.precision_score,
                          oracle.recall_score, oracle.f1_score, oracle.matthews_corrcoef):  # fmt: skip
                score(labels[at], said)

    return [timed(INTERVALS, "raylake", ours), timed(INTERVALS, "scikit-learn, in a loop", theirs, repeat=1)]


def run() -> list[Figure]:
    """Overhead of a fit, and the vectorised bootstrap."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_fits(folder), *_intervals()]
