"""PyTorch and Lightning: weights as safetensors, the class by its import path.

An archive of ``torch.export`` is not taken: torch 2.13 unpickles parts of it. Export such a program to ONNX.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import ArtifactCorrupt, ConfigError, SchemaMismatch
from ..importing import import_object
from .protocol import Scores, Stored, frameworks

TORCH_FILE = "model.safetensors"


class TorchFlavour:
    """A `torch.nn.Module` of an importable class, Lightning modules included.

    ``forward`` takes float32 (n, columns) and returns logits (n,) for two classes, (n, classes) for more, or values.
    """

    name = "torch"

    def claims(self, model: object) -> bool:
        """Modules; not exported programs."""
        return "torch" in frameworks(model) and hasattr(model, "state_dict") and hasattr(model, "forward")

    def save(self, model: Any, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Write ``model.safetensors``; `options` are the arguments of the class, or Lightning's saved ones."""
        from safetensors.torch import save

        path = f"{type(model).__module__}:{type(model).__qualname__}"
        if "<" in path or path.startswith("__main__"):
            raise ConfigError(
                f"class {path!r} cannot be imported where the model is loaded: put it into a module of its own"
            )
        arguments = dict(options) or dict(getattr(model, "hparams", {}))
        # Two names of one tensor would be refused, and a view would drag its whole storage along.
        state = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
        try:
            facts = {"file": TORCH_FILE, "module": path, "options": json.loads(json.dumps(arguments))}
        except TypeError as error:
            raise ConfigError(f"arguments {arguments} of {path} have no JSON form: {error}") from error
        build_module(path, facts["options"]).load_state_dict(state)
        (folder / TORCH_FILE).write_bytes(save(state))
        return facts

    def load(self, folder: Path, stored: Stored) -> TorchPredictor:
        """Build the class and read its weights."""
        return TorchPredictor(folder / TORCH_FILE, stored.facts["module"], stored.facts["options"], stored.task)


class TorchPredictor:
    """A PyTorch module: weights from safetensors, the class by its import path.

    Args:
        path: The safetensors file.
        module: ``package.module:Class``.
        options: Arguments of the class.
        task: ``binary`` applies a sigmoid to the outputs, ``multiclass`` a softmax.
    """

    def __init__(self, path: Path, module: str, options: Mapping[str, Any], task: str) -> None:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        self._torch = torch
        self._task = task
        self._model = build_module(module, options)
        try:
            self._model.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as error:
            raise ArtifactCorrupt(f"{path.name} does not hold the weights of {module}: {error}") from error
        self._model.eval()

    def predict(self, matrix: NDArray[np.float32]) -> Scores:
        """Probabilities, or regression values."""
        if np.isnan(matrix).any():
            raise SchemaMismatch("a network takes no missing values: add data.Impute for these columns to the recipe")
        with self._torch.inference_mode():
            out = self._scored(self._model(self._torch.from_numpy(np.ascontiguousarray(matrix))))
        return np.asarray(out.double().cpu().numpy())

    def with_scores(self) -> Any:
        """The network with what turns its outputs into scores behind it, as one module."""
        inner, scored = self._model, self._scored

        class Scored(self._torch.nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, x: Any) -> Any:
                return scored(self.inner(x))

        return Scored().eval()

    def _scored(self, out: Any) -> Any:
        if self._task == "multiclass":
            return self._torch.softmax(out, dim=-1)
        out = out.reshape(-1)
        return self._torch.sigmoid(out) if self._task == "binary" else out


def build_module(path: str, options: Mapping[str, Any]) -> Any:
    """Import ``package.module:Class``, a `torch.nn.Module`, and call it with `options`.

    Raises:
        ConfigError: The module or class cannot be imported, is no `torch.nn.Module`, or does not take these arguments.

    Example:
        >>> build_module("subprocess:Popen", {"args": "true"})
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: model class 'subprocess:Popen' is not a torch.nn.Module: ...
    """
    import torch

    try:
        found = import_object(path)
    except ImportError as error:
        raise ConfigError(
            f"model class {path!r} cannot be imported ({error}): put its file on PYTHONPATH, or install its package"
        ) from error
    # The path comes out of a file: calling whatever it names would be as bad as a pickle.
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ConfigError(f"model class {path!r} is not a torch.nn.Module: name the class of the network")
    try:
        return found(**options)
    except TypeError as error:
        raise ConfigError(f"model class {path!r} cannot be built from {dict(options)}: {error}") from error
