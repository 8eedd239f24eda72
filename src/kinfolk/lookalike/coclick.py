"""Co-clicks, the second channel of a score: how much of what a user clicked did the seeds click, too?

    co(u, S) = 1 / |S| · Σ_{s in S} Σ_{i in H_u and H_s} 1 / sqrt(n_i |H_u|)

with H the histories and n_i the users of item i: the mean over the seeds of what they share with the user, rare items
counting for more. It is the item-based recommender of Sarwar et al., "Item-based Collaborative Filtering", WWW 2001,
for an item known by its seeds alone. A vector of 128 numbers knows what a user likes, not that it was these two
articles; and of items born after training it knows nothing, where a history knows them all. A score is RALM's plus
`weight` times co (decision 7); the weight is learned (`lookalike.blend`).
"""

from __future__ import annotations

from functools import partial

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.lookalike.threads import ranges, spread

F32 = NDArray[np.float32]
_PIECES = 64  # of the users, for the threads


def co_clicks(
    users: Jagged, seeds: Jagged, offsets: NDArray[np.int64], support: NDArray[np.integer], *, threads: int | None = 1
) -> F32:
    """co(u, S) of every user and candidate.

    Args:
        users: U rows of int item rows, a user's history, distinct; a negative one is passed over.
        seeds: the same of the seeds of all candidates; a seed without history does not count.
        offsets: int64[C + 1]; the seeds of candidate c are rows offsets[c]:offsets[c + 1].
        support: int[M], n_i, users of every item.
        threads: users are spread over so many.

    Returns:
        float32[U, C], 0 where nothing is shared, at most 1.
    """
    scale = 1 / np.sqrt(np.maximum(support, 1))
    values, bounds = np.asarray(users.values, np.int32), np.asarray(users.offsets)
    out = np.zeros((len(users), len(offsets) - 1), np.float32)
    parts = ranges(len(users), _PIECES)
    for c in range(out.shape[1]):
        theirs = seeds.take(np.arange(offsets[c], offsets[c + 1]))
        clicked, counted = np.asarray(theirs.values), int(np.count_nonzero(theirs.lengths))
        if counted:
            profile = (np.bincount(clicked[clicked >= 0], minlength=len(scale)) * (scale / counted)).astype(np.float32)
            spread(partial(_fill, values, bounds, profile, out[:, c]), parts, threads)
    return out


def _fill(items: NDArray[np.int32], offsets: NDArray[np.int64], profile: F32, out: F32, part: tuple[int, int]) -> None:
    _shared(items, offsets, profile, *part, out)


@numba.njit(nogil=True, cache=True)
def _shared(
    items: NDArray[np.int32], offsets: NDArray[np.int64], profile: F32, first: int, last: int, out: F32
) -> None:
    for u in range(first, last):
        total, known = 0.0, 0
        for at in range(offsets[u], offsets[u + 1]):
            if items[at] >= 0:
                total += profile[items[at]]
                known += 1
        if known:
            out[u] = total / np.sqrt(known)
