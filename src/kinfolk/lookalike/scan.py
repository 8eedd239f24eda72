"""The fused loop that scores float32 candidates: every centroid is read once for both products it is in.

Kernels are serial and release the GIL. A pair has the same bits in whatever company it is scored.
"""

from __future__ import annotations

import numba
import numpy as np

from kinfolk.lookalike.attend import finish
from kinfolk.lookalike.dots import F32, I64, dot, two_dots
from kinfolk.lookalike.index import Arrays

USERS = 16  # users scored against a candidate while its centroids are in the nearest cache
_ROWS = 64  # pairs finished at once, so that tanh and exp run over long vectors


@numba.njit(nogil=True, cache=True)
def score_rows(
    arrays: Arrays,
    units: F32,
    V: F32,
    user: I64,
    candidate: I64,
    out: F32,
) -> None:
    """Scores of the pairs (user[p], candidate[p]) into out float32[P]; arrays: of an `Index`."""
    centroids, bias, gram, linear, offset, local, temperature = arrays
    k = centroids.shape[1]
    products = np.empty(_ROWS * k, np.float32)
    along = np.empty((_ROWS, k), np.float32)
    straight = np.empty(_ROWS, np.float32)
    for first in range(0, len(user), _ROWS):
        size = min(_ROWS, len(user) - first)
        for r in range(size):
            u, c = user[first + r], candidate[first + r]
            two_dots(V[u], units[u], centroids[c], k, products[r * k : r * k + k], along[r])
            straight[r] = dot(units[u], linear[c]) + offset[c]
        finish(
            products[: size * k], along, straight, candidate[first : first + size], bias, gram, local,
            temperature, out[first : first + size],
        )  # fmt: skip


@numba.njit(nogil=True, cache=True)
def score_tiles(
    arrays: Arrays,
    units: F32,
    V: F32,
    lo: int,
    hi: int,
    out: F32,
) -> None:
    """Scores of all users against candidates lo to hi into out float32[U, C], in tiles of users by candidates."""
    user = np.empty(_ROWS, np.int64)
    candidate = np.empty(_ROWS, np.int64)
    tile = np.empty(_ROWS, np.float32)
    for first in range(0, len(units), USERS):
        beside = min(USERS, len(units) - first)
        step = _ROWS // beside
        for c in range(lo, hi, step):
            size = beside * min(step, hi - c)
            for r in range(size):
                candidate[r], user[r] = c + r // beside, first + r % beside
            score_rows(arrays, units, V, user[:size], candidate[:size], tile[:size])
            for r in range(size):
                out[user[r], candidate[r]] = tile[r]
