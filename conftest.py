"""Collection rules for the whole tree."""

from __future__ import annotations

import doctest

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out docstring examples that only show calls which need a cluster: there is nothing in them to run.

    Every line of such an example carries SKIP; what it shows is tested on the session's cluster by the tests of
    its layer. pytest would report each as a skipped test, and CI allows none.
    """
    shown = [item for item in items if _only_shows(item)]
    if shown:
        config.hook.pytest_deselected(items=shown)
        items[:] = [item for item in items if not _only_shows(item)]


def _only_shows(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.DoctestItem) or item.dtest is None:
        return False
    return all(example.options.get(doctest.SKIP, False) for example in item.dtest.examples)
