"""What is asked of labels: which rows, which columns, typed and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..core import ConfigError, Node, SchemaMismatch
from .dtypes import TIMESTAMP, arrow_type, cast_column, micros, require_columns
from .feature_set import FeatureSet
from .view import content_hash

Between = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """The question a training set answers about its labels; fields as the arguments of `training_set`."""

    label: str
    event_time: str
    where: Between | None = None
    keep: tuple[str, ...] = ()

    def prepare(self, rows: pa.Table, feature_set: FeatureSet) -> tuple[pa.Table, FeatureSet]:
        """`prepare_labels`."""
        told = {"label": self.label, "event_time": self.event_time}
        return prepare_labels(rows, feature_set, **told, where=self.where, keep=self.keep)

    def order(self, bound: FeatureSet) -> list[str]:
        """Columns of the training set."""
        names = [self.event_time, *bound.request_columns, *self.keep, *bound.columns, self.label]
        return list(dict.fromkeys(names))

    def digest(self, inputs: Sequence[Node]) -> str:
        """The same for the same question about the same inputs."""
        limits = [str(limit) for limit in self.where or ()]
        told = [*map(str, inputs), self.label, self.event_time, *limits, "keep", *self.keep]
        return content_hash({"asked": told})

    def describe(self, bound: FeatureSet, labels: str | None, inputs: Sequence[Node]) -> dict[str, Any]:
        """What lies beside the training set, JSON-able; `labels` is the table's name."""
        return {
            "labels": labels,
            "feature_set": bound.to_dict(),
            "label": self.label,
            "event_time": self.event_time,
            "where": [None if limit is None else limit.isoformat() for limit in self.where or ()],
            "keep": list(self.keep),
            "inputs": [str(node) for node in inputs],
        }


def prepare_labels(
    rows: pa.Table,
    feature_set: FeatureSet,
    *,
    label: str,
    event_time: str,
    where: tuple[datetime | None, datetime | None] | None = None,
    keep: Sequence[str] = (),
) -> tuple[pa.Table, FeatureSet]:
    """The columns of `rows` that a training set needs, typed and filtered, and the feature set bound to them.

    Raises:
        SchemaMismatch: See `training_set`.
        ConfigError: `label` or a kept column has the name of a feature.
    """
    bound = feature_set.bind(rows.schema, event_time)
    made = set(bound.columns) - set(bound.passthrough)
    for name in (label, *keep):
        if name in made or (name == label and name in bound.passthrough):
            raise ConfigError(
                f"column {name!r} of the labels is a feature of {feature_set.name!r} too: rename one of them"
            )
    require_columns(rows, dict.fromkeys([label, *keep]), "labels")
    return typed_labels(rows, bound.request_types, Asked(label, event_time, where, tuple(keep))), bound


def typed_labels(rows: pa.Table, types: Mapping[str, str], asked: Asked) -> pa.Table:
    """Request columns of `rows` as `types`, the label and what is kept, of the rows that are asked for.

    Raises:
        SchemaMismatch: A column cannot be that type, or an event time is null.
    """
    columns = {name: cast_column(rows[name], arrow_type(kind), name, "labels") for name, kind in types.items()}
    frame = pa.table(columns | {name: rows[name] for name in (asked.label, *asked.keep) if name not in columns})
    event_time = asked.event_time
    if frame[event_time].null_count:
        raise SchemaMismatch(f"labels: {event_time!r} is null in {frame[event_time].null_count} rows: leave them out")
    return _between(frame, event_time, asked.where)


def _between(frame: pa.Table, event_time: str, where: tuple[datetime | None, datetime | None] | None) -> pa.Table:
    for limit, keep in zip(where or (), (pc.greater_equal, pc.less), strict=False):
        if limit is not None:
            moment = pa.scalar(micros(limit, "where"), pa.int64()).cast(TIMESTAMP)
            frame = frame.filter(keep(cast_column(frame[event_time], TIMESTAMP, event_time, "labels"), moment))
    return frame
