"""Training: a frozen Spec, fitted through Ray Train, becomes a recorded run with a safely stored model."""

from .checkpoints import Checkpoints
from .compute import Compute
from .evaluate import evaluate
from .fit import fit
from .live import log
from .model import LoadedModel, load_model, open_model, predict_table
from .resume import discard_checkpoints
from .signature import Signature
from .spec import Spec
from .trainers import MLP, Lightning, Torch, XGBoost

__all__ = [
    "MLP",
    "Checkpoints",
    "Compute",
    "Lightning",
    "LoadedModel",
    "Signature",
    "Spec",
    "Torch",
    "XGBoost",
    "discard_checkpoints",
    "evaluate",
    "fit",
    "load_model",
    "log",
    "open_model",
    "predict_table",
]
