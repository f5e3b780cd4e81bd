"""Features that are right at every moment, by the same definitions offline and online.

Define (`Entity`, `FeatureView` with `Rolling` windows, `OnDemand`, `FeatureSet`), train (`training_set`: a
point-in-time join), serve (`materialise` or a `Materialiser` into the online store, `FeatureReader` out of it).
"""

from .as_of import join_as_of
from .build import build_view, compute_values
from .feature_set import FeatureSet, OnDemand
from .lmdb_store import LmdbStore
from .materialise import Materialiser, drop_view, materialise
from .online import OnlineStore, open_online
from .partitions import join_as_of_dataset
from .reader import FeatureReader
from .stored import stored_training_set
from .training import TrainingSet, join_features, training_set
from .view import Entity, FeatureView
from .windows import Rolling

__all__ = [
    "Entity",
    "FeatureReader",
    "FeatureSet",
    "FeatureView",
    "LmdbStore",
    "Materialiser",
    "OnDemand",
    "OnlineStore",
    "Rolling",
    "TrainingSet",
    "build_view",
    "compute_values",
    "drop_view",
    "join_as_of",
    "join_as_of_dataset",
    "join_features",
    "materialise",
    "open_online",
    "stored_training_set",
    "training_set",
]
