"""The network behind `MLP`. Importing this module imports torch and Lightning."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor, nn


class TabularMLP(pl.LightningModule):
    """A multi-layer perceptron over float32 rows, trained with AdamW.

    Args:
        inputs: Number of input columns.
        task: ``binary`` (output is a logit), ``multiclass`` (a logit for each class) or ``regression``.
        hidden: Widths of the hidden layers.
        lr: Learning rate.
        dropout: Share of units dropped while training.
        classes: Number of classes of ``multiclass``.

    Example:
        >>> TabularMLP(inputs=3, hidden=(4,))(torch.zeros(2, 3)).shape
        torch.Size([2])
    """

    def __init__(
        self,
        inputs: int,
        task: str = "binary",
        hidden: Sequence[int] = (64, 32),
        lr: float = 1e-3,
        dropout: float = 0.0,
        classes: int = 2,
    ) -> None:
        super().__init__()
        self.lr = lr
        losses = {"binary": nn.BCEWithLogitsLoss, "multiclass": nn.CrossEntropyLoss, "regression": nn.MSELoss}
        self.loss, self.several = losses[task](), task == "multiclass"
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, classes if self.several else 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits or values, float32 (n,) or (n, classes), of `x`, float32 (n, inputs)."""
        found: Tensor = self.layers(x)
        return found if self.several else found.squeeze(-1)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of one batch."""
        target = batch[1].long() if self.several else batch[1]
        loss: Tensor = self.loss(self(batch[0]), target)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW at the learning rate."""
        return torch.optim.AdamW(self.parameters(), lr=self.lr)
