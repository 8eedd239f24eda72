"""The n best candidates of users, exactly: a look at bytes that bounds every score, then few exact scores.

The bounds (`bounds.fill_bounds`) choose the n most promising candidates; their n-th best exact score is a level that
every one of the true n best reaches, so that only candidates whose bound reaches it, too, are scored exactly, the most
promising first: each few of them raise the level.
"""

from __future__ import annotations

import numba
import numpy as np

from kinfolk.data.threads import ranges, spread, usable
from kinfolk.lookalike.bounds import coded, fill_bounds
from kinfolk.lookalike.dots import F32, I64
from kinfolk.lookalike.index import Arrays, Index
from kinfolk.lookalike.scan import USERS, score_rows, score_tiles
from kinfolk.lookalike.topk import fill_top

_SHARE = 8  # bounds pay where at most one candidate in so many is wanted
_FEW = 256  # candidates below which scoring all of them is as fast
_CHUNK = 64  # candidates scored exactly before the level is raised


def best_candidates(index: Index, units: F32, V: F32, n: int, threads: int) -> tuple[I64, F32]:
    """The n best candidates of every user, equal scores by row, with the bits of the exact scorer.

    Args:
        index: C candidates; its `codes` are made here where they pay and are not there yet.
        units: float32[U, h], û.
        V: float32[U, h], W_l E_u.
        n: at most C.
        threads: blocks of users are spread over so many; the candidates of a single user, too.

    Returns:
        rows int64[U, n] and scores float32[U, n], best first.
    """
    rows, scores = np.empty((len(units), n), np.int64), np.empty((len(units), n), np.float32)
    blocks = ranges(len(units), -(-len(units) // USERS))
    pieces = max(1, usable(threads) // max(len(blocks), 1))
    few = 0 < n * _SHARE <= len(index) and len(index) >= _FEW and index.centroids.shape[1] > 0
    codes = index.codes if few else None
    centre = np.zeros((2, V.shape[1]), np.float32) if codes is None else codes.centre
    (unit_codes, unit_facts), (v_codes, v_facts) = coded(units, centre), coded(V, centre)

    h = index.centroids.shape[2]

    def work(block: tuple[int, int]) -> None:
        some = slice(*block)
        made = np.empty((block[1] - block[0], len(index)), np.float32)
        if codes is None:
            everyone = ranges(len(index), pieces)
            spread(lambda part: score_tiles(index.arrays, units[some], V[some], *part, made), everyone, pieces)
            _best_of_all(made, rows[some], scores[some])
            return
        own = unit_codes[some], unit_facts[some], v_codes[some], v_facts[some]
        tables = codes.bytes, codes.facts, codes.longest, codes.whole, float(index.temperature), h
        spread(lambda part: fill_bounds(*tables, *own, *part, made), ranges(len(codes.bytes), pieces), pieces)
        _best_within(made, index.arrays, units[some], V[some], rows[some], scores[some])

    spread(work, blocks, threads)
    return rows, scores


@numba.njit(nogil=True, cache=True)
def _best_of_all(every: F32, rows: I64, scores: F32) -> None:
    """The best of scores float32[U, C] into rows int64[U, n] and scores float32[U, n]."""
    for u in range(len(every)):
        fill_top(every[u], rows[u])
        for i in range(rows.shape[1]):
            scores[u, i] = every[u, rows[u, i]]


@numba.njit(nogil=True, cache=True)
def _best_within(
    bounds: F32,
    arrays: Arrays,
    units: F32,
    V: F32,
    rows: I64,
    scores: F32,
) -> None:
    """The best candidates of U users into rows int64[U, n] and scores float32[U, n], n >= 1; bounds float32[U, C]."""
    n = rows.shape[1]
    chosen, best, nobody = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(max(n, _CHUNK), np.int64)
    for u in range(len(units)):
        unit, v, bound = units[u : u + 1], V[u : u + 1], bounds[u]
        fill_top(bound, chosen)
        first = np.empty(n, np.float32)
        score_rows(arrays, unit, v, nobody[:n], chosen, first)
        level = first.min()
        waiting = ~(bound < level)
        waiting[chosen] = False
        rest = np.flatnonzero(waiting)
        rest = rest[np.argsort(-bound[rest])]
        tried, exact, done = np.concatenate((chosen, rest)), np.empty(n + len(rest), np.float32), n
        exact[:n] = first
        while done < len(tried) and not bound[tried[done]] < level:
            end = min(done + _CHUNK, len(tried))
            score_rows(arrays, unit, v, nobody[: end - done], tried[done:end], exact[done:end])
            done = end
            fill_top(exact[:done], best)
            level = exact[best].min()
        by_row = np.argsort(tried[:done])
        tried, exact = tried[:done][by_row], exact[:done][by_row]
        fill_top(exact, best)
        for i in range(n):
            rows[u, i], scores[u, i] = tried[best[i]], exact[best[i]]
