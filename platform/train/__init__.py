"""Training: a frozen Spec, fitted through Ray Train, becomes a recorded run with a safely stored model."""

from .compute import Compute
from .evaluate import evaluate
from .fit import fit
from .model import LoadedModel, load_model, open_model, predict_table
from .signature import Signature
from .spec import Spec
from .steps import Gate, fit_step, gate_step, register_step, specify_step, training
from .trainers import MLP, Lightning, XGBoost

__all__ = [
    "MLP",
    "Compute",
    "Gate",
    "Lightning",
    "LoadedModel",
    "Signature",
    "Spec",
    "XGBoost",
    "evaluate",
    "fit",
    "fit_step",
    "gate_step",
    "load_model",
    "open_model",
    "predict_table",
    "register_step",
    "specify_step",
    "training",
]
