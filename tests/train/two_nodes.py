"""Fits on a Ray cluster of two nodes on this machine, and loses one in the middle. Run as a process of its own."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
os.environ["RAY_health_check_period_ms"] = "500"  # noqa: SIM112 (the name that Ray reads)
os.environ["RAY_health_check_failure_threshold"] = "4"  # noqa: SIM112

import ray
from ray.cluster_utils import Cluster

from raylake import registry, train
from raylake.core import Workspace
from raylake.testing.learnable import label_frame, make_training
from raylake.testing.train_loops import slow

NETWORK = train.Torch(kwargs={"hidden": (16,)}, epochs=3, lr=0.01, batch_size=100)


def lose(ws: Workspace, cluster: Any, node: Any) -> None:
    """Kill the node once there is a checkpoint."""
    while not list(Path(ws.runs_url).glob("fit-*/checkpoint-*/checkpoint.json")):
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)


def main(folder: str) -> None:
    """Print what came out as JSON."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    ws = Workspace.open(folder, ray_address=cluster.address)
    training = make_training(ws, label_frame(1000))
    spread = train.Compute(workers=2, placement="strict-spread")
    trees = train.Spec(train.XGBoost(20, max_depth=3), training)
    one, two = train.fit(ws, trees), train.fit(ws, trees.replace(compute=spread))
    networks = train.Spec(NETWORK, training, checkpoints=train.Checkpoints(every=2))
    single = train.fit(ws, networks)
    losing = threading.Thread(target=lose, args=(ws, cluster, other))
    losing.start()
    elastic = networks.replace(trainer=NETWORK.updated(loop=slow), compute=train.Compute(workers=(1, 2)))
    shrunk = train.fit(ws, elastic)
    losing.join()
    curve = registry.metric_history(ws, shrunk.id, "loss")
    found = {
        "xgboost": [run.metrics["logloss"] for run in (one, two)],
        "torch": [run.metrics["logloss"] for run in (single, shrunk)],
        "steps": [step for step, _ in curve],
        "alive": sum(bool(node["Alive"]) for node in ray.nodes()),
    }
    print("FOUND " + json.dumps(found), flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
