"""From inner products to scores: tanh, softmax and both cosines of equations 2, 9 and 10, for many rows at once.

A row is one pair of a user and a candidate. Products of the user with the centroids come in, scores go out; the
softmax's denominator cancels in a cosine, and the norm of the weighted sum is a quadratic form with the Gram matrix.
"""

from __future__ import annotations

import numba
import numpy as np

from kinfolk.lookalike.curves import exp, tanh
from kinfolk.lookalike.dots import F32, FAST, I64
from kinfolk.lookalike.tiles import LANES, products, weighted

EPSILON = 1e-8  # the least norm of a vector in a cosine: cos(0, ·) = 0
PADDING = -1e4  # the logit of a cluster that is not there; its weight comes out as exactly 0

_EPSILON = np.float32(EPSILON)
_ZERO = np.float32(0)
_TINY = np.finfo(np.float32).tiny
_LOOSE = 8.0  # logits up to here need no shift: the smallest weight's square is far from underflow


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def finish(
    products: F32,
    along: F32,
    linear: F32,
    candidate: I64,
    bias: F32,
    gram: F32,
    local: F32,
    temperature: float,
    out: F32,
) -> None:
    """Scores of B rows.

    products float32[B * k]: E_s[j] · W_l E_u, used up. along float32[B, k]: E_s[j] · û. linear float32[B]: the
    part of the score that is linear in û. candidate int64[B]: which bias float32[C, k], gram float32[C, k, k] and local
    float32[C] a row uses. out float32[B].
    """
    k = bias.shape[1]
    tanh(products)
    scale = np.float32(temperature)
    shift = np.float32(abs(temperature))
    for r in range(len(candidate)):
        row, extra = products[r * k : r * k + k], bias[candidate[r]]
        for j in range(k):
            row[j] = scale * row[j] + extra[j] - shift
        if shift > _LOOSE:
            most = row.max()
            for j in range(k):
                row[j] -= most
    exp(products)
    for r in range(len(candidate)):
        w, g = products[r * k : r * k + k], gram[candidate[r]]
        total, reach, norm = _ZERO, _ZERO, _ZERO
        for j in range(k):
            total += w[j]
            reach += w[j] * along[r, j]
        for i in range(k):
            s = _ZERO
            for j in range(k):
                s += g[i, j] * w[j]
            norm += w[i] * s
        cosine = _ZERO
        if total > _ZERO:
            cosine = reach / max(np.float32(np.sqrt(max(norm, _ZERO))), _EPSILON * total)
        out[r] = linear[r] + local[candidate[r]] * cosine


@numba.njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def finish_tile(
    made: F32,
    lengths: F32,
    bias: F32,
    gram: F32,
    offset: float,
    local: float,
    temperature: float,
    scratch: F32,
    sums: F32,
    out: F32,
) -> None:
    """Scores of the LANES users of a tile and one candidate, user beside user, so that every step is one over vectors.

    made float32[(2k + 1) * LANES]: E_s[j] · W_l E_u, E_s[j] · E_u, linear · E_u, used up. lengths float32[LANES]:
    |E_u|, at least EPSILON. bias float32[k], gram float32[k, k], offset and local of the candidate. Used up too are
    scratch float32[k * LANES] and sums float32[3, LANES]. out float32[LANES].
    """
    k = len(bias)
    size = k * LANES
    w, along, linear = made[:size], made[size : 2 * size], made[2 * size :]
    tanh(w)
    scale, shift = np.float32(temperature), np.float32(abs(temperature))
    for j in range(k):
        level = bias[j] - shift
        row = w[j * LANES : (j + 1) * LANES]
        for i in range(LANES):
            row[i] = scale * row[i] + level
    if shift > _LOOSE:
        most = sums[0]
        most[:] = w[:LANES]
        for j in range(1, k):
            for i in range(LANES):
                most[i] = max(most[i], w[j * LANES + i])
        for j in range(k):
            for i in range(LANES):
                w[j * LANES + i] -= most[i]
    exp(w)
    products(w.reshape(k, LANES), gram, k, scratch.reshape(k, LANES))
    weighted(w, along, scratch, sums)  # type: ignore[call-arg]
    total, reach, norm = sums[0], sums[1], sums[2]
    for i in range(LANES):  # without a branch, so that it is one over vectors: no weight, no reach
        least = max(_EPSILON * total[i], _TINY)
        cosine = reach[i] / max(np.float32(np.sqrt(max(norm[i], _ZERO))), least)
        out[i] = (linear[i] + np.float32(local) * cosine) / lengths[i] + np.float32(offset)
