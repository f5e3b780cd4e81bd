"""Folders that MLflow's client wrote, and forged ones."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xgboost
import yaml

from raylake import train
from raylake.core import ArtifactCorrupt, ConfigError, NotFound, RaylakeError
from raylake.train.flavours import skops_file


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch pwned",))


def folder(path: Path, flavours: object, **more: object) -> Path:
    (path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours, **more}))
    return path


@pytest.mark.parametrize(
    "name", ["../x.ubj", "/etc/x.ubj", "..", "a/b.ubj", "x.pkl", "", None, 7, "a\\b.ubj", "x.ubj\n"]
)
def test_a_file_outside_the_folder_is_not_opened(tmp_path: Path, name: object) -> None:
    with pytest.raises(ConfigError, match=r"model file .* is refused"):
        train.load_model(folder(tmp_path, {"xgboost": {"data": name}}))


def test_links_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"x\.ubj is missing"):
        train.load_model(folder(tmp_path, {"xgboost": {"data": "x.ubj"}}))
    (tmp_path / "x.ubj").symlink_to("/etc/passwd")
    with pytest.raises(NotFound, match=r"x\.ubj is missing"):
        train.load_model(tmp_path)


@pytest.mark.parametrize("form", ["pickle", "cloudpickle", "joblib", ""])
def test_a_pickle_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ConfigError, match="runs whatever code it holds"):
        train.load_model(folder(tmp_path, {"sklearn": {"pickled_model": "model.pkl", "serialization_format": form}}))
    assert not (tmp_path / "pwned").exists()


def test_a_pickle_in_skops_clothing_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.skops").write_bytes(pickle.dumps(Evil()))
    flavour = {"pickled_model": "m.skops", "serialization_format": "skops", "skops_trusted_types": ["posix.system"]}
    with pytest.raises(ArtifactCorrupt, match="is not a skops file"):
        train.load_model(folder(tmp_path, {"sklearn": flavour}))
    assert not (tmp_path / "pwned").exists()


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skops_file, "_LARGEST_UNPACKED", 10 << 20)
    with zipfile.ZipFile(tmp_path / "m.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(11 << 20))
    assert (tmp_path / "m.skops").stat().st_size < 100_000
    with pytest.raises(ConfigError, match="unpacks to"):
        train.load_model(folder(tmp_path, {"sklearn": {"pickled_model": "m.skops", "serialization_format": "skops"}}))


@pytest.mark.parametrize(
    "text", ["[", "- a", "!!python/object/apply:os.system ['touch pwned']", "a: &a [*a]", "\ud83d", "1", ""]
)
def test_a_forged_mlmodel_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MLmodel").write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(RaylakeError):
        train.load_model(tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_other_flavours_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"flavours python_function, pytorch cannot be served.*skops"):
        train.load_model(folder(tmp_path, {"python_function": {}, "pytorch": {}}))
    with pytest.raises(ConfigError, match="columns of type string"):
        signature = {"inputs": '[{"name": "a", "type": "string"}]'}
        train.load_model(folder(tmp_path, {"xgboost": {"data": "x.ubj"}}, signature=signature))


def test_several_classes_are_read_and_a_class_without_probabilities_is_refused(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((30, 2))
    data = xgboost.DMatrix(rows, label=np.arange(30) % 3)
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3}, data, 1)
    booster.save_model(tmp_path / "x.ubj")
    model = train.load_model(folder(tmp_path, {"xgboost": {"data": "x.ubj"}}))
    assert (model.signature.task, model.signature.classes) == ("multiclass", (0, 1, 2))
    found = model.predict(pa.table({"f0": rows[:, 0], "f1": rows[:, 1]}))
    np.testing.assert_allclose(found, booster.predict(data), rtol=1e-6)
    xgboost.train({"objective": "multi:softmax", "num_class": 3}, data, 1).save_model(tmp_path / "x.ubj")
    with pytest.raises(ConfigError, match="multi:softmax"):
        train.load_model(tmp_path)


def logged(path: Path, flavour: str, task: str) -> tuple[Path, pa.Table, np.ndarray]:
    """A folder that MLflow's client really wrote, its rows, and what the framework says."""
    import lightgbm
    import mlflow
    import pandas as pd

    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.random(80), "b": draw.random(80)})
    label = (frame["a"] * 3).astype(int) if task == "multiclass" else (frame["a"] > 0.5).astype(int)
    signature = mlflow.models.infer_signature(frame, None)
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    if flavour == "lightgbm":
        booster = lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbosity=-1).fit(frame, label).booster_
        mlflow.lightgbm.save_model(booster, path, signature=signature)
        return path, rows, booster.predict(frame)
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(frame.to_numpy(np.float32), label)
    graph = to_onnx(model, frame.to_numpy(np.float32)[:1], options={"zipmap": False})
    mlflow.onnx.save_model(graph, path, signature=signature)
    scores = model.predict_proba(frame.to_numpy(np.float32))
    return path, rows, scores if task == "multiclass" else scores[:, 1]


@pytest.mark.parametrize("flavour", ["lightgbm", "onnx"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_folders_that_mlflow_wrote(tmp_path: Path, flavour: str, task: str) -> None:
    path, rows, scores = logged(tmp_path / "m", flavour, task)
    model = train.load_model(path)
    assert (model.signature.task, model.info["flavour"]) == (task, f"mlflow-{flavour}")
    np.testing.assert_allclose(model.predict(rows), scores, rtol=1e-4, atol=1e-6)
