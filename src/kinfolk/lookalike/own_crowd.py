"""Local attention of users to one crowd each (RALM, eq. 9), with gradients, in one pass each way: `own_crowd`.

A logit, a softmax and a weighted sum for each pair of a user and a crowd are some ten passes over the crowds of a batch
each way where they are written with tensors; here a crowd is read once and stays in the nearest cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from kinfolk.lookalike.attention import masked_softmax
from kinfolk.lookalike.dots import FAST
from kinfolk.nn.lookup import has_kernels
from kinfolk.nn.rows import I64, F
from kinfolk.nn.spread import spread


def own_crowd(
    clusters: Float[Tensor, "c k h"],
    queries: Float[Tensor, "b h"],
    mine: Int[Tensor, b],
    bias: Float[Tensor, "c k"],
    valid: Bool[Tensor, "c k"],
    temperature: Float[Tensor, ""],
) -> Float[Tensor, "b h"]:
    """The sum of a crowd's valid clusters, weighed by softmax of `temperature * tanh(E_s[j] . q) + bias[j]`.

    Args:
        clusters: of each crowd.
        queries: W_l E_u of each user.
        mine: int64, each user's crowd.
        bias: added to the logits; gets no gradient.
        valid: clusters that are there; a crowd without any sums to zero.
    """
    if has_kernels(clusters):
        arguments = clusters, queries, mine, bias, valid, temperature
        return _OwnCrowd.apply(*arguments)  # type: ignore[no-any-return, no-untyped-call]  # untyped in torch
    own = clusters.index_select(0, mine)
    logits = temperature * torch.tanh((own @ queries[:, :, None]).squeeze(-1)) + bias[mine]
    return (masked_softmax(logits, valid[mine])[:, None] @ own).squeeze(1)


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def _forward(
    clusters: F,
    queries: F,
    mine: I64,
    bias: F,
    valid: NDArray[np.bool_],
    temperature: float,
    weights: F,
    turned: F,
    out: F,
    first: int,
    last: int,
) -> None:
    """weights, turned: float[B, k], written: the softmax and the tanh of every logit, 0 where not valid."""
    _, k, h = clusters.shape
    zero, warmth = out.dtype.type(0.0), out.dtype.type(temperature)
    for b in range(first, last):
        crowd, q, w, t, o = clusters[mine[b]], queries[b], weights[b], turned[b], out[b]
        extra, there = bias[mine[b]], valid[mine[b]]
        w[:] = zero
        t[:] = zero
        o[:] = zero
        peak = out.dtype.type(-np.inf)
        for j in range(k):
            if there[j]:
                s = zero
                for c in range(h):
                    s += crowd[j, c] * q[c]
                t[j] = np.tanh(s)
                w[j] = warmth * t[j] + extra[j]
                peak = max(peak, w[j])
        total = zero
        for j in range(k):
            if there[j]:
                w[j] = np.exp(w[j] - peak)
                total += w[j]
        for j in range(k):
            if there[j]:
                w[j] /= total
                for c in range(h):
                    o[c] += w[j] * crowd[j, c]


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def _backward(
    clusters: F,
    queries: F,
    users: I64,
    starts: I64,
    temperature: float,
    weights: F,
    turned: F,
    grad: F,
    grad_clusters: F,
    grad_queries: F,
    grad_temperature: F,
    first: int,
    last: int,
) -> None:
    """users[starts[c]:starts[c + 1]]: those of crowd c; grad_temperature: float[B], to be added up; a range of crowds.

    A cluster that is not there has weight 0, and so no gradient.
    """
    _, k, h = clusters.shape
    zero, one, warmth = grad.dtype.type(0.0), grad.dtype.type(1.0), grad.dtype.type(temperature)
    slope = np.empty(k, grad.dtype)
    for c in range(first, last):
        crowd, to = clusters[c], grad_clusters[c]
        to[:] = zero
        for i in range(starts[c], starts[c + 1]):
            b = users[i]
            g, q, w, t, to_q = grad[b], queries[b], weights[b], turned[b], grad_queries[b]
            mean = zero
            for j in range(k):
                s = zero
                for x in range(h):
                    s += crowd[j, x] * g[x]
                slope[j] = s
                mean += w[j] * s
            to_q[:] = zero
            colder = zero
            for j in range(k):
                on_logit = w[j] * (slope[j] - mean)
                colder += on_logit * t[j]
                on_product = on_logit * warmth * (one - t[j] * t[j])
                for x in range(h):
                    to[j, x] += w[j] * g[x] + on_product * q[x]
                    to_q[x] += on_product * crowd[j, x]
            grad_temperature[b] = colder


class _OwnCrowd(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, clusters: Tensor, queries: Tensor, mine: Tensor, bias: Tensor, valid: Tensor, temperature: Tensor
    ) -> Tensor:
        clusters, queries = clusters.contiguous(), queries.contiguous()
        out = torch.empty_like(queries)
        weights, turned = queries.new_empty(2, len(queries), clusters.shape[1])
        read = [t.detach().numpy() for t in (clusters, queries, mine, bias, valid)]
        written = [t.numpy() for t in (weights, turned, out)]
        spread(_forward, len(out), 2 * weights.numel() * out.shape[1], *read, temperature.item(), *written)
        ctx.save_for_backward(clusters, queries, mine, temperature, weights, turned)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None, Tensor]:
        clusters, queries, mine, temperature, weights, turned = ctx.saved_tensors
        users = np.argsort(mine.numpy(), kind="stable")
        starts = np.zeros(len(clusters) + 1, np.int64)
        np.cumsum(np.bincount(mine.numpy(), minlength=len(clusters)), out=starts[1:])
        made = torch.empty_like(clusters), torch.empty_like(queries), queries.new_empty(len(queries))
        read = clusters.detach().numpy(), queries.detach().numpy(), users, starts, temperature.item()
        arrays = [t.numpy() for t in (weights, turned, grad.contiguous(), *made)]
        spread(_backward, len(clusters), 4 * weights.numel() * grad.shape[1], *read, *arrays)
        return made[0], made[1], None, None, None, made[2].sum()
