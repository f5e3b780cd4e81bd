"""Training sets larger than memory: labels and views joined block by block on Ray, in the order of the labels.

Every task holds one block of labels, or one partition of the keys. The driver sees references, and the finished blocks
one after the other; it adds the on-demand features and writes them: so rows stay in order, and no function of a
definition has to be importable on the workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from .. import data
from ..core import ConfigError, Workspace, ensure_ray
from ..registry import TableVersion
from .build import conform
from .feature_set import FeatureSet
from .labels import Asked, typed_labels
from .partitions import Side, attach_answers, join_blocks, partitions_for
from .view import FeatureView

if TYPE_CHECKING:
    from ray.data import Dataset

Engine = Literal["auto", "process", "ray"]
IN_PROCESS_BYTES = 2 * 1024**3
BLOCK_ROWS = 1_000_000
_WIDTHS = {"string": 24, "large_string": 24, "binary": 24, "bool": 1, "int32": 4, "float": 4, "date32[day]": 4}


def engine_for(
    ws: Workspace, labels: pa.Table | TableVersion, values: Iterable[TableVersion], engine: Engine
) -> Literal["process", "ray"]:
    """`engine`, or the one that fits the size of the tables in memory (rows times the width of their columns).

    Raises:
        ConfigError: There is no such engine.
    """
    if engine not in ("auto", "process", "ray"):
        raise ConfigError(f"engine {engine!r} is not known: use auto, process or ray")
    if engine != "auto":
        return engine
    size = labels.nbytes if isinstance(labels, pa.Table) else _size(ws, labels)
    return "ray" if size + sum(_size(ws, version) for version in values) > IN_PROCESS_BYTES else "process"


def join_on_ray(
    ws: Workspace,
    labels: pa.Table | TableVersion,
    bound: FeatureSet,
    asked: Asked,
    built: Mapping[str, TableVersion],
) -> pa.RecordBatchReader:
    """The rows of a training set as a stream, in the order of the labels.

    Args:
        ws: Workspace; its Ray session is joined or started.
        labels: Rows, or a pinned table.
        bound: The feature set, bound to the labels.
        asked: What is asked of the labels.
        built: For each view's name its pinned table.

    Raises:
        SchemaMismatch: See `training_set`.
    """
    import ray

    ensure_ray(ws)
    typed, conformed = ray.remote(typed_labels), ray.remote(conform)
    rows = [typed.remote(block, bound.request_types, asked) for block in _blocks(ws, labels)]
    size, values = 0, {}
    for view in bound.views:
        dataset = data.read(ws, str(built[view.name]), columns=view.schema.names).materialize()
        size += dataset.size_bytes() or 0
        values[view.name] = [
            conformed.remote(block, view.schema, f"values of view {view.name!r}") for block in dataset.to_arrow_refs()
        ]
    count = partitions_for(size + (labels.nbytes if isinstance(labels, pa.Table) else _size(ws, labels)))
    answers: list[list[Any]] = [[] for _ in rows]
    for keys, views in _by_keys(bound.views).items():
        sides = [_side(view, values[view.name]) for view in views]
        for found, more in zip(answers, join_blocks(rows, keys, bound.event_time, sides, count), strict=True):
            found += more
    attach = ray.remote(_attach)
    done = [attach.remote(block, count, *found) for block, found in zip(rows, answers, strict=True)]
    first = _finished(_take(done.pop(0)), bound, asked)
    return pa.RecordBatchReader.from_batches(first.schema, _in_order(first, done, bound, asked))


def _blocks(ws: Workspace, labels: pa.Table | TableVersion) -> list[Any]:
    """References of blocks of labels, in their order."""
    import ray

    if isinstance(labels, pa.Table):
        starts = range(0, max(1, labels.num_rows), BLOCK_ROWS)
        return [ray.put(labels.slice(start, BLOCK_ROWS).combine_chunks()) for start in starts]
    dataset: Dataset = data.read(ws, str(labels))
    dataset.context.execution_options.preserve_order = True
    return list(dataset.materialize().to_arrow_refs())


def _by_keys(views: Iterable[FeatureView]) -> dict[tuple[str, ...], list[FeatureView]]:
    groups: dict[tuple[str, ...], list[FeatureView]] = {}
    for view in views:
        groups.setdefault(tuple(view.entity.keys), []).append(view)
    return groups


def _side(view: FeatureView, blocks: list[Any]) -> Side:
    return Side(blocks, view.event_time, view.feature_columns, view.ttl, view.created_time)


def _attach(block: pa.Table, count: int, *answers: pa.Table) -> pa.Table:
    """A block of labels with the answers of each group of views, which came from `count` partitions."""
    for start in range(0, len(answers), count):
        block = attach_answers(block, *answers[start : start + count])
    return block


def _take(block: Any) -> pa.Table:
    import ray

    from ..data.ray_tasks import task_errors  # loads Ray

    with task_errors("a training set"):
        return ray.get(block)


def _finished(joined: pa.Table, bound: FeatureSet, asked: Asked) -> pa.Table:
    from .training import check_rows_alone

    done = bound.compute_on_demand(joined)
    check_rows_alone(joined, done, bound)
    return done.select(asked.order(bound))


def _in_order(first: pa.Table, others: list[Any], bound: FeatureSet, asked: Asked) -> Iterator[pa.RecordBatch]:
    yield from first.to_batches()
    while others:
        block = _finished(_take(others.pop(0)), bound, asked)  # its reference is let go, so Ray frees the block
        yield from block.cast(first.schema).to_batches()


def _size(ws: Workspace, version: TableVersion) -> int:
    facts = data.facts(ws, str(version))
    width = sum(_WIDTHS.get(kind, 8) for kind in facts.columns.values())
    return facts.bytes * 4 if facts.rows is None else facts.rows * width
