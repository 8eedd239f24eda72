"""Means over consecutive rows, and of their positive parts, with gradients, in one pass each: `segment_mean`.

An activation, a sum by group and a division are three passes over the rows each way; rows here are those of every seed
in a batch.
"""

from __future__ import annotations

from typing import Any

import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from kinfolk.nn.lookup import has_kernels
from kinfolk.nn.rows import I64, F
from kinfolk.nn.spread import spread


def segment_mean(x: Tensor, offsets: Tensor, relu: bool = False) -> Tensor:
    """Mean over the rows of every segment, 0 for an empty one.

    Args:
        x: float[n, h].
        offsets: int64[S + 1] on x's device, from 0 to n; segment s is x[offsets[s]:offsets[s + 1]].
        relu: of max(x, 0) instead of x.

    Returns:
        float[S, h].
    """
    if has_kernels(x):
        return _SegmentMean.apply(x, offsets, relu)  # type: ignore[no-any-return, no-untyped-call]  # untyped in torch
    e, counts = torch.relu(x) if relu else x, offsets.diff()
    group = torch.repeat_interleave(torch.arange(len(counts), device=x.device), counts)
    sums = torch.zeros(len(counts), x.shape[1], dtype=x.dtype, device=x.device).index_add(0, group, e)
    return sums / counts.clamp_min(1).unsqueeze(1)


@njit(nogil=True, cache=True, error_model="numpy")
def _forward(x: F, offsets: I64, relu: bool, out: F, first: int, last: int) -> None:
    zero = out.dtype.type(0.0)
    for s in range(first, last):
        o = out[s]
        for c in range(x.shape[1]):
            o[c] = zero
        for i in range(offsets[s], offsets[s + 1]):
            row = x[i]
            if relu:
                for c in range(x.shape[1]):
                    o[c] += zero if row[c] <= zero else row[c]  # NaN stays NaN
            else:
                for c in range(x.shape[1]):
                    o[c] += row[c]
        share = o.dtype.type(1.0 / max(offsets[s + 1] - offsets[s], 1))
        for c in range(x.shape[1]):
            o[c] *= share


@njit(nogil=True, cache=True, error_model="numpy")
def _backward(x: F, offsets: I64, relu: bool, grad: F, grad_x: F, first: int, last: int) -> None:
    zero = grad.dtype.type(0.0)
    for s in range(first, last):
        g = grad[s]
        share = grad.dtype.type(1.0 / max(offsets[s + 1] - offsets[s], 1))
        for i in range(offsets[s], offsets[s + 1]):
            row, to = x[i], grad_x[i]
            for c in range(x.shape[1]):
                to[c] = zero if relu and row[c] <= zero else share * g[c]


class _SegmentMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, offsets: Tensor, relu: bool) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, offsets)
        ctx.relu = relu
        out = x.new_empty(len(offsets) - 1, x.shape[1])
        spread(_forward, len(out), x.numel(), x.detach().numpy(), offsets.numpy(), relu, out.numpy())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        x, offsets = ctx.saved_tensors
        grad_x = torch.empty_like(x)
        arrays = x.detach().numpy(), offsets.numpy(), ctx.relu, grad.contiguous().numpy(), grad_x.numpy()
        spread(_backward, len(offsets) - 1, 2 * x.numel(), *arrays)
        return grad_x, None, None
