"""A plain PyTorch network for tables. Importing this module imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Perceptron(nn.Module):
    """A multi-layer perceptron over float32 rows.

    Args:
        inputs: Number of input columns.
        task: ``binary`` (output is a logit), ``multiclass`` (a logit for each class) or ``regression``.
        hidden: Widths of the hidden layers.
        dropout: Share of units dropped while training.
        classes: Number of classes of ``multiclass``.

    Example:
        >>> import torch
        >>> Perceptron(inputs=3, hidden=(4,))(torch.zeros(2, 3)).shape
        torch.Size([2])
    """

    def __init__(
        self,
        inputs: int,
        task: str = "binary",
        hidden: Sequence[int] = (64, 32),
        dropout: float = 0.0,
        classes: int = 2,
    ) -> None:
        super().__init__()
        self.several = task == "multiclass"
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, classes if self.several else 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits or values, float32 (n,) or (n, classes), of `x`, float32 (n, inputs)."""
        found: Tensor = self.layers(x)
        return found if self.several else found.squeeze(-1)
