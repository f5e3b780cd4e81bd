"""Features that are right at every moment, by the same definitions offline and online.

Define (`Entity`, `FeatureView` with `Rolling` windows, `OnDemand`, `FeatureSet`), train (`training_set`: a
point-in-time join), serve (`materialise` and `refresh` into the online store, `LookUp` and `FeatureReader` out of it).
"""

from .as_of import join_as_of
from .build import build_view, compute_values
from .feature_set import FeatureSet, OnDemand
from .freshness import Freshness, freshness, freshness_metrics
from .keep_online import keep_online
from .lmdb_store import LmdbStore
from .look_up import Found, LookUp
from .materialise import Refreshed, drop_view, materialise, online_view, put_values, refresh
from .online import OnlineStore, open_online
from .online_retention import clean_up_online, forget, set_online_retention
from .partitions import join_as_of_dataset
from .reader import FeatureReader
from .skew import FeatureSkew, SkewReport, skew
from .timeline import Materialiser
from .training import TrainingSet, join_features, training_set
from .view import Entity, FeatureView
from .windows import Rolling

__all__ = [
    "Entity",
    "FeatureReader",
    "FeatureSet",
    "FeatureSkew",
    "FeatureView",
    "Found",
    "LmdbStore",
    "LookUp",
    "Materialiser",
    "OnDemand",
    "OnlineStore",
    "Freshness",
    "clean_up_online",
    "forget",
    "freshness",
    "freshness_metrics",
    "keep_online",
    "set_online_retention",
    "Refreshed",
    "Rolling",
    "SkewReport",
    "TrainingSet",
    "build_view",
    "compute_values",
    "drop_view",
    "join_as_of",
    "join_as_of_dataset",
    "join_features",
    "materialise",
    "online_view",
    "open_online",
    "put_values",
    "refresh",
    "skew",
    "training_set",
]
