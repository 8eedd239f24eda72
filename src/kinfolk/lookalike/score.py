"""Exact scores of users against candidates: `score = α cos(E_u, E_global) + β cos(E_u, E_local)` (equations 2, 9, 10).

One fused loop reads a candidate's centroids once for both products it needs, and never forms E_local: with v = W_l E_u
and û = E_u/|E_u|, cos(E_u, E_local) = Σ_j w_j (E_s[j]·û) / sqrt(wᵀ E_s E_sᵀ w). Kernels are serial and release the GIL;
`threads` spreads candidates or users over a pool. A score has the same bits alone and in a batch.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike.attend import EPSILON, finish
from kinfolk.lookalike.dots import F32, dot, two_dots
from kinfolk.lookalike.index import Index as Index
from kinfolk.lookalike.lloyd import I64
from kinfolk.lookalike.threads import ranges, spread, usable
from kinfolk.lookalike.topk import fill_top, top

_USERS = 16  # users scored against a candidate while its centroids are in the nearest cache
_ROWS = 64  # pairs finished at once, so that tanh and exp run over long vectors


def score_user(
    index: Index,
    user: NDArray[np.float32],
    projected: NDArray[np.float32],
    top: int | None = None,
    threads: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The candidates of one user, best first, equal scores by row.

    Args:
        index: C candidates of width h.
        user: float32[h], E_u.
        projected: float32[h], v = W_l E_u.
        top: how many; None is all C.
        threads: candidates are spread over so many.

    Returns:
        rows int64[n] and scores float32[n], n = min(top, C).

    Raises:
        OptionError: vectors of another width, top below 0. DataError: NaN or infinity in a vector.
    """
    scores = score_users(index, user[None], projected[None], threads)[0]
    rows = _top(scores, len(scores) if top is None else top)
    return rows, scores[rows]


def score_users(
    index: Index, users: NDArray[np.float32], projected: NDArray[np.float32], threads: int = 1
) -> NDArray[np.float32]:
    """Every user against every candidate.

    Args:
        index: C candidates of width h.
        users: float32[U, h], rows E_u.
        projected: float32[U, h], rows W_l E_u.
        threads: candidates are spread over so many.

    Returns:
        float32[U, C], in index order.

    Raises:
        OptionError: vectors of another width. DataError: NaN or infinity in a vector.
    """
    units, V = _prepared(index, users, projected)
    out = np.empty((len(units), len(index)), np.float32)
    workers = usable(threads)
    spread(lambda part: _scan(*index.arrays, units, V, *part, out), ranges(len(index), workers), workers)
    return out


def score_pairs(
    index: Index,
    users: NDArray[np.float32],
    projected: NDArray[np.float32],
    user: NDArray[np.integer],
    candidate: NDArray[np.integer],
    threads: int = 1,
) -> NDArray[np.float32]:
    """Chosen pairs only: a test set, or the list that a ranking service brings.

    Args:
        index: C candidates of width h.
        users: float32[U, h], rows E_u.
        projected: float32[U, h], rows W_l E_u.
        user: int[P] rows of `users`.
        candidate: int[P] rows of the index; pairs sorted by candidate are read fastest.
        threads: pairs are spread over so many.

    Returns:
        float32[P].

    Raises:
        OptionError: vectors of another width, rows out of range. DataError: NaN or infinity in a vector.
    """
    units, V = _prepared(index, users, projected)
    u, c = np.ascontiguousarray(user, np.int64), np.ascontiguousarray(candidate, np.int64)
    if len(u) != len(c):
        raise OptionError(f"{len(u)} users beside {len(c)} candidates", "give one of each a pair")
    for name, rows, size in (("user", u, len(units)), ("candidate", c, len(index))):
        if len(rows) and (rows.min() < 0 or rows.max() >= size):
            raise OptionError(
                f"{name} rows reach from {rows.min()} to {rows.max()}, expected 0 to {size - 1}",
                f"drop pairs whose {name} is not there",
            )
    out = np.empty(len(u), np.float32)
    spread(
        lambda part: _pairs(*index.arrays, units, V, u[slice(*part)], c[slice(*part)], out[slice(*part)]),
        ranges(len(u), usable(threads)),
        threads,
    )
    return out


def top_candidates(
    index: Index, users: NDArray[np.float32], projected: NDArray[np.float32], n: int, threads: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The n best candidates of every user, exactly; equal scores by row.

    Args:
        index: C candidates of width h.
        users: float32[U, h], rows E_u.
        projected: float32[U, h], rows W_l E_u.
        n: how many, at least 0; min(n, C) come back.
        threads: users are spread over so many.

    Returns:
        rows int64[U, min(n, C)] and scores float32 of the same shape, best first.

    Raises:
        OptionError: vectors of another width, n below 0. DataError: NaN or infinity in a vector.
    """
    if n < 0:
        raise OptionError(f"asked for the best {n}, expected 0 or more", "ask for a positive number")
    units, V = _prepared(index, users, projected)
    rows = np.empty((len(units), min(n, len(index))), np.int64)
    scores = np.empty(rows.shape, np.float32)
    blocks = ranges(len(units), -(-len(units) // _USERS))
    spread(lambda part: _scan_top(*index.arrays, units, V, *part, rows, scores), blocks, threads)
    return rows, scores


def unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of float32[n, h] divided by their length, which counts as at least `EPSILON`."""
    norms = np.sqrt(np.einsum("nh,nh->n", x, x, dtype=np.float64))
    scaled: NDArray[np.float32] = (x / np.maximum(norms, EPSILON)[:, None]).astype(np.float32)
    return scaled


_top = top  # `top` is also the name of an argument


def _prepared(
    index: Index, users: NDArray[np.float32], projected: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    E, V = np.ascontiguousarray(users, np.float32), np.ascontiguousarray(projected, np.float32)
    h = index.centroids.shape[2]
    if E.ndim != 2 or E.shape != V.shape or E.shape[1] != h:
        raise OptionError(
            f"users have shape {E.shape} and their projections {V.shape}, expected [users, {h}] twice",
            "give embeddings of the model that made the index",
        )
    if not (np.isfinite(E).all() and np.isfinite(V).all()):
        raise DataError("a user's embedding holds NaN or infinity", "leave this user out or compute it anew")
    return unit(E), V


@numba.njit(nogil=True, cache=True)
def _pairs(
    centroids: F32,
    bias: F32,
    gram: F32,
    linear: F32,
    offset: F32,
    local: F32,
    temperature: float,
    units: F32,
    V: F32,
    user: I64,
    candidate: I64,
    out: F32,
) -> None:
    """Scores of the pairs (user[p], candidate[p]) into out float32[P]."""
    k = centroids.shape[1]
    products = np.empty(_ROWS * k, np.float32)
    along = np.empty((_ROWS, k), np.float32)
    straight = np.empty(_ROWS, np.float32)
    work = np.empty(_ROWS * k, np.float32)
    bits = np.empty(_ROWS * k, np.int32)
    for first in range(0, len(user), _ROWS):
        size = min(_ROWS, len(user) - first)
        for r in range(size):
            u, c = user[first + r], candidate[first + r]
            two_dots(V[u], units[u], centroids[c], k, products[r * k : r * k + k], along[r])
            straight[r] = dot(units[u], linear[c]) + offset[c]
        finish(
            products[: size * k], along, straight, candidate[first : first + size], bias, gram, local,
            temperature, work[: size * k], bits[: size * k], out[first : first + size],
        )  # fmt: skip


@numba.njit(nogil=True, cache=True)
def _scan(
    centroids: F32,
    bias: F32,
    gram: F32,
    linear: F32,
    offset: F32,
    local: F32,
    temperature: float,
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
    for first in range(0, len(units), _USERS):
        beside = min(_USERS, len(units) - first)
        step = _ROWS // beside
        for c in range(lo, hi, step):
            size = beside * min(step, hi - c)
            for r in range(size):
                candidate[r], user[r] = c + r // beside, first + r % beside
            _pairs(
                centroids, bias, gram, linear, offset, local, temperature, units, V, user[:size], candidate[:size],
                tile[:size],
            )  # fmt: skip
            for r in range(size):
                out[user[r], candidate[r]] = tile[r]


@numba.njit(nogil=True, cache=True)
def _scan_top(
    centroids: F32,
    bias: F32,
    gram: F32,
    linear: F32,
    offset: F32,
    local: F32,
    temperature: float,
    units: F32,
    V: F32,
    lo: int,
    hi: int,
    rows: I64,
    scores: F32,
) -> None:
    """The best candidates of users lo to hi into rows int64[U, n] and scores float32[U, n]."""
    count = len(centroids)
    buffer = np.empty((hi - lo, count), np.float32)
    _scan(
        centroids, bias, gram, linear, offset, local, temperature, units[lo:hi], V[lo:hi], 0, count, buffer
    )  # fmt: skip
    for i in range(hi - lo):
        fill_top(buffer[i], rows[lo + i])
        for j in range(rows.shape[1]):
            scores[lo + i, j] = buffer[i, rows[lo + i, j]]
