"""Adam for embedding tables that touches only the rows a batch used: `RowAdam`.

Lazy (sparse) Adam, as `torch.optim.SparseAdam`: a row that was not used keeps its moments and its place, while the bias
correction counts every step. Dense Adam would read and write the whole table and both moments at each step, which for a
large vocabulary is nearly all the time a step takes.

Kingma, Ba, "Adam: A Method for Stochastic Optimization", arXiv 1412.6980, algorithm 1, row by row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from kinfolk.nn.lookup import has_kernels, used_rows
from kinfolk.nn.rows import I64, F
from kinfolk.nn.spread import spread


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")  # a check for division by zero would stop SIMD
def _step(
    table: F, moments: F, used: I64, grad: F, size: float, b1: float, b2: float, eps: float, first: int, last: int
) -> None:
    """table: [V, m]; moments: [V, 2, m]; used: int64[r]; grad: [r, m]; rows used[first:last] are stepped."""
    real = table.dtype.type
    a1, c1, a2, c2, s, e = real(b1), real(1 - b1), real(b2), real(1 - b2), real(size), real(eps)
    for i in range(first, last):
        p, mean, square, g = table[used[i]], moments[used[i], 0], moments[used[i], 1], grad[i]
        for c in range(table.shape[1]):
            mean[c] = a1 * mean[c] + c1 * g[c]
            square[c] = a2 * square[c] + c2 * g[c] * g[c]
            p[c] -= s * mean[c] / (np.sqrt(square[c]) + e)


class RowAdam:
    """Steps tables by their sparse gradients.

    Args:
        tables: parameters of shape [V, m], contiguous.
        lr, betas, eps: as in Adam.

    The state is one tensor [V, 2, m] a table (mean and mean square side by side, so that a row is one read) and a step
    count.
    """

    def __init__(
        self, tables: Iterable[Tensor], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        self.tables = list(tables)
        self.lr, self.betas, self.eps = lr, betas, eps
        self.steps = 0
        self.moments = [t.new_zeros(t.shape[0], 2, t.shape[1]).detach() for t in self.tables]

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients; tables without one are left alone."""
        self.steps += 1
        b1, b2 = self.betas
        size = self.lr * math.sqrt(1 - b2**self.steps) / (1 - b1**self.steps)
        for table, moments in zip(self.tables, self.moments, strict=True):
            if table.grad is None:
                continue
            used, values = used_rows(table.grad)
            if has_kernels(table):
                args = (table.detach().numpy(), moments.numpy(), used.numpy(), values.contiguous().numpy())
                spread(_step, len(used), 7 * values.numel(), *args, size, b1, b2, self.eps)
            else:
                now = moments[used]
                mean = now[:, 0].lerp(values, 1 - b1)
                square = b2 * now[:, 1] + (1 - b2) * values * values
                moments[used] = torch.stack([mean, square], dim=1)
                table.index_add_(0, used, -size * mean / (square.sqrt() + self.eps))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for table in self.tables:
            table.grad = None

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, by name: float tensors `moments.i` and int64 `steps`."""
        out: dict[str, Tensor] = {f"moments.{i}": m for i, m in enumerate(self.moments)}
        out["steps"] = torch.tensor(self.steps)
        return out

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.steps = int(state["steps"])
        for i, moments in enumerate(self.moments):
            moments.copy_(state[f"moments.{i}"])
