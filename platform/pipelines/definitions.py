"""Definitions of pipelines, kept so that other processes can run them."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import cloudpickle

from .. import registry
from ..core import PipelineInvalid, Workspace
from .pipeline import Pipeline
from .store import runs as store


def store_definition(ws: Workspace, pipeline: Pipeline) -> tuple[int, str]:
    """Record a pipeline's version and keep its pickled definition; returns the number and the digest."""
    version = store.record_version(ws, pipeline.name, pipeline.fingerprint, pipeline.description_json)
    return version, registry.put_bytes(ws, cloudpickle.dumps(pipeline, protocol=5))


def load_definition(ws: Workspace, digest: str) -> Pipeline:
    """The pipeline of a stored definition.

    Raises:
        PipelineInvalid: Its module cannot be imported here.
    """
    try:
        loaded: Pipeline = pickle.loads(registry.get_bytes(ws, digest))
    except (ImportError, AttributeError) as error:
        raise PipelineInvalid(
            f"the pipeline's code cannot be imported here ({error}): run from the folder that holds it, "
            "or install it on every node"
        ) from error
    return loaded


def definition_of(ws: Workspace, run_id: str, given: Pipeline | None) -> tuple[Pipeline, dict[str, Any]]:
    """The pipeline of a run (`given`, or as stored) and the run's parsed parameters."""
    definition, params = store.definition_of(ws, run_id)
    pipeline = given or load_definition(ws, definition)
    known: Iterable[str] = {each.name for each in pipeline.parameters}
    parsed = pipeline.parse({name: value for name, value in params.items() if name in known})
    return pipeline, parsed
