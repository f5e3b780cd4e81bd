"""Trains a small network on GPUs in every way that raylake can, and compares each with one CPU process.

Submit with: ray job submit --working-dir . -- python cluster/jobs/gpu_smoke.py [--workspace /data/lake] [--workers 2].
Says plainly when the cluster has no GPU, and ends with status 3.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import ray

from raylake import train
from raylake.core import RaylakeError, Workspace, ensure_ray
from raylake.testing.learnable import label_frame, make_training

NO_GPU = 3
TOLERANCE = 0.01


def main() -> int:
    """Run the modes; 0 when all agree, 1 when one fails or differs, 3 when there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", default=None, help="storage root; a temporary folder by default")
    parser.add_argument("--workers", type=int, default=0, help="GPU workers; as many as there are GPUs by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace.open(options.workspace or Path(folder) / "lake")
        ensure_ray(ws)
        gpus = int(ray.cluster_resources().get("GPU", 0))
        if not gpus:
            nodes = "; ".join(f"{node['NodeManagerAddress']}: {node['Resources']}" for node in ray.nodes())
            print(f"no GPU: this cluster has none, so nothing was tested on one. Its nodes: {nodes}")
            return NO_GPU
        return smoke(ws, options.workers or gpus)


def smoke(ws: Workspace, workers: int) -> int:
    """Fit on the CPU, on one GPU, and on all in each mode; print the loss of each."""
    network = train.Torch(kwargs={"hidden": (64, 64, 32, 32)}, epochs=5, lr=0.01, batch_size=64 * workers)
    spec = train.Spec(network, make_training(ws, label_frame(20_000)))
    cases = {"cpu": train.Compute(gpus=0), "one gpu": train.Compute(gpus=1)}
    cases["one gpu, bf16"] = train.Compute(gpus=1, precision="bf16")
    cases["one gpu, 16"] = train.Compute(gpus=1, precision="16")
    if workers > 1:
        for mode in ("ddp", "fsdp", "tensor", "pipeline"):
            cases[f"{workers} gpus, {mode}"] = train.Compute(workers=workers, gpus=1, parallel=mode)
    losses, failed = {}, 0
    for name, compute in cases.items():
        try:
            losses[name] = train.fit(ws, spec.replace(compute=compute)).metrics["logloss"]
        except RaylakeError as error:
            print(f"{name}: FAILED: {error}")
            failed += 1
            continue
        near = abs(losses[name] - losses.get("cpu", losses[name])) <= TOLERANCE
        failed += not near
        print(f"{name}: logloss {losses[name]:.4f}{'' if near else ' DIFFERS from the CPU'}")
    print("all agree" if not failed else f"{failed} of {len(cases)} failed or differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
