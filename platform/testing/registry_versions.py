"""The registry's contract: what is said about models and versions, where versions come from, searching, webhooks."""

# ruff: noqa: D102 -- the name of a test is its sentence
from __future__ import annotations

from datetime import timedelta

import pytest

from .. import registry
from ..core import Conflict, DataError, InvalidName, NotFound, Workspace
from ..registry import Delivery
from ..registry.webhooks import EVENTS
from .registry_steps import DIGEST, finished

HOSTILE_NAMES = ("", " ", ".", "..", "../x", "a/b", "a\\b", "a:b", "a@1", "a\0b", "a\nb", " a", "x" * 257, "\ud800")
HOSTILE_SOURCES = (
    *("file:///etc/passwd", "/etc/passwd", "../x", "s3://bucket/x", "http://127.0.0.1/x", "ftp://host/x", "", "C:\\x"),
    *("mlflow-artifacts://host/x", "mlflow-artifacts:/../x", "mlflow-artifacts:/a/%2e%2e/x", "mlflow-artifacts:/"),
    *("mlflow-artifacts:/a/%252e%252e/x", "mlflow-artifacts:/a#x", "mlflow-artifacts:/a?x=1", "mlflow-artifacts:////x"),
    *(
        "runs:/../x",
        "runs:/x/../../y",
        "models:/m-1/../x",
        "models:/../1",
        "dbfs:/x",
        "file://../x",
        "mlflow-artifacts:x",
    ),
)
WRONG_FILTERS = (
    *("name", "name =", "name = x", "nme = 'x'", "name > 'x'", "name = 'x' OR name = 'y'", "tags.a IN ('x')"),
    *("name IN 'x'", "name = 'x", "metrics.a > 1", "'a' = 'a'", "name LIKE 3", "a.b.c = 'x'"),
)


def logged(ws: Workspace, content: bytes = b"trees", path: str = "uploads/iris/model.ubj") -> str:
    """A file in the artifact tree; the URI of its folder."""
    registry.add_artifact(ws, path, registry.put_bytes(ws, content), len(content))
    return f"mlflow-artifacts:/{path.rpartition('/')[0]}"


class VersionsContract:
    """Models as MLflow's clients see them."""

    def test_a_model_is_described_tagged_and_forgotten(self, ws: Workspace) -> None:
        made = registry.create_model(ws, "Iris Classifier (v2)", description="d", tags={"team": "a"})
        assert (made.latest, made.tags, registry.model(ws, made.name)) == (None, {"team": "a"}, made)
        with pytest.raises(Conflict, match="exists already"):
            registry.create_model(ws, made.name)
        registry.tag_model(ws, made.name, {"team": "b", "stage": "x"})
        registry.untag_model(ws, made.name, "stage")
        registry.untag_model(ws, made.name, "stage")
        registry.describe_model(ws, made.name, "e")
        found = registry.model(ws, made.name)
        assert (found.tags, found.description) == ({"team": "b"}, "e")
        assert found.updated_at is not None and found.updated_at > made.created_at
        registry.delete_model(ws, made.name)
        for call in (registry.model, registry.delete_model):
            with pytest.raises(NotFound, match="is not registered"):
                call(ws, made.name)
        assert registry.create_model(ws, made.name).tags == {}

    def test_hostile_names_are_refused(self, ws: Workspace) -> None:
        registry.create_model(ws, "iris")
        for name in HOSTILE_NAMES:
            with pytest.raises(InvalidName, match="model name"):
                registry.create_model(ws, name)
            with pytest.raises(InvalidName, match="model name"):
                registry.rename_model(ws, "iris", name)
        assert [model.name for model in registry.models(ws)] == ["iris"]

    def test_hostile_sources_are_refused(self, ws: Workspace) -> None:
        registry.create_model(ws, "iris")
        for source in HOSTILE_SOURCES:
            with pytest.raises((DataError, InvalidName, NotFound)):
                registry.register_source(ws, "iris", source)
        assert registry.model_versions(ws, "iris") == []

    def test_a_version_keeps_its_files_whatever_happens_to_the_source(self, ws: Workspace) -> None:
        source = logged(ws)
        registry.create_model(ws, "iris")
        first = registry.register_source(ws, "iris", source, tags={"k": "v"}, description="d")
        logged(ws, b"other")
        second = registry.register_source(ws, "iris", source)
        registry.remove_artifact(ws, "uploads")
        with pytest.raises(NotFound, match="log the model before"):
            registry.register_source(ws, "iris", source)
        registry.collect_garbage(ws, older_than=timedelta(0))
        assert (str(first), str(second), first.tags, first.source) == ("iris@1", "iris@2", {"k": "v"}, source)
        found = [registry.find_artifact(ws, f"sha256/{each.artifact}/model.ubj") for each in (first, second)]
        assert [registry.get_bytes(ws, entry.digest or "") for entry in found] == [b"trees", b"other"]

    def test_a_source_must_be_what_made_it(self, ws: Workspace) -> None:
        run, other = finished(ws, auc=0.7), finished(ws)
        source = logged(ws, path=f"0/{run.id}/artifacts/m/model.ubj")
        registry.create_model(ws, "iris")
        with pytest.raises(DataError, match="does not lie in"):
            registry.register_source(ws, "iris", source, run_id=other.id)
        with pytest.raises(NotFound):
            registry.register_source(ws, "iris", source, run_id="0" * 32)
        made = registry.register_source(ws, "iris", source, run_id=run.id)
        again = registry.register_source(ws, "iris", f"runs:/{run.id}/m")
        copied = registry.register_source(ws, "iris", "models:/iris/1")
        assert made.metrics == {"auc": 0.7} == copied.metrics and made.artifact == again.artifact == copied.artifact
        assert {edge.source for edge in registry.upstream(ws, made.node)} >= {run.node}
        assert registry.upstream(ws, copied.node, depth=1)[-1].source in (made.node, run.node)

    def test_a_logged_model_becomes_a_version(self, ws: Workspace) -> None:
        run = finished(ws)
        model = registry.create_logged_model(ws, "0", name="iris", run_id=run.id, params={"depth": "3"})
        logged(ws, path=f"{model.folder}/model.ubj")
        registry.finish_logged_model(ws, model.id, "ready")
        registry.create_model(ws, "iris")
        made = registry.register_source(ws, "iris", f"models:/{model.id}")
        by_path = registry.register_source(ws, "iris", model.artifact_uri, run_id=run.id)
        assert (made.run_id, made.logged_model, by_path.logged_model) == (run.id, model.id, model.id)
        with pytest.raises(DataError, match="does not lie in"):
            registry.register_source(ws, "iris", f"models:/{model.id}", logged_model_id="m-" + "0" * 32)
        registry.delete_logged_model(ws, model.id)
        assert registry.purge_logged_models(ws) == 1 and registry.list_artifacts(ws, model.folder) == []
        assert registry.find_artifact(ws, f"sha256/{made.artifact}/model.ubj").size == 5

    def test_a_deleted_number_is_never_used_again(self, ws: Workspace) -> None:
        for _ in range(2):
            registry.register_artifact(ws, DIGEST, name="iris", alias="champion")
        registry.delete_version(ws, "iris", 2)
        assert [str(each) for each in registry.model_versions(ws, "iris")] == ["iris@1"]
        for ref in ("iris@2", "iris@champion"):
            with pytest.raises(NotFound):
                registry.model_version(ws, ref)
        registry.delete_model(ws, "iris")
        assert registry.models(ws) == [] and registry.search_versions(ws)[0] == []
        assert str(registry.register_artifact(ws, DIGEST, name="iris")) == "iris@3"

    def test_what_is_served_is_neither_deleted_nor_renamed(self, ws: Workspace) -> None:
        made = registry.register_artifact(ws, DIGEST, name="iris")
        registry.record_deployment(ws, "iris", made, target="iris@1", config={}, url="")
        for call in (
            lambda: registry.delete_version(ws, "iris", 1),
            lambda: registry.delete_model(ws, "iris"),
            lambda: registry.rename_model(ws, "iris", "other"),
        ):
            with pytest.raises(Conflict, match="endpoint 'iris' serves iris@1"):
                call()

    def test_a_new_name_takes_everything_along(self, ws: Workspace) -> None:
        run = finished(ws)
        registry.register(ws, run, name="iris", alias="champion")
        registry.tag_model(ws, "iris", {"a": "1"})
        registry.tag_model(ws, "iris", {"b": "2"}, version=1)
        registry.rename_model(ws, "iris", "Flower Power")
        found = registry.model_version(ws, "Flower Power@champion")
        assert (found.tags, found.run_id, registry.model(ws, "Flower Power").tags) == ({"b": "2"}, run.id, {"a": "1"})
        assert [edge.target for edge in registry.downstream(ws, run.node)] == [found.node]
        assert [model.name for model in registry.models(ws)] == ["Flower Power"]
        assert registry.alias_history(ws, "Flower Power", "champion")[0][0] == 1
        registry.create_model(ws, "taken")
        with pytest.raises(Conflict, match="exists already"):
            registry.rename_model(ws, "Flower Power", "taken")

    def test_stages(self, ws: Workspace) -> None:
        for _ in range(3):
            registry.register_artifact(ws, DIGEST, name="iris")
        registry.move_stage(ws, "iris", 1, "Production")
        registry.move_stage(ws, "iris", 2, "production", archive_existing=True)
        assert [each.stage for each in registry.model_versions(ws, "iris")] == ["Archived", "Production", "None"]
        assert [each.version for each in registry.latest_versions(ws, "iris")] == [1, 2, 3]
        assert [each.version for each in registry.latest_versions(ws, "iris", ["production"])] == [2]
        with pytest.raises(DataError, match="Invalid Model Version stage"):
            registry.move_stage(ws, "iris", 1, "best")
        with pytest.raises(DataError, match="cannot be emptied"):
            registry.move_stage(ws, "iris", 1, "Archived", archive_existing=True)

    def test_searching_models_minds_case_and_pages(self, ws: Workspace) -> None:
        for name in ("iris-a", "iris-b", "Iris-c", "other_x", "other*y"):
            registry.create_model(ws, name, tags={"team": "a" if name < "iris-b" else "b", "odd key": "it's"})
        registry.create_model(ws, "prompt", tags={"mlflow.prompt.is_prompt": "true"})

        def names(text: str) -> list[str]:
            return [model.name for model in registry.search_models(ws, text)[0]]

        assert set(names("name LIKE 'iris%'")) == {"iris-a", "iris-b"}
        assert set(names("name ILIKE 'IRIS%'")) == {"iris-a", "iris-b", "Iris-c"}
        assert names("name LIKE 'other*%'") == ["other*y"] and names("name = 'x'' OR 1=1 --'") == []
        assert set(names("name IN ('iris-a', \"Iris-c\") and name != 'iris-a'")) == {"Iris-c"}
        assert set(names("tags.team = 'a' AND tags.`odd key` = 'it''s'")) == {"iris-a", "Iris-c"}
        assert "prompt" not in names("tag.`mlflow.prompt.is_prompt` != 'true'") and len(names("")) == 6
        page, token = registry.search_models(ws, order_by=["name DESC"], limit=4)
        rest, end = registry.search_models(ws, order_by=["name DESC"], limit=4, page=token)
        found = [model.name for model in [*page, *rest]]
        assert len(found) == 6 == len(set(found)) and end == ""

    def test_a_wrong_filter_says_so(self, ws: Workspace) -> None:
        for text in WRONG_FILTERS:
            with pytest.raises(DataError, match="Invalid"):
                registry.search_models(ws, text)

    def test_searching_versions(self, ws: Workspace) -> None:
        run = finished(ws)
        registry.register(ws, run, name="iris")
        registry.register_artifact(ws, DIGEST, name="iris")
        registry.register_artifact(ws, "1" * 64, name="other")
        registry.tag_model(ws, "iris", {"k": "v"}, version=2)

        def found(text: str, *order: str) -> list[str]:
            return [str(each) for each in registry.search_versions(ws, text, order_by=order)[0]]

        assert found("") == ["iris@2", "iris@1", "other@1"]
        assert found("name = 'iris'", "version_number ASC") == ["iris@1", "iris@2"]
        assert found(f"run_id = '{run.id}'") == ["iris@1"] and found("tags.k LIKE 'v%'") == ["iris@2"]
        assert found("version_number >= 2") == ["iris@2"] and found("version_number = '1' AND name='iris'") == [
            "iris@1"
        ]
        assert found(f"source_path = 'mlflow-artifacts:/sha256/{'1' * 64}'") == ["other@1"]
        for wrong in ("version_number = 'x'", "version_number LIKE '1'", "version_number = 1.5"):
            with pytest.raises(DataError, match="Invalid"):
                found(wrong)
        with pytest.raises(DataError, match="Invalid page token"):
            registry.search_versions(ws, page="../../etc")

    def test_searching_logged_models(self, ws: Workspace) -> None:
        ids = []
        for depth, auc in (("2", 0.6), ("3", 0.8), ("4", 0.7)):
            made = registry.create_logged_model(ws, "0", name=f"m{depth}", params={"depth": depth}, tags={"t": depth})
            registry.log_model_metrics(
                ws, made.id, [registry.LoggedMetric("auc", auc, dataset="d", dataset_digest="1")]
            )
            ids.append(made.id)

        def found(text: str, *order: registry.Order) -> list[str]:
            return [each.name for each in registry.search_logged_models(ws, ["0"], text, order_by=order)[0]]

        assert found("") == ["m4", "m3", "m2"] and found("params.depth != '3'") == ["m4", "m2"]
        assert found("metrics.auc > 0.65", registry.Order("metric", "auc", False)) == ["m3", "m4"]
        assert found("tags.t = '2' AND name LIKE 'm%' AND status = 'PENDING'") == ["m2"]
        assert registry.search_logged_models(ws, ["0"], "metrics.auc > 0", datasets=[("other", "")])[0] == []
        assert registry.search_logged_models(ws, ["0"], datasets=[("d", "2")])[0] == []
        assert len(registry.search_logged_models(ws, ["0"], datasets=[("d", ""), ("other", "")])[0]) == 3
        registry.delete_logged_model(ws, ids[0])
        assert found(f"model_id = '{ids[0]}'") == [] and found("creation_timestamp > 0") == ["m4", "m3"]
        with pytest.raises(NotFound):
            registry.create_logged_model(ws, "4711")
        with pytest.raises(InvalidName):
            registry.create_logged_model(ws, "../1")

    def test_a_webhook_hears_of_what_was_committed(self, ws: Workspace) -> None:
        hook = registry.create_webhook(ws, "all", "https://h.example.org/x", EVENTS, secret="s")
        off = registry.create_webhook(
            ws, "off", "https://h.example.org/y", ["registered_model.created"], status="disabled"
        )
        registry.create_model(ws, "iris", tags={"a": "b"})
        version = registry.register_source(ws, "iris", logged(ws))
        registry.tag_model(ws, "iris", {"k": "v"}, version=1)
        registry.set_alias(ws, "iris", "champion", 1)
        registry.set_alias(ws, "iris", "champion", 1)
        registry.drop_alias(ws, "iris", "champion")
        registry.untag_model(ws, "iris", "k", version=1)
        with pytest.raises(NotFound):
            registry.tag_model(ws, "iris", {"k": "v"}, version=7)
        told: list[Delivery] = registry.deliveries(ws, hook.id)[::-1]
        assert [each.event for each in told] == [
            "registered_model.created",
            "model_version.created",
            "model_version_tag.set",
            "model_version_alias.created",
            "model_version_alias.deleted",
            "model_version_tag.deleted",
        ]
        assert told[1].payload["source"] == version.source and told[1].payload["version"] == "1"
        assert registry.deliveries(ws, off.id) == [] and registry.webhooks(ws) == [hook, off]
        registry.delete_webhook(ws, hook.id)
        with pytest.raises(NotFound):
            registry.deliveries(ws, hook.id)
