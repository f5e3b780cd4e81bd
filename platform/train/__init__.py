"""Training: a frozen Spec, fitted through Ray Train, becomes a recorded run with a safely stored model."""

from .compute import Compute
from .evaluate import evaluate
from .evaluation import (
    Costs,
    Evaluation,
    Gate,
    Place,
    Slice,
    Verdict,
    evaluate_forecast,
    evaluate_model,
    evaluate_ranking,
    judge,
    leaderboard,
)
from .fit import fit
from .flavours import predictor
from .function_trainer import FitTask, Function
from .lightgbm_trainer import LightGBM
from .model import LoadedModel, load_model, open_model, predict_table
from .onnx_export import export_onnx
from .reproduce import Reproduction, reproduce
from .signature import Signature
from .sklearn_trainer import Sklearn
from .spec import Spec
from .steps import Gate, fit_step, gate_step, register_step, specify_step, training
from .store import store_model
from .stored_spec import differences, spec_from_dict, spec_of
from .trainers import MLP, Lightning, XGBoost

__all__ = [
    "Compute",
    "Gate",
    "Costs",
    "Evaluation",
    "FitTask",
    "Function",
    "LightGBM",
    "Lightning",
    "LoadedModel",
    "MLP",
    "Place",
    "Reproduction",
    "Signature",
    "Sklearn",
    "Slice",
    "Spec",
    "Verdict",
    "XGBoost",
    "differences",
    "evaluate",
    "evaluate_forecast",
    "evaluate_model",
    "evaluate_ranking",
    "export_onnx",
    "fit",
    "fit_step",
    "gate_step",
    "load_model",
    "open_model",
    "predict_table",
    "register_step",
    "specify_step",
    "training",
    "judge",
    "leaderboard",
    "predictor",
    "reproduce",
    "spec_from_dict",
    "spec_of",
    "store_model",
]
