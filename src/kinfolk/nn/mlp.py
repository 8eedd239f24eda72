"""A multilayer perceptron whose last layer is linear: an embedding may point anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def mlp(size_in: int, hidden: Sequence[int], size_out: int, dropout: float = 0.0) -> nn.Sequential:
    """Linear and ReLU for every hidden size, dropout after each, then a linear layer.

    Args:
        size_in: width of the input.
        hidden: widths of the hidden layers; none makes one linear map.
        size_out: width of the output.
        dropout: share of the hidden activations set to zero in training.

    Returns:
        A module [..., size_in] -> [..., size_out].
    """
    layers: list[nn.Module] = []
    for a, b in pairwise((size_in, *hidden)):
        layers += [nn.Linear(a, b), nn.ReLU()]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
    layers.append(nn.Linear(hidden[-1] if hidden else size_in, size_out))
    return nn.Sequential(*layers)
