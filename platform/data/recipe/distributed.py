"""Learning from a Ray Dataset: one small summary per block, merged by the driver."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from ray.data import Dataset

from ..ray_tasks import quiet_data_context, task_errors
from .layout import Learned
from .recipe import Summaries, summarise_block
from .step import Step


def summarise_dataset(
    data: Dataset, inputs: Mapping[str, str], learned: Sequence[Learned], steps: Sequence[Step]
) -> Iterator[Summaries]:
    """The summaries of every block."""

    def summary(block: pa.Table) -> pa.Table:
        return pa.table({"summary": [pickle.dumps(summarise_block(block, inputs, learned, steps))]})

    with quiet_data_context(), task_errors("a recipe"):
        rows: list[dict[str, Any]] = data.map_batches(summary, batch_format="pyarrow", batch_size=None).take_all()
    # These bytes were made by our own tasks a moment ago.
    return (pickle.loads(row["summary"]) for row in rows)
