"""The registry's contract: models, versions and aliases."""

# ruff: noqa: D102 -- the name of a test is its sentence
from __future__ import annotations

import math
from functools import partial
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .. import registry
from ..core import Conflict, InvalidName, Node, NotFound, Workspace
from ..registry import Edge
from .registry_steps import DIGEST, PROPERTY, finished, together

Step = tuple[str, int, int | None]


class ModelsContract:
    """Models, versions and aliases."""

    def test_versions_count_from_one_and_carry_their_run(self, ws: Workspace) -> None:
        runs = [finished(ws, auc=0.6), finished(ws, auc=0.7)]
        first, second = (registry.register(ws, run, name="delay", description="d") for run in runs)
        assert (str(first), str(second), second.metrics) == ("delay@1", "delay@2", {"auc": 0.7})
        assert (second.run_id, second.artifact, second.description) == (runs[1].id, DIGEST, "d")
        assert registry.model_version(ws, "delay") == second
        assert registry.model_versions(ws, "delay") == [first, second]
        assert registry.upstream(ws, second.node) == [Edge(runs[1].node, second.node)]

    def test_the_same_run_is_the_same_version(self, ws: Workspace) -> None:
        run = finished(ws)
        first = registry.register(ws, run, name="delay")
        assert registry.register(ws, run.id, name="delay") == first
        again = registry.register(ws, run, name="delay", alias="champion")
        assert (again.version, again.aliases) == (1, ("champion",))
        assert registry.register(ws, run, name="other").version == 1

    def test_only_finished_runs_with_an_artifact(self, ws: Workspace) -> None:
        running = registry.start_run(ws, "fit", "x")
        with pytest.raises(Conflict, match="has status 'running'"):
            registry.register(ws, running, name="delay")
        with pytest.raises(Conflict, match="has no artifact"):
            registry.register(ws, registry.finish_run(ws, running.id), name="delay")
        assert registry.models(ws) == []

    def test_an_artifact_without_a_run(self, ws: Workspace) -> None:
        raw = Node("table", "main.flights", "3")
        made = registry.register_artifact(ws, DIGEST, name="delay", metrics={"auc": math.nan}, inputs=[raw])
        assert made.run_id is None and math.isnan(made.metrics["auc"])
        assert registry.register_artifact(ws, DIGEST, name="delay").version == 2
        assert registry.downstream(ws, raw) == [Edge(raw, made.node)]
        with pytest.raises(InvalidName, match="64 hexadecimal digits"):
            registry.register_artifact(ws, "../../etc/passwd", name="delay")

    def test_an_alias_moves_and_remembers(self, ws: Workspace) -> None:
        for alias in ("champion", None, None):
            registry.register(ws, finished(ws), name="delay", alias=alias)
        moved = registry.set_alias(ws, "delay", "champion", 3, expected=1)
        assert (moved.version, moved.aliases) == (3, ("champion",))
        registry.set_alias(ws, "delay", "champion", 3)
        registry.set_alias(ws, "delay", "champion", 1)
        registry.set_alias(ws, "delay", "backup", 1)
        assert registry.model_version(ws, "delay@champion").aliases == ("backup", "champion")
        history = registry.alias_history(ws, "delay", "champion")
        assert [version for version, _ in history] == [1, 3, 1]
        assert [since for _, since in history] == sorted(since for _, since in history)
        assert registry.alias_history(ws, "delay", "nothing") == []
        (model,) = registry.models(ws)
        assert (model.name, model.latest, model.aliases) == ("delay", 3, {"backup": 1, "champion": 1})

    def test_expected_guards_the_move(self, ws: Workspace) -> None:
        for _ in range(2):
            registry.register(ws, finished(ws), name="delay")
        with pytest.raises(Conflict, match="points at no version, expected: version 1"):
            registry.set_alias(ws, "delay", "champion", 2, expected=1)
        registry.set_alias(ws, "delay", "champion", 1, expected=None)
        for expected in (2, None):
            with pytest.raises(Conflict, match="points at version 1"):
                registry.set_alias(ws, "delay", "champion", 2, expected=expected)
        assert [version for version, _ in registry.alias_history(ws, "delay", "champion")] == [1]

    def test_the_unknown_is_answered_with_what_exists(self, ws: Workspace) -> None:
        with pytest.raises(NotFound, match="'delay' is not registered; registered models: none"):
            registry.model_version(ws, "delay@1")
        registry.register(ws, finished(ws), name="delay", alias="champion")
        with pytest.raises(NotFound, match="no alias 'winner'; newest versions: 1; aliases: champion"):
            registry.model_version(ws, "delay@winner")
        for version in (0, 2, 10**30):
            with pytest.raises(NotFound, match=f"no version {version};"):
                registry.model_version(ws, f"delay@{version}")
        with pytest.raises(NotFound):
            registry.set_alias(ws, "delay", "champion", 2)
        with pytest.raises(NotFound, match="'dela' is not registered; registered models: delay"):
            registry.set_alias(ws, "dela", "champion", 1)
        assert registry.model_versions(ws, "dela") == []

    def test_an_alias_that_reads_as_a_version_undoes_everything(self, ws: Workspace) -> None:
        run = finished(ws)
        for bad in ("3", "Champion", "a@b"):
            with pytest.raises(InvalidName):
                registry.register(ws, run, name="delay", alias=bad)
        with pytest.raises(NotFound, match=r"'raw.delay' is not registered"):
            registry.model_version(ws, "raw.delay")
        assert registry.models(ws) == [] and registry.upstream(ws, "model:delay") == []

    def test_versions_made_at_once_are_distinct(self, ws: Workspace) -> None:
        runs = [finished(ws) for _ in range(6)]
        made = together([lambda run=run: registry.register(ws, run, name="delay") for run in runs])  # type: ignore[misc]
        assert sorted(str(version) for version in made) == [f"delay@{n}" for n in range(1, 7)]

    def test_the_same_run_registered_at_once_is_one_version(self, ws: Workspace) -> None:
        run = finished(ws)
        made = together([lambda: registry.register(ws, run, name="delay", alias="champion") for _ in range(6)])
        assert {str(version) for version in made} == {"delay@1"}
        assert len(registry.alias_history(ws, "delay", "champion")) == 1

    def test_of_many_moves_with_the_same_expectation_one_wins(self, ws: Workspace) -> None:
        for _ in range(6):
            registry.register(ws, finished(ws), name="delay")
        for tried in ((1, 2, 3), (4, 5, 6)):
            moves = registry.alias_history(ws, "delay", "champion")
            expected = moves[-1][0] if moves else None
            results = together(
                [partial(registry.set_alias, ws, "delay", "champion", to, expected=expected) for to in tried]
            )
            assert sum(isinstance(result, Conflict) for result in results) == len(tried) - 1
        assert len(registry.alias_history(ws, "delay", "champion")) == 2

    @PROPERTY
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["champion", "backup"]),
                st.integers(1, 3),
                st.one_of(st.just(-1), st.none(), st.integers(1, 3)),
            ),
            max_size=8,
        )
    )
    def test_aliases_are_a_mapping_with_compare_and_set(self, ws: Workspace, steps: list[Step]) -> None:
        name = f"m{uuid4().hex}"
        for _ in range(3):
            registry.register_artifact(ws, DIGEST, name=name)
        pointers: dict[str, int] = {}
        moves: dict[str, list[int]] = {"champion": [], "backup": []}
        for alias, version, guard in steps:
            expected = registry.UNSET if guard == -1 else guard
            if guard != -1 and pointers.get(alias) != guard:
                with pytest.raises(Conflict):
                    registry.set_alias(ws, name, alias, version, expected=expected)
                continue
            registry.set_alias(ws, name, alias, version, expected=expected)
            if pointers.get(alias) != version:
                moves[alias].append(version)
            pointers[alias] = version
        found = {alias: v.version for v in registry.model_versions(ws, name) for alias in v.aliases}
        assert found == pointers
        for alias, versions in moves.items():
            assert [version for version, _ in registry.alias_history(ws, name, alias)] == versions
