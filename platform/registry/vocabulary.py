"""What may stand in a search: names, comparators and values of each kind of search, as MLflow's servers take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EQUALITY = frozenset({"=", "!="})
PATTERNS = frozenset({"LIKE", "ILIKE"})
LISTS = frozenset({"IN", "NOT IN"})
PRESENCE = frozenset({"IS NULL", "IS NOT NULL"})
SIZES = frozenset({"<", "<=", ">", ">="})
DATASET_KEYS = ("name", "digest", "context")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a kind of search knows.

    Attributes:
        kinds: Every way to write a kind, with the kind.
        comparators: What each kind may be compared by; of attributes, those that are texts.
        texts: Text attributes, each way to write one with its name.
        numbers: Numeric attributes, likewise.
        listed: Attributes that may be compared with a list.
        whole: Numeric attributes that are whole numbers, which may come in quotes.
        doubled_quotes: Whether two single quotes in a text are one; otherwise a text is taken literally.
    """

    kinds: Mapping[str, str]
    comparators: Mapping[str, frozenset[str]]
    texts: Mapping[str, str]
    numbers: Mapping[str, str]
    listed: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    doubled_quotes: bool = False


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_ATTRIBUTE = dict.fromkeys(("attribute", "attributes", "attr"), "attribute")
_METRIC = dict.fromkeys(("metric", "metrics"), "metric")
_PARAM = dict.fromkeys(("parameter", "parameters", "param", "params"), "param")
_TAG = dict.fromkeys(("tag", "tags"), "tag")
_TEXT, _LABEL = EQUALITY | PATTERNS | LISTS, EQUALITY | PATTERNS | PRESENCE
RUNS = Vocabulary(
    kinds={**_ATTRIBUTE, "run": "attribute", **_METRIC, **_PARAM, **_TAG, "dataset": "dataset", "datasets": "dataset"},
    comparators={
        "attribute": _TEXT,
        "metric": EQUALITY | SIZES,
        "param": _LABEL,
        "tag": _LABEL,
        "dataset": _TEXT,
    },
    texts={
        **_same("artifact_uri", "run_id", "run_name", "status", "user_id"),
        **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
    },
    numbers={**dict.fromkeys(("start_time", "created", "Created"), "start_time"), "end_time": "end_time"},
    listed=frozenset({"run_id"}),
)
EXPERIMENTS = Vocabulary(
    kinds={"attribute": "attribute", **_TAG},
    comparators={"attribute": _TEXT, "tag": _LABEL},
    texts=_same("name", "experiment_id"),
    numbers=_same("creation_time", "last_update_time"),
    listed=frozenset({"experiment_id"}),
)
MODELS = Vocabulary(
    kinds={**_ATTRIBUTE, **_TAG},
    comparators={"attribute": _TEXT, "tag": EQUALITY | PATTERNS},
    texts=_same("name"),
    numbers={},
    listed=frozenset({"name"}),
    doubled_quotes=True,
)
VERSIONS = Vocabulary(
    kinds=MODELS.kinds,
    comparators=MODELS.comparators,
    texts=_same("name", "run_id", "source_path"),
    numbers=_same("version_number"),
    listed=frozenset({"name", "run_id", "source_path"}),
    whole=frozenset({"version_number"}),
    doubled_quotes=True,
)
# Models and versions are ordered by times that no filter may name.
_TIMES = {**_same("creation_timestamp", "last_updated_timestamp"), "timestamp": "last_updated_timestamp"}
MODEL_ORDERS = Vocabulary(kinds=_ATTRIBUTE, comparators={}, texts=_same("name"), numbers=_TIMES)
VERSION_ORDERS = Vocabulary(
    kinds=_ATTRIBUTE, comparators={}, texts=_same("name"), numbers={**_same("version_number"), **_TIMES}
)
_LOGGED_TEXTS = _same("name", "model_id", "model_type", "status", "source_run_id")
LOGGED_MODELS = Vocabulary(
    kinds={**_ATTRIBUTE, **_METRIC, **_PARAM, **_TAG},
    comparators={"attribute": _TEXT, "param": EQUALITY | PATTERNS, "tag": EQUALITY | PATTERNS},
    texts=_LOGGED_TEXTS,
    numbers={
        **dict.fromkeys(("creation_timestamp", "creation_time"), "creation_timestamp"),
        **dict.fromkeys(("last_updated_timestamp", "last_updated_time"), "last_updated_timestamp"),
    },
    listed=frozenset(_LOGGED_TEXTS),
    doubled_quotes=True,
)
