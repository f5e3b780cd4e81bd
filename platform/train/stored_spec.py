"""A Spec that was stored, as a Spec again; and what two of them differ in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..core import ConfigError, Workspace
from ..features import stored_training_set
from ..registry import Difference, Run
from ..registry import run as run_of
from .checkpoints import Checkpoints
from .compute import Compute
from .recipe_steps import recipe_from_list
from .spec import Spec
from .trainer_kinds import trainer_from_dict


def spec_from_dict(ws: Workspace, found: Mapping[str, Any]) -> Spec:
    """The inverse of `Spec.to_dict`; the training set is the pinned table that it names.

    Raises:
        NotFound: The training table is gone.
        ConfigError: A trainer, estimator, step or function is not known here; or `found` is no Spec.

    Example:
        >>> spec_from_dict(ws, spec.to_dict()) == spec.replace(label="late")
        True
    """
    missing = {"trainer", "training", "label", "validation", "seed"} - set(found)
    if missing:
        raise ConfigError(f"this is no stored Spec: it lacks {', '.join(sorted(missing))}")
    return Spec(
        trainer_from_dict(found["trainer"]),
        stored_training_set(ws, found["training"]),
        found["label"],
        recipe=recipe_from_list(found.get("recipe")),
        compute=Compute.from_dict(found["compute"]),
        validation=_validation(found["validation"]),
        seed=found["seed"],
        name=found["name"],
        task=found["task"],
        checkpoints=Checkpoints.from_dict(found.get("checkpoints", {})),
    )


def spec_of(ws: Workspace, run: Run | str) -> Spec:
    """The Spec that a run was started with.

    Raises:
        NotFound: No such run, or its training table is gone.
        ConfigError: The run is none of `fit`.

    Example:
        >>> spec_of(ws, run).trainer
        XGBoost(rounds=20, early_stopping=None, settings=(('max_depth', 3),))
    """
    known = run_of(ws, run) if isinstance(run, str) else run
    if known.kind != "train":
        raise ConfigError(f"run {known.id} is a {known.kind!r}: only runs of train.fit have a Spec")
    return spec_from_dict(ws, known.params)


def differences(one: Spec, other: Spec) -> tuple[Difference, ...]:
    """What two Specs differ in, field by field.

    Example:
        >>> differences(spec, spec.replace(seed=3, trainer=spec.trainer.updated(max_depth=9)))
        (Difference(part='parameter', name='seed', a=0, b=3),
         Difference(part='parameter', name='trainer.max_depth', a=3, b=9))
    """
    a, b = _flat(one.to_dict()), _flat(other.to_dict())
    names = sorted({name for name in a.keys() | b.keys() if a.get(name) != b.get(name)})
    return tuple(Difference("parameter", name, a.get(name), b.get(name)) for name in names)


def _validation(found: Any) -> Any:
    return tuple(map(datetime.fromisoformat, found)) if isinstance(found, list) else found


def _flat(found: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{above}{name}.")
        else:
            out[f"{above}{name}"] = value
    return out
