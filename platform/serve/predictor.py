"""One loaded model, ready to answer: decode, look features up, predict. No Serve, no HTTP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..core import ConfigError, DeploymentFailed, Node
from .decoder import MAX_ROWS, Decoder, Request
from .fields import Field, kind_of

if TYPE_CHECKING:
    from ..train import LoadedModel


class Reader(Protocol):
    """Turns request rows into all model input columns; `raylake.features.FeatureReader` is one."""

    def assemble(self, rows: pa.Table) -> pa.Table:
        """The feature set's columns for `rows`, in order; null where nothing is known."""
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """What was predicted for one request.

    Attributes:
        request: The decoded request.
        scores: float64 (rows,).
        features: The model's input columns as they were used, (rows, features).
        frame: The request's columns, typed.
    """

    request: Request
    scores: NDArray[np.float64]
    features: pa.Table
    frame: pa.Table


class Predictor:
    """A model version that answers requests. Thread-safe when its model and reader are.

    Attributes:
        name: Model name.
        version: Model version.
        model: The loaded model.
        decoder: Decoder of its requests.
        event_time: Request column with the moment as of which features are looked up, or ``None``.
    """

    def __init__(
        self, model: LoadedModel, reader: Reader | None, name: str, version: int, *, max_rows: int = MAX_ROWS
    ) -> None:
        """Compile the decoder for `model`. `reader` is needed when the model has a feature set."""
        self.model, self.name, self.version = model, name, version
        self._check_outputs()
        self._reader = reader
        found = model.feature_set
        self.event_time = None if found is None else found.event_time
        self.decoder = Decoder(request_fields(model), max_rows=max_rows)
        self._names = list(model.signature.names)

    def _check_outputs(self) -> None:
        signature = self.model.signature
        if getattr(signature, "task", "") == "multiclass":
            raise ConfigError(
                f"{self.name}@{self.version} gives a probability for each of {len(signature.classes)} classes: "
                "endpoints answer one number a row; use train.predict_table"
            )

    @property
    def node(self) -> Node:
        """Vertex of the lineage graph."""
        return Node("model", self.name, str(self.version))

    def predict(self, requests: Sequence[Request]) -> list[Scored]:
        """Score requests together: one look-up and one prediction for all that sent the same fields."""
        if len(requests) == 1:
            return [self._predict_one(requests[0])]
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(tuple(request.columns), []).append(index)
        found: dict[int, Scored] = {}
        for names, members in groups.items():
            together = [requests[index] for index in members]
            merged = {name: [value for request in together for value in request.columns[name]] for name in names}
            for index, scored in zip(members, self._split(together, *self._score(merged)), strict=True):
                found[index] = scored
        return [found[index] for index in range(len(requests))]

    def check(self) -> None:
        """Predict the reference sample's first row for real; what the health check does.

        Raises:
            DeploymentFailed: The score is not a finite number.
        """
        request = Request(example_columns(self.model, self.decoder.fields, rows=1), 1)
        score = self._predict_one(request).scores[0]
        if not math.isfinite(score):
            raise DeploymentFailed(f"{self.name}@{self.version} predicts {score} for a row of its own training data")

    def _predict_one(self, request: Request) -> Scored:
        scores, features, frame = self._score(request.columns)
        return Scored(request, scores, features, frame)

    def _score(self, columns: Any) -> tuple[NDArray[np.float64], pa.Table, pa.Table]:
        frame = self.decoder.table(columns)
        features = frame if self._reader is None else self._reader.assemble(frame)
        features = features.select(self._names)
        return self.model.predict(features), features, frame

    @staticmethod
    def _split(
        requests: list[Request], scores: NDArray[np.float64], features: pa.Table, frame: pa.Table
    ) -> list[Scored]:
        out, start = [], 0
        for request in requests:
            end = start + request.rows
            out.append(
                Scored(
                    request,
                    scores[start:end],
                    features.slice(start, request.rows),
                    frame.slice(start, request.rows),
                )
            )
            start = end
        return out


def request_fields(model: LoadedModel) -> tuple[Field, ...]:
    """The fields of a model's requests, required ones first.

    A model with a feature set takes its event time (never null), entity keys (null means unknown) and
    passthrough columns; its looked-up features may be sent too and then win. A model without one takes its input
    columns. An input column may be null when it is null in the model's reference sample.
    """
    reference = model.reference
    nulls = {name for name in reference.column_names if reference.column(name).null_count}
    types = {field.name: field.type for field in model.signature.schema}
    found = model.feature_set
    if found is None:
        return tuple(Field(name, kind_of(dtype), nullable=name in nulls) for name, dtype in types.items())
    asked = found.request_schema
    keys = {key for view in found.views for key in view.entity.keys} - types.keys()
    roles = dict.fromkeys(keys, "key") | {found.event_time: "time"}
    fields = [
        Field(
            name,
            kind_of(asked.field(name).type if name in asked.names else types[name]),
            nullable=name in nulls or name in keys,
            role=roles.get(name, "input"),
        )
        for name in found.request_columns
    ]
    looked_up = [name for name in types if name not in found.request_columns]
    fields += [Field(name, kind_of(types[name]), False, True, "override") for name in looked_up]
    return tuple(fields)


def example_columns(model: LoadedModel, fields: Sequence[Field], *, rows: int = 2) -> dict[str, list[Any]]:
    """Required fields of the first rows of the model's reference sample, as the decoder would give them.

    A field that the sample lacks (an entity key, the event time) gets a plain value of its type.
    """
    reference = model.reference.slice(0, rows)
    count = max(1, min(rows, reference.num_rows))
    out: dict[str, list[Any]] = {}
    for field in fields:
        if not field.required:
            continue
        if field.name in reference.column_names and reference.num_rows:
            out[field.name] = reference.column(field.name).cast(field.kind.arrow).to_pylist()
        else:
            out[field.name] = [field.kind.example] * count
    return out
