"""Means over consecutive rows, and of their positive parts, with gradients, in one pass each: `segment_mean`.

A bias, an activation, a sum by group and a division are four passes over the rows each way; rows here are those of
every seed in a batch.
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

_BLOCK = 128  # segments whose share of the bias' gradient is one row: sums do not depend on the number of threads


def segment_mean(x: Tensor, offsets: Tensor, relu: bool = False, bias: Tensor | None = None) -> Tensor:
    """Mean over the rows of every segment, 0 for an empty one.

    Args:
        x: float[n, h].
        offsets: int64[S + 1] on x's device, from 0 to at most n; segment s is x[offsets[s]:offsets[s + 1]]. Rows after
            the last segment are nobody's.
        relu: of max(x, 0) instead of x.
        bias: float[h], added to every row first.

    Returns:
        float[S, h].
    """
    if has_kernels(x):
        shift = x.new_zeros(x.shape[1]) if bias is None else bias
        return _SegmentMean.apply(x, offsets, relu, shift)  # type: ignore[no-any-return, no-untyped-call]  # in torch
    e, counts = x[: int(offsets[-1])], offsets.diff()
    e = e if bias is None else e + bias
    e = torch.relu(e) if relu else e
    group = torch.repeat_interleave(torch.arange(len(counts), device=x.device), counts)
    sums = torch.zeros(len(counts), x.shape[1], dtype=x.dtype, device=x.device).index_add(0, group, e)
    return sums / counts.clamp_min(1).unsqueeze(1)


@njit(nogil=True, cache=True, error_model="numpy")
def _forward(x: F, offsets: I64, relu: bool, bias: F, out: F, first: int, last: int) -> None:
    zero = out.dtype.type(0.0)
    for s in range(first, last):
        o = out[s]
        for c in range(x.shape[1]):
            o[c] = zero
        for i in range(offsets[s], offsets[s + 1]):
            row = x[i]
            if relu:
                for c in range(x.shape[1]):
                    e = row[c] + bias[c]
                    o[c] += zero if e <= zero else e  # NaN stays NaN
            else:
                for c in range(x.shape[1]):
                    o[c] += row[c] + bias[c]
        share = o.dtype.type(1.0 / max(offsets[s + 1] - offsets[s], 1))
        for c in range(x.shape[1]):
            o[c] *= share


@njit(nogil=True, cache=True, error_model="numpy")
def _backward(x: F, offsets: I64, relu: bool, bias: F, grad: F, grad_x: F, grad_bias: F, first: int, last: int) -> None:
    """grad_bias: float[blocks, h], a row for each `_BLOCK` segments, to be added up; first, last: blocks."""
    zero = grad.dtype.type(0.0)
    for block in range(first, last):
        total = grad_bias[block]
        total[:] = zero
        for s in range(block * _BLOCK, min((block + 1) * _BLOCK, len(grad))):
            g = grad[s]
            share = grad.dtype.type(1.0 / max(offsets[s + 1] - offsets[s], 1))
            for i in range(offsets[s], offsets[s + 1]):
                row, to = x[i], grad_x[i]
                for c in range(x.shape[1]):
                    to[c] = zero if relu and row[c] + bias[c] <= zero else share * g[c]
                    total[c] += to[c]


class _SegmentMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, offsets: Tensor, relu: bool, bias: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, offsets, bias)
        ctx.relu = relu
        out = x.new_empty(len(offsets) - 1, x.shape[1])
        arrays = x.detach().numpy(), offsets.numpy(), relu, bias.detach().numpy(), out.numpy()
        spread(_forward, len(out), x.numel(), *arrays)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, Tensor]:
        x, offsets, bias = ctx.saved_tensors
        grad_x, used = torch.empty_like(x), int(offsets[-1])
        grad_x[used:] = 0
        grad_bias = x.new_empty(-(-len(grad) // _BLOCK), x.shape[1])
        arrays = [t.detach().numpy() for t in (bias, grad.contiguous(), grad_x, grad_bias)]
        spread(_backward, len(grad_bias), 2 * x.numel(), x.detach().numpy(), offsets.numpy(), ctx.relu, *arrays)
        return grad_x, None, None, grad_bias.sum(0)
