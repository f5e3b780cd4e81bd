"""Features that are right at every moment, by the same definitions offline and online.

Define (`Entity`, `FeatureView` with `Rolling` windows, `OnDemand`, `FeatureSet`), train (`training_set`: a
point-in-time join), serve (`materialise` and `refresh` into the online store, `LookUp` and `FeatureReader` out of it).
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
from .forget import ForgottenEverywhere, forget
from .freshness import Freshness, freshness, freshness_metrics
from .keep_online import keep_online
from .lmdb_store import LmdbStore
from .look_up import Found, LookUp
from .materialise import Refreshed, drop_view, materialise, online_view, put_values, refresh
from .online import OnlineStore, open_online
from .online_retention import clean_up_online, set_online_retention
from .partitions import join_as_of_dataset
from .ranking import Elimination, Impact, RankedSet, Ranking, discard, eliminate, rank, rank_sets
from .reader import FeatureReader
from .skew import FeatureSkew, SkewReport, skew
from .statistics import statistics
from .stored import stored_training_set
from .timeline import Materialiser
from .training import TrainingSet, join_features, training_set
from .view import Entity, Feature, FeatureView
from .windows import Rolling

__all__ = [
    "Elimination",
    "Entity",
    "Feature",
    "FeatureReader",
    "FeatureSet",
    "FeatureSkew",
    "FeatureView",
    "Impact",
    "ForgottenEverywhere",
    "Found",
    "LmdbStore",
    "LookUp",
    "Materialiser",
    "OnDemand",
    "OnlineStore",
    "RankedSet",
    "Ranking",
    "Registered",
    "Remade",
    "RemadeAll",
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
    "online_view",
    "open_online",
    "rank",
    "rank_sets",
    "register",
    "remake_derived",
    "search_views",
    "statistics",
    "put_values",
    "refresh",
    "skew",
    "stored_training_set",
    "training_set",
    "view_versions",
]
