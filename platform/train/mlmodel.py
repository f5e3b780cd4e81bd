"""The file that tells MLflow's client what is in a model folder of ours, and how to open it.

``mlflow.pyfunc.load_model("models:/flight-delay/1")`` reads ``MLmodel``, imports the loader module that it names
(`raylake.train.pyfunc`) and hands it the folder: the same code that serves the model predicts there, recipe
included, and nothing is unpickled. The format: https://mlflow.org/docs/latest/ml/model/ ("MLmodel file").
"""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import yaml

from .mlflow_folder import MLMODEL_FILE
from .signature import Signature

LOADER = "raylake.train.pyfunc"
_REQUIREMENTS = "requirements.txt"
# MLflow refuses integers that may be missing and times with a zone: what is not here is left to the model to check.
_TYPES = {"double": "double", "float": "float", "bool": "boolean", "string": "string", "large_string": "string"}


def write_mlmodel(folder: Path, signature: Signature, run: str) -> None:
    """Write ``MLmodel`` and the requirements that it names.

    Args:
        folder: The model folder.
        signature: The model's input columns.
        run: Id of the training run.
    """
    inputs = [{"name": name, "type": _TYPES.get(kind, "any"), "required": True} for name, kind in signature.columns]
    about = {
        "flavors": {
            "python_function": {
                "loader_module": LOADER,
                "python_version": platform.python_version(),
                "env": {"virtualenv": _REQUIREMENTS},
            }
        },
        "run_id": run,
        "signature": {"inputs": json.dumps(inputs), "outputs": None, "params": None},
        "utc_time_created": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
    }
    (folder / MLMODEL_FILE).write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")
    (folder / _REQUIREMENTS).write_text(f"raylake=={version('raylake')}\n", encoding="utf-8")
