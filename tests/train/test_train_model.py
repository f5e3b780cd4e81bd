import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from raylake import train
from raylake.core import ArtifactCorrupt, ConfigError, InvalidName, NotFound, SchemaMismatch
from raylake.train.complete import complete
from raylake.train.compute import Resources
from raylake.train.fit import job_of
from raylake.train.plan import make_plan


def trained(ws, spec: train.Spec, folder: Path) -> tuple[Path, pa.Table]:
    """A model folder made in this process: the worker's loop and the driver's ending, without Ray."""
    plan = make_plan(ws, spec)
    job = job_of(ws, spec, plan, Resources(1, 1, 0, None), "run")
    folder.mkdir()
    complete(folder, spec, plan, "run", spec.trainer.worker_loop.function()(job))
    return folder, plan.valid


@pytest.fixture
def boosted(ws, frame, training, tmp_path):
    return trained(ws, train.Spec(train.XGBoost(15), training(ws, frame(600))), tmp_path / "model")


@pytest.fixture
def network(ws, frame, training, tmp_path):
    return trained(ws, train.Spec(train.MLP((8,), epochs=3), training(ws, frame(600))), tmp_path / "network")


def test_predictions_are_the_boosters_own(boosted):
    folder, rows = boosted
    model = train.load_model(folder)
    booster = xgboost.Booster(model_file=str(folder / "model.ubj"))
    expected = booster.predict(xgboost.DMatrix(model.matrix(rows), feature_names=list(model.matrix_columns)))
    np.testing.assert_allclose(model.predict(rows), expected, rtol=1e-6)
    assert train.evaluate(model.predict(rows), rows["late"].to_numpy())["auc"] > 0.8


@pytest.mark.parametrize("kind", ["boosted", "network"])
def test_one_row_at_a_time_scores_as_all_together(request, kind):
    folder, rows = request.getfixturevalue(kind)
    model = train.load_model(folder)
    together = model.predict(rows)
    alone = [model.predict(rows.slice(index, 1))[0] for index in range(rows.num_rows)]
    np.testing.assert_allclose(alone, together, rtol=1e-5)
    assert together.dtype == np.float64 and ((together > 0) & (together < 1)).all()


@pytest.mark.parametrize("kind", ["boosted", "network"])
def test_threads_share_one_model(request, kind):
    folder, rows = request.getfixturevalue(kind)
    model = train.load_model(folder)
    expected = model.predict(rows)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: model.predict(rows), range(64)):
            np.testing.assert_array_equal(found, expected)


def test_the_folder_carries_all_that_serving_needs(boosted):
    folder, _ = boosted
    model = train.load_model(folder)
    assert model.signature.names == ("distance", "wind", "carrier", "night")
    assert model.signature.schema.field("carrier").type == pa.string()
    assert model.feature_set.name == "flights"
    assert model.reference.column_names == [*model.signature.names, "score"]
    np.testing.assert_allclose(model.reference["score"].to_numpy(), model.predict(model.reference), rtol=1e-6)
    assert model.info["libraries"]["xgboost"] == xgboost.__version__
    assert sorted(path.name for path in folder.iterdir()) == [
        "MLmodel",
        "features.json",
        "model.json",
        "model.ubj",
        "recipe.json",
        "reference.parquet",
        "requirements.txt",
    ]


def test_columns_are_found_by_name_and_cast(boosted):
    folder, rows = boosted
    model = train.load_model(folder)
    whole = rows.set_column(
        rows.column_names.index("distance"), "distance", rows["distance"].cast(pa.int64(), safe=False)
    )
    jumbled = whole.select(sorted(whole.column_names, reverse=True))
    np.testing.assert_array_equal(model.predict(jumbled), model.predict(whole))
    with pytest.raises(SchemaMismatch, match="'wind' missing"):
        model.predict(rows.drop_columns(["wind"]))
    with pytest.raises(SchemaMismatch, match="'distance' is string"):
        model.predict(
            rows.set_column(rows.column_names.index("distance"), "distance", pa.array(["far"] * rows.num_rows))
        )
    with pytest.raises(SchemaMismatch, match=r"takes \(rows, 4\)"):
        model.predict_matrix(np.zeros((1, 3), np.float32))


def test_an_unseen_category_and_a_missing_value_still_score(boosted):
    folder, _ = boosted
    strange = pa.table(
        {"distance": [None], "wind": [None], "carrier": ["ZZ"], "night": [None]},
        schema=train.load_model(folder).signature.schema,
    )
    assert np.isfinite(train.load_model(folder).predict(strange)).all()


@pytest.mark.parametrize("name", ["model.ubj", "recipe.json", "reference.parquet"])
def test_a_changed_or_missing_file_is_refused(boosted, name):
    folder, _ = boosted
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactCorrupt, match=f"{name} has hash"):
        train.load_model(folder)
    (folder / name).unlink()
    with pytest.raises(ArtifactCorrupt, match=f"{name} is missing"):
        train.load_model(folder)


def edit(folder: Path, **changes: object) -> None:
    info = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**info, **changes}))


def test_pickles_other_formats_and_foreign_paths_are_refused(boosted, tmp_path):
    folder, _ = boosted
    files = json.loads((folder / "model.json").read_text())["files"]
    edit(folder, files={"../model.ubj": files["model.ubj"]})
    with pytest.raises(InvalidName, match="own folder"):
        train.load_model(folder)
    edit(folder, files=files, flavour="pickle")
    with pytest.raises(ConfigError, match="never loaded"):
        train.load_model(folder)
    edit(folder, format=99)
    with pytest.raises(ArtifactCorrupt, match="format 99"):
        train.load_model(folder)
    (folder / "model.json").write_text("{")
    with pytest.raises(ArtifactCorrupt, match="not JSON"):
        train.load_model(folder)
    with pytest.raises(NotFound, match=r"model.json is missing"):
        train.load_model(tmp_path)


def test_regression_scores_are_values(ws, frame, training, tmp_path):
    folder, rows = trained(ws, train.Spec(train.XGBoost(30), training(ws, frame(600), "minutes")), tmp_path / "model")
    found = train.evaluate(train.load_model(folder).predict(rows), rows["minutes"].to_numpy(), task="regression")
    assert found["r2"] > 0.5


def test_early_stopping_keeps_the_best_round(ws, frame, training, tmp_path):
    spec = train.Spec(train.XGBoost(300, early_stopping=5, learning_rate=0.5), training(ws, frame(400)))
    folder, _ = trained(ws, spec, tmp_path / "model")
    assert xgboost.Booster(model_file=str(folder / "model.ubj")).num_boosted_rounds() < 100


def test_without_recipe_columns_are_used_as_they_are(ws, frame, training, tmp_path):
    made = training(ws, frame(300), columns=("distance", "wind", "night"))
    folder, rows = trained(ws, train.Spec(train.XGBoost(5), made), tmp_path / "model")
    assert not (folder / "recipe.json").exists()
    assert len(train.load_model(folder).predict(rows)) == 60
