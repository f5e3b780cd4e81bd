"""Model flavours: how a trained model is stored in its framework's own safe format, and read again.

XGBoost is stored as UBJ; LightGBM as text; scikit-learn through skops; PyTorch and Lightning as safetensors plus the
import path of the class; ONNX as itself; a Python function by its import path and source hash. Pickle is neither
written nor read: loading it would run whatever code the file holds.
"""

from .catalogue import FLAVOURS, flavour_of, open_predictor
from .function_flavour import predictor
from .lightgbm_flavour import LIGHTGBM_FILE, LightGBMPredictor
from .onnx_flavour import ONNX_FILE
from .protocol import Flavour, Predictor, Scores, Stored, TablePredictor
from .sklearn_flavour import SKLEARN_FILE, SklearnPredictor, to_frame
from .torch_flavour import TORCH_FILE, TorchPredictor, build_module
from .xgboost_flavour import XGBOOST_FILE, XGBoostPredictor

__all__ = [
    "FLAVOURS",
    "Flavour",
    "LIGHTGBM_FILE",
    "LightGBMPredictor",
    "ONNX_FILE",
    "Predictor",
    "SKLEARN_FILE",
    "Scores",
    "SklearnPredictor",
    "Stored",
    "TORCH_FILE",
    "TablePredictor",
    "TorchPredictor",
    "XGBOOST_FILE",
    "XGBoostPredictor",
    "build_module",
    "flavour_of",
    "open_predictor",
    "predictor",
    "to_frame",
]
