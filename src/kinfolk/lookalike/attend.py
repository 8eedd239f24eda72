"""From inner products to scores: tanh, softmax and both cosines of equations 2, 9 and 10, for many rows at once.

A row is one pair of a user and a candidate. Products of the user with the centroids come in, scores go out; the
softmax's denominator cancels in a cosine, and the norm of the weighted sum is a quadratic form with the Gram matrix.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.dots import F32, FAST, I64
from kinfolk.lookalike.tiles import LANES, products, weighted

EPSILON = 1e-8  # the least norm of a vector in a cosine: cos(0, ·) = 0
PADDING = -1e4  # the logit of a cluster that is not there; its weight comes out as exactly 0

_EPSILON = np.float32(EPSILON)
_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_TINY = np.finfo(np.float32).tiny
_LOG2E = np.float32(1 / math.log(2))
_LN2_HIGH = np.float32(0.693359375)  # few bits, so that its multiples are exact
_LN2_LOW = np.float32(math.log(2) - 0.693359375)
_LOWEST = np.float32(-88.5)
_NO_SCALE = np.float32(-127)
_TAYLOR = tuple(np.float32(1 / math.factorial(i)) for i in range(7))
_LOOSE = 8.0  # logits up to here need no shift: the smallest weight's square is far from underflow


@numba.njit(nogil=True, cache=True)  # not fastmath: the remainder must not be reassociated
def exp(x: F32, bits: NDArray[np.int32]) -> None:
    """x <- e^x in place for float32[n] of x <= 0, to about 2e-7; below e^-88 exactly 0. bits int32[n] is scratch.

    Written out because the library's function is a call per number; this is a few vector instructions.
    """
    c2, c3, c4, c5, c6 = _TAYLOR[2], _TAYLOR[3], _TAYLOR[4], _TAYLOR[5], _TAYLOR[6]
    for i in range(x.shape[0]):
        value = max(x[i], _LOWEST)
        power = np.floor(value * _LOG2E + _HALF)
        r = (value - power * _LN2_HIGH) - power * _LN2_LOW
        bits[i] = (np.int32(max(power, _NO_SCALE)) + np.int32(127)) << np.int32(23)
        x[i] = _ONE + r * (_ONE + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * c6)))))
    scale = bits.view(np.float32)
    for i in range(x.shape[0]):
        x[i] *= scale[i]


@numba.njit(nogil=True, cache=True, error_model="numpy")  # a check for division by zero would keep it from vectors
def tanh(x: F32, work: F32, bits: NDArray[np.int32]) -> None:
    """x <- tanh(x) in place for float32[n], to about 2e-7 absolute. work float32[n] and bits int32[n] are scratch."""
    for i in range(x.shape[0]):
        work[i] = -_TWO * abs(x[i])
    exp(work, bits)
    for i in range(x.shape[0]):
        size = (_ONE - work[i]) / (_ONE + work[i])
        x[i] = size if x[i] >= _ZERO else -size


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
    work: F32,
    bits: NDArray[np.int32],
    out: F32,
) -> None:
    """Scores of B rows.

    products float32[B * k]: E_s[j] · W_l E_u, used up. along float32[B, k]: E_s[j] · û. linear float32[B]: the
    part of the score that is linear in û. candidate int64[B]: which bias float32[C, k], gram float32[C, k, k] and local
    float32[C] a row uses. work and bits: scratch of B * k. out float32[B].
    """
    k = bias.shape[1]
    tanh(products, work, bits)
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
    exp(products, bits)
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
    bits: NDArray[np.int32],
    sums: F32,
    out: F32,
) -> None:
    """Scores of the LANES users of a tile and one candidate, user beside user, so that every step is one over vectors.

    made float32[(2k + 1) * LANES]: E_s[j] · W_l E_u, E_s[j] · E_u, linear · E_u, used up. lengths float32[LANES]:
    |E_u|, at least EPSILON. bias float32[k], gram float32[k, k], offset and local of the candidate. scratch float32 and
    bits int32 of k * LANES, sums float32[3, LANES]: used up. out float32[LANES].
    """
    k = len(bias)
    size = k * LANES
    w, along, linear = made[:size], made[size : 2 * size], made[2 * size :]
    tanh(w, scratch, bits)
    scale, shift = np.float32(temperature), np.float32(abs(temperature))
    for j in range(k):
        level = bias[j] - shift
        row = w[j * LANES : (j + 1) * LANES]
        for i in range(LANES):
            row[i] = scale * row[i] + level
    if shift > _LOOSE:
        for i in range(LANES):
            most = w[i]
            for j in range(i, size, LANES):
                most = max(most, w[j])
            for j in range(i, size, LANES):
                w[j] -= most
    exp(w, bits)
    products(w.reshape(k, LANES), gram, k, scratch.reshape(k, LANES))
    weighted(w, along, scratch, sums)  # type: ignore[call-arg]
    total, reach, norm = sums[0], sums[1], sums[2]
    for i in range(LANES):  # without a branch, so that it is one over vectors: no weight, no reach
        least = max(_EPSILON * total[i], _TINY)
        cosine = reach[i] / max(np.float32(np.sqrt(max(norm[i], _ZERO))), least)
        out[i] = (linear[i] + np.float32(local) * cosine) / lengths[i] + np.float32(offset)
