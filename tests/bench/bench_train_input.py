"""Rows a second of a network's input pipeline, beside a torch DataLoader that reads the same Parquet, and the wait."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from figures import Figure, rate
from torch.utils.data import DataLoader, IterableDataset

from raylake import data, features, train
from raylake.core import Workspace
from raylake.train import prepared
from raylake.train.compute import Resources
from raylake.train.fit import _job
from raylake.train.job import share_cores
from raylake.train.plan import make_plan
from raylake.train.stream import Stream
from raylake.train.torch_loop import train_torch

ROWS, COLUMNS, BATCH = 1_000_000, 20, 1024
NAMES = [f"x{place}" for place in range(COLUMNS)]
WORK = f"batches of {BATCH}, {ROWS // 1_000_000}M rows x {COLUMNS} columns"


class Files(IterableDataset):  # type: ignore[type-arg]
    """The best that a DataLoader does with Parquet: whole batches, split over its processes, not shuffled."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        worker = torch.utils.data.get_worker_info()
        paths = self.paths if worker is None else self.paths[worker.id :: worker.num_workers]
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=[*NAMES, "y"]):
                x = np.stack([batch.column(name).to_numpy() for name in NAMES], 1)
                yield torch.from_numpy(x), torch.from_numpy(batch.column("y").to_numpy())


def _training(ws: Workspace) -> features.TrainingSet:
    random = np.random.default_rng(0)
    rows = {name: random.normal(size=ROWS).astype(np.float32) for name in NAMES}
    stamps = pa.array(np.arange(ROWS) * 1_000_000, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    y = (rows["x0"] + rows["x1"] > 0).astype(np.float32)
    frame = pa.table({"at": stamps, **rows, "y": y})
    wanted = features.FeatureSet("bench", [], passthrough=tuple(NAMES))
    return features.training_set(ws, "bench", labels=frame, label="y", event_time="at", feature_set=wanted)


def run() -> list[Figure]:
    """Ours shuffles as well; without the cache every epoch decodes its row groups anew."""
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace.open(Path(folder, "lake"), ray_address="local")
        network = train.Torch(kwargs={"hidden": (256, 128)}, epochs=1, batch_size=BATCH)
        share_cores()  # as in a fit's worker
        # Without preparation, like the peer: networks would have their columns scaled.
        spec = train.Spec(network, _training(ws), validation=0.1, task="binary", recipe=data.Recipe())
        plan = make_plan(ws, spec)
        part = plan.part(training=True)
        paths = sorted(map(str, Path(ws.root).rglob("tables/training/bench/*.parquet")))

        def ours(cache: int) -> int:
            prepared.CACHE_BYTES = cache
            stream = Stream(part, BATCH, 0)
            stream._reader = prepared.Reader(part, cache, least=9)
            return sum(len(batch.rows) for batch in stream.batches())

        def peer(workers: int) -> int:
            return sum(len(y) for _, y in DataLoader(Files(paths), batch_size=None, num_workers=workers))

        found = [
            rate(WORK, "raylake, from disk", lambda: ours(64 << 20), unit="rows/s"),
            rate(WORK, "raylake, all cached after an epoch", lambda: ours(1 << 30), unit="rows/s"),
            rate(WORK, "torch DataLoader", lambda: peer(0), unit="rows/s"),
            rate(WORK, "torch DataLoader, 2 processes", lambda: peer(2), unit="rows/s"),
        ]
        fitted = train_torch(_job(ws, spec, plan, Resources(1, 1, 0, None), "bench", ""))
    share = 100 * fitted.wait_seconds / fitted.train_seconds
    return [*found, Figure("waiting for rows, MLP 256-128", "raylake", share, "% of training", "lower")]


if __name__ == "__main__":
    print(datetime.now(UTC), *run(), sep="\n")
