"""Training: a frozen Spec, fitted through Ray Train, becomes a recorded run with a safely stored model."""

from .checkpoints import Checkpoints
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
from .live import log
from .model import LoadedModel, load_model, open_model, predict_table
from .onnx_export import export_onnx
from .reproduce import Reproduction, reproduce
from .resume import discard_checkpoints
from .signature import Signature
from .sklearn_trainer import Sklearn
from .spec import Spec
from .steps import Bar, fit_step, gate_step, register_step, specify_step, training
from .store import store_model
from .stored_spec import differences, spec_from_dict, spec_of
from .torch_trainer import Torch
from .trainers import MLP, Lightning, XGBoost

__all__ = [
    "MLP",
    "Bar",
    "Checkpoints",
    "Compute",
    "Costs",
    "Evaluation",
    "FitTask",
    "Function",
    "Gate",
    "LightGBM",
    "Lightning",
    "LoadedModel",
    "Place",
    "Reproduction",
    "Signature",
    "Sklearn",
    "Slice",
    "Spec",
    "Torch",
    "Verdict",
    "XGBoost",
    "differences",
    "discard_checkpoints",
    "evaluate",
    "evaluate_forecast",
    "evaluate_model",
    "evaluate_ranking",
    "export_onnx",
    "fit",
    "fit_step",
    "gate_step",
    "judge",
    "leaderboard",
    "load_model",
    "log",
    "open_model",
    "predict_table",
    "predictor",
    "register_step",
    "reproduce",
    "spec_from_dict",
    "spec_of",
    "specify_step",
    "store_model",
    "training",
]
