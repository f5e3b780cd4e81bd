"""Data sets and logged models that runs read and wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....core import Workspace
from ....registry.tracking import Dataset, ModelLink, log_inputs
from ....registry.tracking.inputs import dataset_summaries
from .endpoint import Endpoint, Field, Message
from .errors import invalid_parameter
from .experiments import strings, tag_pairs
from .fields import invalid_value, typed
from .limits import DATASET, INPUT_TAG, check_length, check_run_id
from .messages import CONTEXT_TAG, experiment_id
from .runs import RUN_ID

MOST_EXPERIMENTS = 20


def _log_inputs(ws: Workspace, message: Message) -> Message:
    datasets = [_dataset(each, f"datasets[{i}]") for i, each in enumerate(message.get("datasets", []))]
    models = [_link("input", each, f"models[{i}]") for i, each in enumerate(message.get("models", []))]
    log_inputs(ws, check_run_id(message["run_id"]), datasets, models)
    return {}


def _log_outputs(ws: Workspace, message: Message) -> Message:
    models = [_link("output", each, f"models[{i}]") for i, each in enumerate(message["models"])]
    log_inputs(ws, message["run_id"], models=models)
    return {}


def _search_datasets(ws: Workspace, message: Message) -> Message:
    ids = strings(message.get("experiment_ids", []), "experiment_ids")
    if not ids:
        raise invalid_parameter("SearchDatasets request must specify at least one experiment_id.")
    if len(ids) > MOST_EXPERIMENTS:
        raise invalid_parameter(
            f"SearchDatasets request cannot specify more than {MOST_EXPERIMENTS} experiment_ids. Received {len(ids)} "
            "experiment_ids."
        )
    found = dataset_summaries(ws, [experiment_id(each) for each in ids])
    summaries = [
        {"experiment_id": str(number), "name": name, "digest": digest, **({"context": context} if context else {})}
        for number, name, digest, context in found
    ]
    return {"dataset_summaries": summaries} if summaries else {}


def _dataset(found: Any, path: str) -> Dataset:
    described = _object(found, path).get("dataset")
    if not isinstance(described, dict):
        raise invalid_parameter(f"Missing value for required parameter '{path}.dataset'.")
    texts = {
        name: typed("string", f"{path}.dataset.{name}", described[name])
        for name in ("name", "digest", "source_type", "source", "schema", "profile")
        if described.get(name) is not None
    }
    for name, most in DATASET.items():
        check_length(name, texts.get(name, ""), most)
    tags = dict(tag_pairs(found.get("tags") or [], f"{path}.tags"))
    for key, value in tags.items():
        check_length("key", key, INPUT_TAG["key"])
        check_length("value", value, INPUT_TAG["value"])
    name, digest = texts.pop("name", ""), texts.pop("digest", "")
    return Dataset(name, digest, **texts, context=tags.pop(CONTEXT_TAG, None), tags=tags)


def _link(role: str, found: Any, path: str) -> ModelLink:
    model = _object(found, path)
    if not model.get("model_id"):
        raise invalid_parameter(f"Missing value for required parameter '{path}.model_id'.")
    step = typed("integer", f"{path}.step", model.get("step") or 0)
    return ModelLink(role, typed("string", f"{path}.model_id", model["model_id"]), step)


def _object(found: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise invalid_value(path, found)
    return found


_BASE = "/2.0/mlflow"
INPUTS = (
    Endpoint(
        "POST",
        f"{_BASE}/runs/log-inputs",
        _log_inputs,
        (RUN_ID, Field("datasets", "array"), Field("models", "array")),
    ),
    Endpoint("POST", f"{_BASE}/runs/outputs", _log_outputs, (RUN_ID, Field("models", "array", required=True))),
    Endpoint("POST", f"{_BASE}/experiments/search-datasets", _search_datasets, (Field("experiment_ids", "array"),)),
)
