"""Models to serve in tests: an in-memory stand-in, and a real XGBoost folder registered without Ray Train."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from raylake.features import FeatureSet

COLUMNS = {"distance": pa.float64(), "seats": pa.int64(), "origin": pa.string()}
ROW: dict[str, Any] = {"distance": 1400.0, "seats": 180, "origin": "JFK"}


@dataclass(frozen=True)
class PlainSignature:
    """As `raylake.train.Signature`, of any Arrow schema."""

    schema: pa.Schema

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def to_dict(self) -> dict[str, Any]:
        return {"columns": [{"name": f.name, "type": str(f.type)} for f in self.schema]}


@dataclass
class StandIn:
    """A model that answers `constant + distance`; nulls count as zero."""

    constant: float = 0.0
    schema: pa.Schema = field(default_factory=lambda: pa.schema(list(COLUMNS.items())))
    feature_set: FeatureSet | None = None
    nullable: tuple[str, ...] = ("seats",)
    calls: list[int] = field(default_factory=list)

    @property
    def signature(self) -> PlainSignature:
        return PlainSignature(self.schema)

    @property
    def reference(self) -> pa.Table:
        rows = [{name: ROW.get(name) for name in self.schema.names} for _ in range(3)]
        rows[2] |= dict.fromkeys(self.nullable)
        return pa.Table.from_pylist(rows, schema=self.schema)

    def predict(self, features: pa.Table) -> np.ndarray:
        self.calls.append(features.num_rows)
        return features["distance"].fill_null(0).to_numpy() + self.constant
