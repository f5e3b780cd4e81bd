"""Fitted trees of scikit-learn that came out of a file: every index inside its bounds.

scikit-learn follows the node numbers of a tree without looking, so that a forged file could make it read foreign
memory or run for ever. That is why skops does not trust these types; checked like this they are safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...core import ArtifactCorrupt

_LEAF = -1


def check_trees(model: object, columns: int, what: str) -> None:
    """Check every tree that `model` holds.

    Args:
        model: A loaded estimator.
        columns: Number of its input columns.
        what: What to call the file in messages.

    Raises:
        ArtifactCorrupt: A tree names a node or a column that it does not have.

    Example:
        >>> check_trees([], 3, "model.skops")
    """
    for tree in _trees(model, set()):
        ordinary = type(tree).__name__ == "Tree"
        fine = _check_tree(tree) if ordinary else _check_histogram_tree(tree, columns)
        if not fine:
            raise ArtifactCorrupt(f"{what} holds a tree that names nodes or columns it does not have: do not use it")


def _trees(found: Any, seen: set[int]) -> Iterator[Any]:
    if id(found) in seen or isinstance(found, str | bytes | int | float | type(None)):
        return
    seen.add(id(found))
    if type(found).__name__ in ("Tree", "TreePredictor") and type(found).__module__.startswith("sklearn."):
        yield found
    elif isinstance(found, np.ndarray):
        if found.dtype == object:
            for each in found.flat:
                yield from _trees(each, seen)
    elif isinstance(found, dict):
        for each in found.values():
            yield from _trees(each, seen)
    elif isinstance(found, list | tuple | set):
        for each in found:
            yield from _trees(each, seen)
    elif hasattr(found, "__dict__"):
        yield from _trees(vars(found), seen)


def _check_tree(tree: Any) -> bool:
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
    return bool(((feature >= 0) & (feature < tree.n_features)).all())


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
