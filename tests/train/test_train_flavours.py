"""Each flavour against the shared contract, and what is special to one."""

from __future__ import annotations

import json

import lightgbm
import numpy as np
import onnx
import pyarrow as pa
import pytest
import tests.train.flavour_models as flavour_models
import torch
import xgboost
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC

from raylake import registry, train
from raylake.core import ArtifactCorrupt, ConfigError, DataError, SchemaMismatch
from raylake.testing.flavours import Example, FlavourContract, elsewhere, forge
from raylake.testing.learnable import label_frame
from raylake.train.flavours import to_frame

__all__ = ["elsewhere"]
NUMBERS = ("distance", "night")


def numbers(rows: int = 200) -> tuple[pa.Table, np.ndarray, dict[str, np.ndarray]]:
    """Rows of numbers, as a float32 matrix too, and a label of each task."""
    frame = label_frame(rows)
    table = frame.select(list(NUMBERS))
    minutes = frame["minutes"].to_numpy()
    thirds = np.digitize(minutes, np.quantile(minutes, [1 / 3, 2 / 3]))
    labels = {"binary": frame["late"].to_numpy(zero_copy_only=False), "multiclass": thirds, "regression": minutes}
    return table, to_frame(table).to_numpy().astype(np.float32), {k: v.astype(float) for k, v in labels.items()}


class TestXGBoost(FlavourContract):
    flavour = "xgboost"

    @pytest.fixture(params=["binary", "multiclass", "regression"])
    def example(self, request: pytest.FixtureRequest) -> Example:
        rows, matrix, labels = numbers()
        objective = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}
        params = {"objective": objective[request.param], "nthread": 1}
        params |= {"num_class": 3} if request.param == "multiclass" else {}
        booster = xgboost.train(params, xgboost.DMatrix(matrix, labels[request.param]), 5)
        classes = (0, 1, 2) if request.param == "multiclass" else ()
        return Example(booster, rows, booster.predict(xgboost.DMatrix(matrix)), request.param, classes=classes)


class TestLightGBM(FlavourContract):
    flavour = "lightgbm"

    @pytest.fixture(params=["binary", "multiclass", "regression"])
    def example(self, request: pytest.FixtureRequest) -> Example:
        rows, matrix, labels = numbers()
        kind = lightgbm.LGBMRegressor if request.param == "regression" else lightgbm.LGBMClassifier
        model = kind(n_estimators=5, n_jobs=1, verbosity=-1).fit(matrix, labels[request.param])
        return Example(model, rows, model.booster_.predict(matrix), request.param, tolerance=0)


class TestSklearnPipeline(FlavourContract):
    """With text columns, which the pipeline encodes."""

    flavour = "sklearn"

    @pytest.fixture
    def example(self) -> Example:
        frame = label_frame(200)
        rows = frame.select(["distance", "carrier", "night"])
        encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["carrier"]), remainder="passthrough")
        model = make_pipeline(encode, RandomForestClassifier(5, random_state=0))
        model.fit(to_frame(rows), frame["late"].to_numpy(zero_copy_only=False))
        return Example(model, rows, model.predict_proba(to_frame(rows))[:, 1], "binary", tolerance=0)


class TestSklearnEstimator(FlavourContract):
    flavour = "sklearn"

    @pytest.fixture(params=["multiclass", "regression"])
    def example(self, request: pytest.FixtureRequest) -> Example:
        rows, matrix, labels = numbers()
        if request.param == "regression":
            model = HistGradientBoostingRegressor(max_iter=5).fit(matrix, labels["regression"])
            return Example(model, rows, model.predict(matrix), "regression")
        named = np.array(["early", "late", "middle"])[labels["multiclass"].astype(int)]
        model = RandomForestClassifier(5, random_state=0).fit(matrix, named)
        return Example(model, rows, model.predict_proba(to_frame(rows)), "multiclass", tolerance=0)


class TestTorch(FlavourContract):
    flavour = "torch"

    @pytest.fixture(params=["binary", "multiclass", "regression"])
    def example(self, request: pytest.FixtureRequest) -> Example:
        rows, matrix, _ = numbers()
        torch.manual_seed(0)
        outputs = 3 if request.param == "multiclass" else 1
        net = flavour_models.Net(2, outputs=outputs).eval()
        with torch.inference_mode():
            out = net(torch.from_numpy(matrix))
        activation = {"binary": torch.sigmoid, "multiclass": lambda x: torch.softmax(x, -1), "regression": lambda x: x}
        scores = activation[request.param](out).double().numpy()
        classes = ("a", "b", "c") if outputs > 1 else ()
        return Example(net, rows, scores, request.param, {"inputs": 2, "outputs": outputs}, classes)


class TestLightning(FlavourContract):
    flavour = "torch"

    @pytest.fixture
    def example(self) -> Example:
        rows, matrix, _ = numbers()
        torch.manual_seed(0)
        module = flavour_models.LitNet(2, width=3).eval()
        with torch.inference_mode():
            scores = module(torch.from_numpy(matrix)).double().numpy()
        return Example(module, rows, scores, "regression")


class TestOnnxMatrix(FlavourContract):
    """One tensor of all columns, exported from scikit-learn."""

    flavour = "onnx"

    @pytest.fixture(params=["binary", "multiclass", "regression"])
    def example(self, request: pytest.FixtureRequest) -> Example:
        rows, matrix, labels = numbers()
        if request.param == "regression":
            model = RandomForestRegressor(5, random_state=0).fit(matrix, labels["regression"])
            return Example(to_onnx(model, matrix[:1]), rows, model.predict(matrix), "regression", tolerance=1e-4)
        model = RandomForestClassifier(5, random_state=0).fit(matrix, labels[request.param])
        graph = to_onnx(model, matrix[:1], options={"zipmap": False})
        scores = model.predict_proba(matrix)
        if request.param == "binary":
            return Example(graph, rows, scores[:, 1], "binary", tolerance=1e-4)
        return Example(graph, rows, scores, "multiclass", classes=(0, 1, 2), tolerance=1e-4)


class TestOnnxColumns(FlavourContract):
    """A tensor for each column, text included."""

    flavour = "onnx"

    @pytest.fixture
    def example(self) -> Example:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType

        frame = label_frame(200)
        rows = frame.select(["distance", "carrier"])
        encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["carrier"]), remainder="passthrough")
        model = make_pipeline(encode, LogisticRegression(max_iter=1000))
        model.fit(to_frame(rows), frame["late"].to_numpy(zero_copy_only=False).astype(int))
        types = [("distance", FloatTensorType([None, 1])), ("carrier", StringTensorType([None, 1]))]
        graph = convert_sklearn(model, initial_types=types, options={"zipmap": False})
        return Example(graph, rows, model.predict_proba(to_frame(rows))[:, 1], "binary", tolerance=1e-4)


class TestFunction(FlavourContract):
    flavour = "function"

    @pytest.fixture
    def example(self) -> Example:
        rows = label_frame(200).select(["distance", "carrier"])
        scores = flavour_models.by_rule(rows, threshold=900.0).to_numpy()
        return Example(flavour_models.by_rule, rows, scores, "binary", {"threshold": 900.0}, tolerance=0)


def some_rows() -> pa.Table:
    return numbers(20)[0]


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "net.pt", "last.ckpt"])
def test_pickles_are_refused_with_what_to_do_instead(ws, name):
    with pytest.raises(ConfigError, match=r"looks like a pickle.*load it yourself and store the object"):
        train.store_model(ws, name, some_rows(), task="binary")


@pytest.mark.parametrize("model", [object(), 3, {"a": 1}, len])
def test_what_is_no_model_is_refused(ws, model):
    with pytest.raises(ConfigError, match=r"is no model that raylake stores.*scikit-learn.*train.predictor"):
        train.store_model(ws, model, some_rows(), task="binary")


def test_estimators_that_give_no_probabilities_or_hold_unsafe_types(ws):
    rows, matrix, labels = numbers(50)
    with pytest.raises(ConfigError, match="LinearSVC is a classifier without predict_proba"):
        train.store_model(ws, LinearSVC().fit(matrix, labels["binary"]), rows, task="binary")
    with pytest.raises(SchemaMismatch, match="the model gave"):
        train.store_model(ws, KMeans(2).fit(to_frame(rows)), rows, task="multiclass", classes=(0, 1, 2))
    near = KNeighborsClassifier(algorithm="kd_tree").fit(matrix, labels["binary"])
    with pytest.raises(ConfigError, match=r"KDTree.*choose algorithm='brute'.*'trusted': True"):
        train.store_model(ws, near, rows, task="binary")
    digest = train.store_model(ws, near, rows, task="binary", options={"trusted": True})
    with pytest.raises(ConfigError, match=r"not known to be safe.*trusted=True"):
        train.open_model(ws, digest)
    assert len(train.open_model(ws, digest, trusted=True).predict(rows)) == 50


@pytest.mark.parametrize("field", ["left_child", "right_child", "feature"])
@pytest.mark.parametrize("value", [10**9, 0])
def test_a_forged_tree_is_found_before_it_is_followed(ws, field, value, tmp_path):
    """scikit-learn would follow such numbers into foreign memory, or for ever."""
    from raylake.train.flavours.tree_checks import check_trees

    _, matrix, labels = numbers(50)
    model = RandomForestClassifier(2, random_state=0).fit(matrix, labels["binary"])
    check_trees(model, "model")
    tree = model.estimators_[1].tree_
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    nodes[field][0] = value - 1 if field == "feature" and not value else value
    tree.__setstate__({**state, "nodes": nodes})
    with pytest.raises(ArtifactCorrupt, match="names nodes or columns it does not have"):
        check_trees(model, "model")


def test_a_forest_that_claims_fewer_columns_than_its_trees_read():
    from raylake.train.flavours.tree_checks import check_trees

    _, matrix, labels = numbers(50)
    model = RandomForestClassifier(20, random_state=0).fit(matrix, labels["binary"])
    model.n_features_in_ = 1
    with pytest.raises(ArtifactCorrupt, match="names nodes or columns"):
        check_trees(model, "model")


def test_trees_behind_an_encoder_have_more_columns_than_the_pipeline(ws):
    frame = label_frame(200)
    rows = frame.select(["distance", "carrier"])
    encode = make_column_transformer((OneHotEncoder(), ["carrier"]), remainder="passthrough")
    for model in (HistGradientBoostingClassifier(max_iter=5), RandomForestClassifier(3)):
        piped = make_pipeline(encode, model).fit(to_frame(rows), frame["late"].to_numpy(zero_copy_only=False))
        assert len(train.open_model(ws, train.store_model(ws, piped, rows, task="binary")).predict(rows)) == 200


@pytest.mark.parametrize("field", ["left", "right", "feature_idx"])
def test_a_forged_histogram_tree_is_found(field):
    from raylake.train.flavours.tree_checks import check_trees

    _, matrix, labels = numbers(200)
    model = HistGradientBoostingRegressor(max_iter=3).fit(matrix, labels["regression"])
    check_trees(model, "model")
    model._predictors[1][0].nodes[field][0] = 10**6
    with pytest.raises(ArtifactCorrupt, match="names nodes or columns"):
        check_trees(model, "model")


def test_a_forged_class_is_not_called(ws, tmp_path):
    digest = train.store_model(ws, flavour_models.Net(2), some_rows(), task="regression", options={"inputs": 2})
    folder = registry.fetch_folder(ws, digest, tmp_path / "m")
    content = (folder / "model.safetensors").read_bytes()
    forge(folder, "model.safetensors", content, module="subprocess:Popen", options={"args": ["touch", "pwned"]})
    with pytest.raises(ConfigError, match=r"'subprocess:Popen' is not a torch.nn.Module"):
        train.load_model(folder)


def test_a_forged_function_is_not_called(ws, tmp_path):
    rows = label_frame(20).select(["distance", "carrier"])
    digest = train.store_model(ws, flavour_models.by_rule, rows, task="binary")
    folder = registry.fetch_folder(ws, digest, tmp_path / "m")
    source = (folder / "function.py").read_bytes()
    forge(folder, "function.py", source, function="tests.train.flavour_models:unmarked")
    with pytest.raises(ConfigError, match=r"unmarked' is not marked with train.predictor"):
        train.load_model(folder)
    forge(folder, "function.py", source + b"\n# other\n", function="tests.train.flavour_models:by_rule")
    with pytest.raises(ArtifactCorrupt, match="not the source that"):
        train.load_model(folder)


def test_a_function_that_changed_since_is_refused(ws, tmp_path, monkeypatch):
    module = tmp_path / "rules_of_mine.py"
    module.write_text("from raylake import train\n@train.predictor\ndef half(rows):\n    return [0.5] * len(rows)\n")
    monkeypatch.syspath_prepend(tmp_path)
    import rules_of_mine

    digest = train.store_model(ws, rules_of_mine.half, some_rows(), task="binary")
    module.write_text(module.read_text().replace("0.5", "0.6"))
    import linecache

    linecache.clearcache()
    with pytest.raises(ConfigError, match="has another source here"):
        train.open_model(ws, digest)


def test_functions_without_import_path_are_refused():
    with pytest.raises(ConfigError, match="cannot be imported"):
        train.predictor(lambda rows: rows)


def test_weights_outside_of_the_onnx_file_are_refused(ws, tmp_path):
    rows, matrix, labels = numbers(50)
    graph = to_onnx(LogisticRegression().fit(matrix, labels["binary"]), matrix[:1], options={"zipmap": False})
    digest = train.store_model(ws, graph, rows, task="binary")
    folder = registry.fetch_folder(ws, digest, tmp_path / "m")
    tensor = graph.graph.initializer.add()
    tensor.name, tensor.data_type, tensor.data_location = "secret", onnx.TensorProto.FLOAT, onnx.TensorProto.EXTERNAL
    tensor.dims.append(1)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    forge(folder, "model.onnx", graph.SerializeToString())
    with pytest.raises(ArtifactCorrupt, match="weights in other files"):
        train.load_model(folder)


def test_a_model_that_does_not_fit_its_rows_or_task_is_not_stored(ws):
    rows, matrix, labels = numbers(50)
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(matrix, labels["binary"]), 2)
    with pytest.raises(SchemaMismatch, match=r"the model gave \(50,\) for 50 rows.*multiclass"):
        train.store_model(ws, booster, rows, task="multiclass", classes=(0, 1, 2))
    with pytest.raises(ConfigError, match="name the classes"):
        train.store_model(ws, booster, rows, task="multiclass")
    with pytest.raises(DataError, match="0 rows"):
        train.store_model(ws, booster, rows.slice(0, 0), task="binary")
    with pytest.raises(ConfigError, match="task 'rank' is not known"):
        train.store_model(ws, booster, rows, task="rank")


def test_folders_of_before_the_other_flavours_still_load(ws, frame, training, tmp_path):
    digest = train.store_model(ws, flavour_models.Net(2), some_rows(), task="regression", options={"inputs": 2})
    folder = registry.fetch_folder(ws, digest, tmp_path / "m")
    (folder / "model.json").chmod(0o600)
    info = json.loads((folder / "model.json").read_text())
    info["torch"] = {name: info["facts"][name] for name in ("module", "options")}
    del info["facts"]
    (folder / "model.json").write_text(json.dumps(info))
    assert len(train.load_model(folder).predict(some_rows())) == 20


@pytest.mark.parametrize(
    "kind", ["xgboost", "xgboost-several", "lightgbm", "lightgbm-several", "sklearn", "sklearn-text", "torch", "onnx"]
)
def test_models_become_onnx_files_that_score_the_same(ws, kind, tmp_path):
    rows, matrix, labels = numbers()
    name, _, more = kind.partition("-")
    task = "multiclass" if more == "several" else "binary"
    options: dict[str, object] = {}
    if name == "xgboost":
        params = {"objective": "multi:softprob", "num_class": 3} if more else {"objective": "binary:logistic"}
        model = xgboost.train(params, xgboost.DMatrix(matrix, labels[task], feature_names=list(NUMBERS)), 5)
    elif name == "lightgbm":
        model = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbosity=-1).fit(matrix, labels[task])
    elif name == "torch":
        model, options = flavour_models.Net(2), {"inputs": 2}
    elif more == "text":
        rows = label_frame(200).select(["distance", "carrier"])
        encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["carrier"]), remainder="passthrough")
        model = make_pipeline(encode, LogisticRegression(max_iter=1000)).fit(
            to_frame(rows), labels["binary"].astype(int)
        )
    else:
        model = RandomForestClassifier(5, random_state=0).fit(matrix, labels[task])
        model = to_onnx(model, matrix[:1], options={"zipmap": False}) if name == "onnx" else model
    classes = (0, 1, 2) if more == "several" else ()
    digest = train.store_model(ws, model, rows, task=task, classes=classes, options=options)
    path = train.export_onnx(ws, digest, tmp_path / "model.onnx")
    again = train.store_model(ws, onnx.load(path), rows, task=task, classes=classes)
    np.testing.assert_allclose(
        train.open_model(ws, again).predict(rows), train.open_model(ws, digest).predict(rows), rtol=1e-4, atol=1e-5
    )


def test_code_has_no_form_in_onnx(ws, tmp_path):
    rows = label_frame(20).select(["distance", "carrier"])
    digest = train.store_model(ws, flavour_models.by_rule, rows, task="binary")
    with pytest.raises(ConfigError, match="flavour function has no form in ONNX"):
        train.export_onnx(ws, digest, tmp_path / "f.onnx")
    assert not (tmp_path / "f.onnx").exists()
