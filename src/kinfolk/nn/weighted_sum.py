"""M[b] = Σ_i w[b, i] H[b, i] and its gradients in one pass each: `weighted_sum`.

A batched matrix product does the same as B tiny products of a row with a matrix, which costs several times more.
"""

from __future__ import annotations

from typing import Any

import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from kinfolk.nn.lookup import has_kernels
from kinfolk.nn.rows import F
from kinfolk.nn.spread import spread


def weighted_sum(w: Tensor, H: Tensor) -> Tensor:
    """Sum of n vectors a row by n weights a row.

    Args:
        w: float[B, n].
        H: float[B, n, m].

    Returns:
        float[B, m].
    """
    if not has_kernels(H):
        return torch.bmm(w[:, None, :], H).squeeze(1)
    return _WeightedSum.apply(w, H)  # type: ignore[no-any-return, no-untyped-call]  # untyped in torch


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _forward(w: F, H: F, out: F, first: int, last: int) -> None:
    for b in range(first, last):
        o = out[b]
        for c in range(H.shape[2]):
            o[c] = 0.0
        for i in range(H.shape[1]):
            h, a = H[b, i], w[b, i]
            for c in range(H.shape[2]):
                o[c] += a * h[c]


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _backward(w: F, H: F, grad: F, grad_w: F, grad_H: F, first: int, last: int) -> None:
    for b in range(first, last):
        g = grad[b]
        for i in range(H.shape[1]):
            h, to, a = H[b, i], grad_H[b, i], w[b, i]
            s = g.dtype.type(0.0)
            for c in range(H.shape[2]):
                s += g[c] * h[c]
                to[c] = a * g[c]
            grad_w[b, i] = s


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, H: Tensor) -> Tensor:
        w, H = w.contiguous(), H.contiguous()
        ctx.save_for_backward(w, H)
        out = H.new_empty(H.shape[0], H.shape[2])
        spread(_forward, len(H), H.numel(), w.detach().numpy(), H.detach().numpy(), out.numpy())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        w, H = ctx.saved_tensors
        grad_w, grad_H = torch.empty_like(w), torch.empty_like(H)
        arrays = [t.detach().numpy() for t in (w, H, grad.contiguous(), grad_w, grad_H)]
        spread(_backward, len(H), 2 * H.numel(), *arrays)
        return grad_w, grad_H
