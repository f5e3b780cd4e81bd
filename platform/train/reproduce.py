"""Train a model again from what is recorded of it, and say whether it is the same."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core import ConfigError, Workspace
from ..registry import Difference, ModelVersion, Run, fetch_folder, model_version, set_tags
from ..registry import run as run_of
from .compute import Compute
from .environment import environment
from .fit import fit
from .model import LoadedModel, load_model
from .stored_spec import spec_of


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of training a model again.

    Attributes:
        model: The model, ``name@version``.
        outcome: ``equal`` (the model file is the same bit by bit), ``close`` (all scores within the tolerance) or
            ``different``.
        largest: Largest difference of a score on the model's own reference sample.
        original: The run that made the model.
        run: The new run.
        changes: What is not as it was: libraries, code, Python, machine.
        sentence: All of it in one sentence.
    """

    model: str
    outcome: str
    largest: float
    original: Run
    run: Run
    changes: tuple[Difference, ...]
    sentence: str

    def __bool__(self) -> bool:
        return self.outcome != "different"


def reproduce(
    ws: Workspace,
    ref: str | ModelVersion,
    *,
    compute: Compute | None = None,
    tolerance: float = 1e-6,
    code: Path | None = None,
) -> Reproduction:
    """Train a registered model again from its pinned training table, its stored Spec and seed, and compare.

    The new model is recorded as a run of its own, tagged ``reproduces``; it is not registered.

    Args:
        ws: The workspace.
        ref: ``name@version`` or ``name@alias``.
        compute: Other resources than the recorded ones, where those are not to be had.
        tolerance: Largest difference of a score that still counts as the same.
        code: Folder of the code, whose git commit is compared with the recorded one; default the current folder.

    Raises:
        NotFound: No such model, or its run or training table is gone.
        ConfigError: The model was not made by `fit`.
        TrainingFailed, ComputeUnavailable: It cannot be trained now.

    Example:
        >>> again = reproduce(ws, "flight-delay@1")
        >>> again.outcome, again.sentence
        ('equal', 'flight-delay@1 is reproduced bit by bit...')
    """
    version = ref if isinstance(ref, ModelVersion) else model_version(ws, ref)
    if version.run_id is None:
        raise ConfigError(f"{version.name}@{version.version} has no run: only models of train.fit can be trained again")
    original = run_of(ws, version.run_id)
    spec = spec_of(ws, original)
    spec = spec if compute is None else spec.replace(compute=compute)
    changes = tuple(_changes(original.tags.get("environment") or {}, environment(code)))
    again = fit(ws, spec)
    set_tags(ws, again.id, {"reproduces": original.id})
    name = f"{version.name}@{version.version}"
    with tempfile.TemporaryDirectory(prefix="raylake-reproduce-") as folder:
        first, second = (_fetched(ws, digest, Path(folder) / part) for digest, part in _both(version, again))
    same = _content(first) == _content(second)
    largest = _largest(first, second)
    outcome = "equal" if same else "close" if largest <= tolerance else "different"
    sentence = _sentence(name, outcome, largest, tolerance, changes, spec.compute.to_dict())
    return Reproduction(name, outcome, largest, original, run_of(ws, again.id), changes, sentence)


def _both(version: ModelVersion, again: Run) -> list[tuple[str, str]]:
    return [(version.artifact, "first"), (again.artifact or "", "second")]


def _fetched(ws: Workspace, digest: str, folder: Path) -> LoadedModel:
    return load_model(fetch_folder(ws, digest, folder), threads=1)


def _content(model: LoadedModel) -> tuple[str, ...]:
    """Hashes of the model's file and its recipe, and what the flavour needs besides, such as a function's options."""
    files, own = model.info["files"], model.info.get("facts", {}).get("file")
    names = [own] if own else [name for name in files if name.startswith("model.")]
    facts = json.dumps(model.info.get("facts", {}), sort_keys=True)
    return (facts, *(files[name]["sha256"] for name in (*names, "recipe.json") if name in files))


def _largest(first: LoadedModel, second: LoadedModel) -> float:
    rows = first.reference
    if not rows.num_rows:
        return 0.0
    return float(np.max(np.abs(first.predict(rows) - second.predict(rows))))


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    old, new = before.get("libraries") or {}, now["libraries"]
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Difference("library", name, old.get(name), new.get(name))
    for name in ("python", "platform"):
        if before.get(name) != now[name]:
            yield Difference("environment", name, before.get(name), now[name])
    old_code, new_code = before.get("git") or {}, now["git"] or {}
    for name in ("commit", "dirty"):
        if old_code.get(name) != new_code.get(name):
            yield Difference("code", name, old_code.get(name), new_code.get(name))
    if old_code.get("dirty") and new_code.get("dirty"):
        yield Difference("code", "dirty", True, True)


def _sentence(
    name: str, outcome: str, largest: float, tolerance: float, changes: tuple[Difference, ...], compute: dict[str, Any]
) -> str:
    said = {
        "equal": f"{name} is reproduced bit by bit",
        "close": f"{name} is reproduced: no score differs by more than {largest:.2g} (tolerance {tolerance:.2g})",
        "different": f"{name} is not reproduced: a score differs by {largest:.2g} (tolerance {tolerance:.2g})",
    }[outcome]
    reasons = [_reason(change) for change in changes]
    if outcome != "different":
        return said + (f", although {', '.join(reasons)}." if reasons else ".")
    if not reasons:
        shared = int(np.max(compute.get("workers", 1))) > 1
        group = "several workers add up in another order each time"
        why = group if shared else "the trainer itself draws or adds freely"
        return f"{said}; libraries and code are as they were, so {why}."
    return f"{said}; {', '.join(reasons)}."


def _reason(change: Difference) -> str:
    if change.part == "code" and change.name == "dirty":
        return "the code had changes that no commit holds" if change.a else "the code has changes that no commit holds"
    if change.part == "code":
        return f"the code is at {_short(change.b)} and was at {_short(change.a)}"
    return f"{change.name} is {change.b or 'missing'} and was {change.a or 'missing'}"


def _short(commit: Any) -> str:
    return str(commit)[:10] if commit else "no commit"
