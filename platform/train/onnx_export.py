"""Models as ONNX graphs, for programs that know nothing of raylake or Python.

The graph takes what comes after the recipe: one float32 tensor ``inputs`` (n, columns), or for a scikit-learn pipeline
that takes text a tensor (n, 1) for each column. It gives probabilities or values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..core import ConfigError, Workspace
from ..registry import ModelVersion
from .flavours import LightGBMPredictor, SklearnPredictor, TorchPredictor, XGBoostPredictor
from .flavours.onnx_flavour import OnnxColumns, OnnxMatrix
from .model import LoadedModel, open_model

_OPSET = 18
_INPUT = "inputs"


def export_onnx(ws: Workspace, model: str | ModelVersion | LoadedModel, path: Path) -> Path:
    """Write a model as an ONNX file.

    Args:
        ws: The workspace.
        model: ``name@version``, ``name@alias``, a ModelVersion, a digest, or a loaded model.
        path: The file; one that is there is replaced.

    Returns:
        `path`.

    Raises:
        ConfigError: The converters are not installed, or know no form of this model.

    Example:
        >>> import tempfile
        >>> export_onnx(ws, "flight-delay@champion", Path(tempfile.mkdtemp()) / "delay.onnx").stat().st_size > 1000
        True
    """
    graph = to_onnx(model if isinstance(model, LoadedModel) else open_model(ws, model))
    path = Path(path)
    path.write_bytes(graph.SerializeToString())
    return path


def to_onnx(model: LoadedModel) -> Any:
    """The model as an `onnx.ModelProto`; see `export_onnx`."""
    predictor = model.predictor
    for kind, convert in _CONVERTERS.items():
        if isinstance(predictor, kind):
            try:
                return convert(predictor, model)
            except ImportError as error:
                raise ConfigError(f"the export to ONNX needs {error.name}: pip install 'raylake[onnx]'") from error
            except (RuntimeError, NotImplementedError, ValueError, KeyError) as error:
                raise ConfigError(f"the model has no form in ONNX: {type(error).__name__} {error}") from error
    raise ConfigError(f"a model of flavour {model.info['flavour']} has no form in ONNX: it is code")


def _xgboost(predictor: XGBoostPredictor, model: LoadedModel) -> Any:
    from onnxmltools.convert import convert_xgboost

    booster = predictor.booster.copy()
    booster.feature_names = None
    return convert_xgboost(booster, initial_types=_matrix(model), target_opset=_TREES_OPSET)


def _lightgbm(predictor: LightGBMPredictor, model: LoadedModel) -> Any:
    from onnxmltools.convert import convert_lightgbm

    return convert_lightgbm(predictor.booster, initial_types=_matrix(model), zipmap=False, target_opset=_TREES_OPSET)


def _sklearn(predictor: SklearnPredictor, model: LoadedModel) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    kinds = {field.name: field.type for field in model.signature.schema}
    text = any(pa.types.is_string(kinds.get(name, pa.float32())) for name in model.matrix_columns)
    types: Any = [(_INPUT, FloatTensorType([None, len(model.matrix_columns)]))]
    if text or _by_name(predictor.estimator):
        types = [
            (name, (StringTensorType if pa.types.is_string(kinds[name]) else FloatTensorType)([None, 1]))
            for name in model.matrix_columns
        ]
    options = {"zipmap": False} if predictor.classes else None
    return convert_sklearn(predictor.estimator, initial_types=types, options=options, target_opset=_OPSET)


def _by_name(estimator: Any) -> bool:
    """Whether the estimator looks for columns by their names."""
    from sklearn.compose import ColumnTransformer

    return isinstance(estimator[0] if hasattr(estimator, "steps") else estimator, ColumnTransformer)


def _torch(predictor: TorchPredictor, model: LoadedModel) -> Any:
    import torch

    network = predictor.with_scores()
    example = torch.zeros(2, len(model.matrix_columns))
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=[_INPUT],
        output_names=["scores"],
        dynamic_shapes=({0: torch.export.Dim("rows")},),
        opset_version=_OPSET,
        verbose=False,
    )
    return program.model_proto  # type: ignore[union-attr]


def _itself(predictor: Any, model: LoadedModel) -> Any:
    import onnx

    return onnx.load_model_from_string(predictor.content)


def _matrix(model: LoadedModel) -> list[tuple[str, Any]]:
    from onnxmltools.convert.common.data_types import FloatTensorType

    return [(_INPUT, FloatTensorType([None, len(model.matrix_columns)]))]


_TREES_OPSET = 15
_CONVERTERS: Mapping[type, Callable[[Any, LoadedModel], Any]] = {
    XGBoostPredictor: _xgboost,
    LightGBMPredictor: _lightgbm,
    SklearnPredictor: _sklearn,
    TorchPredictor: _torch,
    OnnxMatrix: _itself,
    OnnxColumns: _itself,
}
