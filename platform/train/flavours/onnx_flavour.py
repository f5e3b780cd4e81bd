"""ONNX: a graph of operators, run by onnxruntime.

A graph takes one float32 tensor (n, columns), or one tensor (n, 1) for each column, text included. It gives
probabilities, logits or values; ``options={"output": name, "activation": "sigmoid" | "softmax"}`` says which of its
outputs to use, and what to apply to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core import ArtifactCorrupt, ConfigError, SchemaMismatch
from .protocol import Predictor, Scores, Stored, TablePredictor, first_line, frameworks

ONNX_FILE = "model.onnx"
ACTIVATIONS = ("", "sigmoid", "softmax")
_EXTERNAL = 1
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


class OnnxFlavour:
    """An `onnx.ModelProto`, such as ``onnx.load(path)`` gives."""

    name = "onnx"

    def claims(self, model: object) -> bool:
        """ONNX models."""
        return type(model).__name__ == "ModelProto" and bool({"onnx", "google"} & frameworks(model))

    def save(self, model: Any, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Write ``model.onnx`` with all its weights inside."""
        import onnx

        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise ConfigError(f"the ONNX model is not valid: {first_line(error)}") from error
        outputs = [each.name for each in model.graph.output]
        facts = {
            "output": options.get("output") or _probabilities(outputs),
            "activation": options.get("activation", ""),
        }
        if facts["output"] not in outputs:
            raise ConfigError(f"output {facts['output']!r} is not one of the model's: {', '.join(outputs)}")
        if facts["activation"] not in ACTIVATIONS:
            raise ConfigError(f"activation {facts['activation']!r} is not known: use sigmoid, softmax or none")
        (folder / ONNX_FILE).write_bytes(model.SerializeToString())
        return {"file": ONNX_FILE, **facts}

    def load(self, folder: Path, stored: Stored) -> Predictor | TablePredictor:
        """Start a session of onnxruntime."""
        return open_onnx(folder / ONNX_FILE, stored)


def open_onnx(path: Path, stored: Stored) -> Predictor | TablePredictor:
    """The predictor of an ONNX file; `stored.facts` has ``output`` and ``activation``."""
    session, content = _session(path, stored.threads), path.read_bytes()
    graph = Graph(session, str(stored.facts["output"]), str(stored.facts.get("activation", "")), stored.task)
    if len(session.get_inputs()) == 1:
        return OnnxMatrix(graph, content)
    return OnnxColumns(graph, content, stored.columns)


def describe_onnx(path: Path) -> tuple[str, tuple[int | str, ...], dict[str, Any]]:
    """What the outputs of an ONNX file say: the task, numbers of several classes, and facts for `open_onnx`.

    A graph that gives (n, 2) is taken for a binary classifier, (n, more) for several classes, else for values.
    """
    outputs = {each.name: each.shape for each in _session(path, 1).get_outputs()}
    name = _probabilities(list(outputs))
    shape = outputs[name]
    width = shape[-1] if len(shape) == 2 and isinstance(shape[-1], int) else 1
    task = "regression" if width == 1 else "binary" if width == 2 else "multiclass"
    return task, tuple(range(width)) if width > 2 else (), {"output": name, "activation": ""}


class Graph:
    """A session of onnxruntime and what to read from it. Thread-safe."""

    def __init__(self, session: Any, output: str, activation: str, task: str) -> None:
        self.session, self._output, self._activation, self._task = session, output, activation, task

    def run(self, inputs: Mapping[str, NDArray[Any]], rows: int) -> Scores:
        """Scores of `rows` rows."""
        try:
            (found,) = self.session.run([self._output], dict(inputs))
        except Exception as error:
            raise SchemaMismatch(f"the ONNX graph does not take these rows: {first_line(error)}") from error
        out = np.asarray(found, dtype=np.float64)
        if self._activation == "sigmoid":
            out = 1 / (1 + np.exp(-out))
        if self._activation == "softmax":
            out = np.exp(out - out.max(axis=-1, keepdims=True))
            out /= out.sum(axis=-1, keepdims=True)
        if self._task == "multiclass":
            return out
        # Two probabilities a row: the second class's.
        return out[:, 1] if self._task == "binary" and out.ndim == 2 and out.shape[1] == 2 else out.reshape(rows)


class OnnxMatrix:
    """A graph that takes all columns as one tensor."""

    def __init__(self, graph: Graph, content: bytes) -> None:
        self._graph, self.content = graph, content
        (tensor,) = graph.session.get_inputs()
        self._name, self._dtype = tensor.name, _dtype(tensor.type)

    def predict(self, matrix: NDArray[np.float32]) -> Scores:
        """Probabilities, or values."""
        return self._graph.run({self._name: np.ascontiguousarray(matrix, dtype=self._dtype)}, len(matrix))


class OnnxColumns:
    """A graph that takes a tensor (n, 1) for each column."""

    def __init__(self, graph: Graph, content: bytes, columns: tuple[str, ...]) -> None:
        self._graph, self.content = graph, content
        self._inputs = {tensor.name: tensor.type for tensor in graph.session.get_inputs()}
        if unknown := sorted(self._inputs.keys() - set(columns)):
            raise ConfigError(f"the ONNX graph takes {', '.join(unknown)}, the model has {', '.join(columns)}")

    def predict_table(self, rows: pa.Table) -> Scores:
        """Probabilities, or values."""
        return self._graph.run({name: _tensor(rows, name, kind) for name, kind in self._inputs.items()}, rows.num_rows)


def _tensor(rows: pa.Table, name: str, kind: str) -> NDArray[Any]:
    column = rows.column(name)
    if kind == "tensor(string)":
        return np.array(column.cast(pa.string()).fill_null("").to_pylist(), dtype=object).reshape(-1, 1)
    dtype = _dtype(kind)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if column.null_count and np.issubdtype(dtype, np.integer):
        raise SchemaMismatch(
            f"column {name!r} has {column.null_count} nulls, and the model takes whole numbers: impute"
        )
    wide = column.cast(pa.float64(), safe=False).to_numpy() if column.null_count else column.to_numpy()
    return np.asarray(wide, dtype=dtype).reshape(-1, 1)


def _dtype(kind: str) -> Any:
    if kind not in _DTYPES:
        raise ConfigError(f"the ONNX graph takes {kind}: raylake feeds {', '.join(_DTYPES)} and tensor(string)")
    return _DTYPES[kind]


def _probabilities(outputs: list[str]) -> str:
    """Converters give a class and its probabilities, and call these so."""
    named = [name for name in outputs if "prob" in name.lower()]
    return named[0] if named else outputs[0] if len(outputs) == 1 else outputs[-1]


def _session(path: Path, threads: int) -> Any:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ConfigError("ONNX models need onnx and onnxruntime: pip install 'raylake[onnx]'") from error
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:
        raise ArtifactCorrupt(f"{path.name} is not an ONNX model: {first_line(error)}") from error
    if any(tensor.data_location == _EXTERNAL for tensor in model.graph.initializer):
        raise ArtifactCorrupt(f"{path.name} keeps weights in other files, which could be any file: store it whole")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ArtifactCorrupt(f"{path.name} cannot be run by onnxruntime: {first_line(error)}") from error
