"""One contract, two databases."""

from __future__ import annotations

import pytest

from raylake.core import Workspace
from raylake.testing.registry import RegistryConformance


class TestSqlite(RegistryConformance):
    """SQLite, the embedded default (the `ws` of tests/conftest.py)."""


class TestPostgres(RegistryConformance):
    """PostgreSQL, on a cluster."""

    @pytest.fixture
    def ws(self, postgres_ws: Workspace) -> Workspace:
        return postgres_ws
