"""Fixtures of the whole repository: one Ray cluster for the session, and the world that docstring examples speak of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from raylake.core import Workspace, ensure_ray

MADE = pytest.StashKey[Any]()
WORLD = {"ws", "training", "spec", "run", "endpoint", "renderer", "doubling", "doubled"}
RAYLESS = {"core", "registry", "pipelines", "cli", "testing"}


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The one local Ray cluster of the test session."""
    import ray

    home = Workspace.open(tmp_path_factory.mktemp("cluster"), ray_address="local")
    ensure_ray(home)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def example_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ray_cluster: None
) -> dict[str, Any]:
    """A trained, registered and deployed model, by the names that examples use."""
    from raylake.testing.example_world import make_world

    world = request.config.stash[MADE] = make_world(tmp_path_factory.mktemp("examples") / "lake")
    return {field.name: getattr(world, field.name) for field in fields(world)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup`: one process has all tests of Ray and its one cluster, the other what needs none."""
    needs_ray = {item.path for item in items if "ray_cluster" in getattr(item, "fixturenames", ()) or _above_data(item)}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("ray" if item.path in needs_ray else str(item.path)))


def _above_data(item: pytest.Item) -> bool:
    """Is this the example of a layer whose examples start Ray themselves?"""
    return isinstance(item, pytest.DoctestItem) and not RAYLESS & set(item.path.parts)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The world ends with the last example: its endpoint takes no time from the tests that follow."""
    if isinstance(nextitem, pytest.DoctestItem) or MADE not in item.config.stash:
        return
    from raylake import serve

    world = item.config.stash[MADE]
    del item.config.stash[MADE]
    world.renderer.close()
    serve.shutdown(world.ws)


@pytest.fixture(autouse=True)
def _world_of_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> Iterator[None]:
    """Give an example the names that it uses without making them; the world is built when the first one does."""
    names = _free_names(request.node) if isinstance(request.node, pytest.DoctestItem) else set()
    if wanted := names & WORLD:
        world = request.getfixturevalue("example_world")
        doctest_namespace.update({name: world[name] for name in wanted})
    yield
    doctest_namespace.clear()


def _free_names(item: pytest.DoctestItem) -> set[str]:
    """Names that an example reads and neither it nor its module defines."""
    read, made = set[str](), set[str](item.dtest.globs)
    for example in item.dtest.examples:
        for node in ast.walk(ast.parse(example.source)):
            if isinstance(node, ast.Name):
                (read if isinstance(node.ctx, ast.Load) else made).add(node.id)
            elif isinstance(node, ast.alias):
                made.add(node.asname or node.name)
            elif isinstance(node, ast.arg):
                made.add(node.arg)
    return read - made
