"""Training sets that were made before, read back from what their table says of itself."""

from __future__ import annotations

import json

from .. import registry
from ..core import Node, NotFound, Ref, Workspace
from ..data.delta_log import entries, require
from .feature_set import FeatureSet
from .training import TrainingSet

_METADATA = "raylake.training_set"


def stored_training_set(ws: Workspace, ref: Ref | str) -> TrainingSet:
    """The training set that ``training.<name>@<version>`` is the table of.

    Args:
        ws: The workspace.
        ref: The table; its newest version when it names none.

    Raises:
        NotFound: No such table or version, or no training set made it.
        ConfigError: A function of its feature set cannot be imported, or changed since.

    Example:
        >>> stored_training_set(ws, "training.flights@1") == training
        True
    """
    version = registry.table_version(ws, ref)
    pinned = version.ref.at(version.version)
    table = require(ws, pinned)
    commit = next(entries(table, ws.table_url(pinned)), None)
    text = None if commit is None else (commit.facts.get("metadata") or {}).get(_METADATA)
    if not text:
        raise NotFound(f"{pinned} was not made by features.training_set: it does not say what its columns are")
    found = json.loads(text)
    features = FeatureSet.from_dict(found["feature_set"])
    inputs = tuple(Node.parse(node) for node in found["inputs"])
    return TrainingSet(
        version.ref.name, version, features, found["label"], found["event_time"], features.columns, inputs
    )
