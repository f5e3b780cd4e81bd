"""Fitted trees of scikit-learn that came out of a file: every index inside its bounds.

scikit-learn follows the node numbers of a tree without looking, so that a forged file could make it read foreign
memory or run for ever. That is why skops does not trust these types; checked like this they are safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ...core import ArtifactCorrupt

_LEAF = -1


def check_trees(model: object, what: str) -> None:
    """Check every tree that `model` holds.

    Args:
        model: A loaded estimator.
        what: What to call the file in messages.

    Raises:
        ArtifactCorrupt: A tree names a node or a column that it does not have.

    Example:
        >>> check_trees([], "model.skops")
    """
    for tree, columns in _trees(model, 0, set()):
        ordinary = type(tree).__name__ == "Tree"
        if not (_check_tree(tree, columns) if ordinary else _check_histogram_tree(tree, columns)):
            raise ArtifactCorrupt(f"{what} holds a tree that names nodes or columns it does not have: do not use it")


def _trees(found: Any, columns: int, seen: set[int]) -> Iterator[tuple[Any, int]]:
    """Trees, each with the number of columns that its estimator is given."""
    if id(found) in seen or isinstance(found, str | bytes | int | float | type(None)):
        return
    seen.add(id(found))
    if type(found).__name__ in ("Tree", "TreePredictor") and type(found).__module__.startswith("sklearn."):
        yield found, columns
        return
    inside: Iterable[Any] = ()
    if isinstance(found, np.ndarray):
        inside = found.flat if found.dtype == object else ()
    elif isinstance(found, dict):
        inside = found.values()
    elif isinstance(found, list | tuple | set):
        inside = found
    elif hasattr(found, "__dict__"):
        inside, columns = vars(found).values(), _columns(found, columns)
    for each in inside:
        yield from _trees(each, columns, seen)


def _columns(estimator: Any, above: int) -> int:
    """What an estimator checks its input against; members of an ensemble are given the ensemble's columns unchecked."""
    own = getattr(estimator, "n_features_in_", None)
    if own is None:
        return above
    member = type(estimator).__module__.startswith("sklearn.tree.") and above
    return min(int(own), above) if member else int(own)


def _check_tree(tree: Any, columns: int) -> bool:
    count = int(tree.node_count)
    nodes = {name: np.asarray(getattr(tree, name)) for name in ("children_left", "children_right", "feature")}
    if any(len(each) != count for each in nodes.values()) or len(tree.value) != count or not count:
        return False
    own, inner = np.arange(count), nodes["children_left"] != _LEAF
    if not np.array_equal(inner, nodes["children_right"] != _LEAF):
        return False
    for side in ("children_left", "children_right"):
        # A child comes after its parent: a path through the tree ends.
        if not ((nodes[side] > own) & (nodes[side] < count))[inner].all():
            return False
    feature = nodes["feature"][inner]
    return bool(((feature >= 0) & (feature < min(columns, tree.n_features))).all())


def _check_histogram_tree(tree: Any, columns: int) -> bool:
    nodes = tree.nodes
    count, own = len(nodes), np.arange(len(nodes))
    inner = nodes["is_leaf"] == 0
    if not count or nodes.dtype.names is None:
        return False
    for side in ("left", "right"):
        if not ((nodes[side] > own) & (nodes[side] < count))[inner].all():
            return False
    feature, split = nodes["feature_idx"][inner], inner & (nodes["is_categorical"] != 0)
    sets = min(len(tree.raw_left_cat_bitsets), len(tree.binned_left_cat_bitsets))
    return bool(((feature >= 0) & (feature < columns)).all() and (nodes["bitset_idx"][split] < sets).all())
