"""Vectors of length one: `unit`."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-6
"""Keeps a zero vector zero."""


def unit(x: Tensor) -> Tensor:
    """Rows of length one; a zero row stays zero, with a finite gradient."""
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + EPSILON**2)
