"""Exact scores of users against candidates: `score = α cos(E_u, E_global) + β cos(E_u, E_local)` (equations 2, 9, 10).

One fused loop reads a candidate's centroids once for both products it needs, and never forms E_local: with v = W_l E_u
and û = E_u/|E_u|, cos(E_u, E_local) = Σ_j w_j (E_s[j]·û) / sqrt(wᵀ E_s E_sᵀ w). Who wants only the n best candidates
gets them with the same bits from few exact scores (`lookalike.best`). Kernels are serial and release the GIL; `threads`
spreads candidates or users over a pool. A score has the same bits alone and in a batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.threads import ranges, spread, usable
from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike.attend import EPSILON
from kinfolk.lookalike.best import best_candidates
from kinfolk.lookalike.index import Index as Index
from kinfolk.lookalike.scan import score_rows, score_tiles


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
    rows, scores = top_candidates(index, user[None], projected[None], len(index) if top is None else top, threads)
    return rows[0], scores[0]


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
    spread(lambda part: score_tiles(index.arrays, units, V, *part, out), ranges(len(index), workers), workers)
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
        lambda part: score_rows(index.arrays, units, V, u[slice(*part)], c[slice(*part)], out[slice(*part)]),
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
        threads: users are spread over so many, the candidates of a single user, too.

    Returns:
        rows int64[U, min(n, C)] and scores float32 of the same shape, best first.

    Raises:
        OptionError: vectors of another width, n below 0. DataError: NaN or infinity in a vector.
    """
    if n < 0:
        raise OptionError(f"asked for the best {n}, expected 0 or more", "ask for a positive number")
    units, V = _prepared(index, users, projected)
    return best_candidates(index, units, V, min(n, len(index)), threads)


def unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of float32[n, h] divided by their length, which counts as at least `EPSILON`."""
    norms = np.sqrt(np.einsum("nh,nh->n", x, x, dtype=np.float64))
    scaled: NDArray[np.float32] = (x / np.maximum(norms, EPSILON)[:, None]).astype(np.float32)
    return scaled


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
