"""Models that raylake trained, opened by MLflow's own client from our server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
import yaml
from tests.console.tracking_server import serving

from raylake import data, registry, train
from raylake.core import ArtifactCorrupt, SchemaMismatch, Workspace
from raylake.train.folder import Description, write_info, write_recipe, write_reference
from raylake.train.signature import Signature, to_matrix

SCHEMA = pa.schema(
    [
        ("distance", pa.float64()),
        ("carrier", pa.string()),
        ("seats", pa.int64()),
        ("night", pa.bool_()),
        ("at", pa.timestamp("us", tz="UTC")),
    ]
)


def rows(count: int, seed: int = 0) -> pa.Table:
    """Input columns, with holes in them."""
    draw = np.random.default_rng(seed)
    columns = {
        "distance": draw.uniform(100, 3000, count),
        "carrier": [None if n % 7 == 0 else ("AA", "B6", "UA")[n % 3] for n in range(count)],
        "seats": [None if n % 5 == 0 else int(draw.integers(50, 300)) for n in range(count)],
        "night": draw.random(count) > 0.5,
        "at": pd.Timestamp("2013-07-01", tz="UTC") + pd.to_timedelta(draw.integers(0, 86_400, count), "s"),
    }
    return pa.table(columns).cast(SCHEMA)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder as `train.fit` writes it, trained here without Ray."""
    made, table = tmp_path / "model", rows(400)
    made.mkdir()
    recipe = data.Recipe([data.Ordinal(["carrier"]), data.DateParts(["at"], ["hour"])]).fit(table)
    prepared = recipe.apply(table)
    names = tuple(name for name in prepared.column_names if name != "at")
    late = (table["distance"].to_numpy() > 1500) ^ table["night"].to_numpy(zero_copy_only=False)
    matrix = xgboost.DMatrix(to_matrix(prepared, names), late, feature_names=list(names))
    options = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}
    xgboost.train(options, matrix, 10).save_model(made / "model.ubj")
    write_recipe(made, recipe)
    write_reference(made, table.append_column("score", pa.array(np.zeros(400))))
    write_info(made, Description("xgboost", Signature.of(SCHEMA, "late", "binary"), names, "r1", {}, "none"))
    return made


@pytest.fixture
def served(ws: Workspace, folder: Path) -> Iterator[str]:
    """A server with that model as ``flight-delay@1``."""
    registry.register_artifact(ws, registry.put_folder(ws, folder), name="flight-delay", alias="champion")
    with serving(ws) as url:
        yield url


@pytest.mark.parametrize("uri", ["models:/flight-delay/1", "models:/flight-delay@champion"])
def test_mlflow_predicts_with_our_model(ws: Workspace, served: str, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", served)
    ours = train.open_model(ws, "flight-delay@1")
    theirs = mlflow.pyfunc.load_model(uri)
    unseen = rows(50, seed=1)
    expected = ours.predict(unseen)
    assert len({*expected.round(3)}) > 5, "the model must tell rows apart"
    np.testing.assert_array_equal(theirs.predict(unseen.to_pandas()), expected)
    assert theirs.metadata.get_input_schema().input_names() == list(ours.signature.names)
    assert theirs.metadata.run_id == "r1"


def test_what_does_not_fit_is_told(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", served)
    model = mlflow.pyfunc.load_model("models:/flight-delay/1")
    with pytest.raises(mlflow.exceptions.MlflowException, match=r"missing inputs.*carrier"):
        model.predict(rows(3).drop_columns("carrier").to_pandas())
    with pytest.raises(SchemaMismatch, match="column 'seats' is large_string"):
        model.predict(rows(3).to_pandas().assign(seats="many"))


def test_the_loader_runs_where_mlflow_is_not_imported_and_loads_no_ray(folder: Path) -> None:
    about = yaml.safe_load((folder / "MLmodel").read_text())
    code = (
        "import sys, importlib, pandas as pd; "
        f"model = importlib.import_module({about['flavors']['python_function']['loader_module']!r})"
        f"._load_pyfunc({str(folder)!r}); "
        "print([name for name in ('mlflow', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_changed_mlmodel_is_noticed(folder: Path) -> None:
    (folder / "MLmodel").write_text("flavors: {}\n")
    with pytest.raises(ArtifactCorrupt, match="MLmodel has hash"):
        train.load_model(folder)
