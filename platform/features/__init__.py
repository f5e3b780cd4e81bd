"""Features that are right at every moment, by the same definitions offline and online.

Define (`Entity`, `FeatureView` with `Rolling` windows, `OnDemand`, `FeatureSet`), train (`training_set`: a
point-in-time join), serve (`materialise` or a `Materialiser` into the online store, `FeatureReader` out of it).
"""

from .as_of import join_as_of
from .build import build_view, compute_values
from .catalogue import (
    Registered,
    define_set,
    find_set,
    find_view,
    register,
    search_views,
    view_versions,
)
from .derived import Remade, RemadeAll, remake_derived
from .feature_set import FeatureSet, OnDemand
from .lmdb_store import LmdbStore
from .materialise import Materialiser, drop_view, materialise
from .online import OnlineStore, open_online
from .partitions import join_as_of_dataset
from .ranking import Elimination, Impact, RankedSet, Ranking, discard, eliminate, rank, rank_sets
from .reader import FeatureReader
from .statistics import statistics
from .training import TrainingSet, join_features, training_set
from .view import Entity, Feature, FeatureView
from .windows import Rolling

__all__ = [
    "Elimination",
    "Entity",
    "Feature",
    "FeatureReader",
    "FeatureSet",
    "FeatureView",
    "Impact",
    "LmdbStore",
    "Materialiser",
    "OnDemand",
    "OnlineStore",
    "RankedSet",
    "Ranking",
    "Registered",
    "Remade",
    "RemadeAll",
    "Rolling",
    "TrainingSet",
    "build_view",
    "compute_values",
    "define_set",
    "discard",
    "drop_view",
    "eliminate",
    "find_set",
    "find_view",
    "join_as_of",
    "join_as_of_dataset",
    "join_features",
    "materialise",
    "open_online",
    "rank",
    "rank_sets",
    "register",
    "remake_derived",
    "search_views",
    "statistics",
    "training_set",
    "view_versions",
]
