"""An audience: the users most like the seeds of one candidate, chosen by exactly one of size, percent, score or reach.

`score_all` streams every user past one candidate, `select` chooses among the scores, `expand` does both. Users are
rows; outside ids are the business of whoever holds the vocabulary, which writes -1 for a seed it does not know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.data.threads import spread
from kinfolk.errors import DataError, OptionError, TooFewSeedsError
from kinfolk.lookalike.attend import EPSILON, finish_tile
from kinfolk.lookalike.dots import F32, dot
from kinfolk.lookalike.index import Index
from kinfolk.lookalike.tiles import LANES, fetching_products, lay, pack
from kinfolk.lookalike.topk import at_ranks, top

Reach = Literal["narrow", "balanced", "broad"]
REACH_PERCENT: dict[str, float] = {"narrow": 1.0, "balanced": 5.0, "broad": 10.0}


@dataclass(frozen=True)
class Audience:
    """A users chosen among those eligible, best first, equal scores by row.

    Args:
        rows: int64[A] user rows.
        scores: float32[A], in [-1, 1] for α + β = 1 and without a bonus.
        seeds_used: distinct seeds known here.
        seeds_unknown: entries of the seed list that are not (-1).
        n_eligible: users there were to choose from.
        reach: points (size, least score in an audience of that size), sizes 1, 2, 5, 10, 20 … and n_eligible.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    seeds_used: int
    seeds_unknown: int
    n_eligible: int
    reach: tuple[tuple[int, float], ...]

    def __len__(self) -> int:
        return len(self.rows)


def expand(
    index: Index,
    users: NDArray[np.float32],
    W_l: NDArray[np.float32],
    *,
    seeds: NDArray[np.integer],
    size: int | None = None,
    percent: float | None = None,
    min_score: float | None = None,
    reach: Reach | None = None,
    exclude: NDArray[np.integer] | None = None,
    include_seeds: bool = False,
    min_seeds: int = 10,
    bonus: NDArray[np.float32] | None = None,
    block: int = 65_536,
    threads: int | None = None,
) -> Audience:
    """Find the audience of one candidate over all users; options as `select`, matrices as `score_all`.

    Args:
        index: one candidate (C = 1): the clusters of the seeds; `Index.take` cuts it out of several.
        seeds: int[S] user rows, -1 for unknown ones.
        min_seeds: the least number of distinct known seeds.
        bonus: float32[N], added to the users' scores.

    Raises:
        TooFewSeedsError: fewer known seeds than min_seeds.
        OptionError, DataError: as `select` and `score_all`.
    """
    known = np.unique(np.asarray(seeds)[np.asarray(seeds) >= 0])
    if len(known) < min_seeds:
        raise TooFewSeedsError(
            f"{len(known)} of {len(seeds)} seeds are known users, expected at least {min_seeds}",
            "give more seeds or check that their ids are those of the users table",
        )
    check_choice(size=size, percent=percent, min_score=min_score, reach=reach)
    scores = score_all(users, W_l, index, block=block, threads=threads)
    return select(
        scores if bonus is None else scores + bonus,
        size=size, percent=percent, min_score=min_score, reach=reach,
        exclude=exclude, seeds=seeds, include_seeds=include_seeds, threads=threads,
    )  # fmt: skip


def select(
    scores: NDArray[np.float32],
    *,
    size: int | None = None,
    percent: float | None = None,
    min_score: float | None = None,
    reach: Reach | None = None,
    exclude: NDArray[np.integer] | None = None,
    seeds: NDArray[np.integer] | None = None,
    include_seeds: bool = False,
    threads: int | None = None,
) -> Audience:
    """Choose users by their scores; exactly one of size, percent, min_score and reach.

    Args:
        scores: float32[N], one a user.
        size: how many users; all eligible ones where there are fewer.
        percent: of the eligible users, above 0 and at most 100, rounded down, at least one user.
        min_score: everyone who scores at least this; may be no one.
        reach: "narrow", "balanced" or "broad": the best 1, 5 or 10 percent.
        exclude: int[X] user rows never returned; -1 is passed over.
        seeds: int[S] user rows never returned unless include_seeds; -1 is counted as unknown.
        include_seeds: seeds may be returned, and count as eligible; excluded ones stay out.
        threads: None is one a core.

    Raises:
        OptionError: none or several of the four, one out of its range, include_seeds without seeds.
        DataError: NaN among the scores, rows beyond the users.
    """
    check_choice(size=size, percent=percent, min_score=min_score, reach=reach)
    if include_seeds and seeds is None:
        raise OptionError("include_seeds is set but there are no seeds", "give seeds or leave include_seeds out")
    scores = np.ascontiguousarray(scores, np.float32)
    if np.isnan(scores).any():
        raise DataError("a user's score is NaN", "check the embeddings of users and seeds")
    eligible = np.ones(len(scores), np.bool_)
    eligible[_known(exclude, len(scores), "exclude")] = False
    known = _known(seeds, len(scores), "seeds")
    if not include_seeds:
        eligible[known] = False
    rows = np.flatnonzero(eligible)
    pool = scores[rows]
    if min_score is not None:
        count = int((pool >= min_score).sum())
    elif size is not None:
        count = min(size, len(pool))
    else:
        share = REACH_PERCENT[reach] if reach is not None else float(percent or 0)
        count = min(max(math.floor(len(pool) * share / 100 + 1e-9), 1), len(pool))
    sizes = _sizes(len(pool))
    least = _least(pool, sorted({*sizes, count} - {0}), threads)
    chosen = top(pool, count, least.get(count))
    return Audience(
        rows=rows[chosen],
        scores=pool[chosen],
        seeds_used=len(known),
        seeds_unknown=0 if seeds is None else int((np.asarray(seeds) < 0).sum()),
        n_eligible=len(pool),
        reach=tuple((size, least[size]) for size in sizes),
    )


def score_all(
    users: NDArray[np.float32],
    W_l: NDArray[np.float32],
    index: Index,
    *,
    block: int = 65_536,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Every user against one candidate, in one pass over the users.

    With one candidate the projection moves to its side: E_s[j] · W_l E_u = (W_lᵀ E_s[j]) · E_u, so that a user costs
    2k + 1 products of width h and W_l E_u is never formed.

    Args:
        users: [N, h] embeddings E_u, float32 or what converts to it; may be memory-mapped, read in blocks.
        W_l: float32[h, h], v = W_l E_u.
        index: one candidate (C = 1).
        block: users read at once.
        threads: None is one a core.

    Returns:
        float32[N].

    Raises:
        OptionError: an index of several candidates, shapes that do not fit, block below 1.
        DataError: NaN or infinity in an embedding.
    """
    h = index.centroids.shape[2]
    if len(index) != 1:
        raise OptionError(f"the index holds {len(index)} candidates, expected 1", "cut one out with Index.take([row])")
    if users.ndim != 2 or users.shape[1] != h or W_l.shape != (h, h):
        raise OptionError(
            f"users have shape {users.shape} and W_l {W_l.shape}, expected [users, {h}] and [{h}, {h}]",
            "give embeddings and weights of the model that made the index",
        )
    if block < 1:
        raise OptionError(f"block is {block}, expected at least 1", "give a positive number of users")
    centroids, bias, gram, linear, offset, local, temperature = index.arrays
    projected = centroids[0].astype(np.float64) @ np.asarray(W_l, np.float64)
    probes = np.concatenate([projected.astype(np.float32), centroids[0], linear])
    out = np.empty(len(users), np.float32)

    def work(first: int) -> None:
        part = np.ascontiguousarray(users[first : first + block], np.float32)
        found = out[first : first + len(part)]
        if not _score(part, probes, bias[0], gram[0], offset[0], local[0], temperature, found):
            _check_finite(part, first)

    spread(work, range(0, len(users), block), threads)
    return out


def _check_finite(users: F32, first: int) -> None:
    finite = np.isfinite(users).all(axis=1)
    if not finite.all():
        bad = first + int(np.argmin(finite))
        raise DataError(f"the embedding of user row {bad} holds NaN or infinity", "leave this user out")


def check_choice(*, size: int | None, percent: float | None, min_score: float | None, reach: Reach | None) -> None:
    """Raises OptionError unless exactly one is given and within its range."""
    given = {"size": size, "percent": percent, "min_score": min_score, "reach": reach}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise OptionError(
            f"{' and '.join(named) or 'nothing'} given to choose the audience by",
            "give exactly one of size, percent, min_score, reach",
        )
    if size is not None and size < 1:
        raise OptionError(f"size is {size}, expected at least 1", "give a positive number of users")
    if percent is not None and not 0 < percent <= 100:
        raise OptionError(f"percent is {percent}, expected above 0 and at most 100", "1 means one percent")
    if min_score is not None and not math.isfinite(min_score):
        raise OptionError(
            f"min_score is {min_score}, expected a finite number", "without co-clicks scores lie between -1 and 1"
        )
    if reach is not None and reach not in REACH_PERCENT:
        raise OptionError(f"reach is {reach!r}", f"choose one of {', '.join(REACH_PERCENT)}")


def _known(rows: NDArray[np.integer] | None, total: int, name: str) -> NDArray[np.int64]:
    """The distinct rows that are not -1."""
    found = np.unique(np.asarray([] if rows is None else rows, np.int64))
    if len(found) and (found[0] < -1 or found[-1] >= total):
        raise DataError(
            f"{name} holds rows from {found[0]} to {found[-1]}, expected -1 to {total - 1}",
            "give rows of the same users as the scores",
        )
    return found[found >= 0]


def _sizes(n: int) -> list[int]:
    """Sizes of audiences whose least scores are told: 1, 2, 5, 10, 20 … and n."""
    grid = {digit * 10**power for power in range(len(str(n))) for digit in (1, 2, 5)}
    return sorted({s for s in grid if s < n} | {n}) if n else []


def _least(pool: NDArray[np.float32], sizes: list[int], threads: int | None) -> dict[int, float]:
    """Size of an audience -> the least score in it."""
    return dict(zip(sizes, at_ranks(pool, np.array(sizes), threads).tolist(), strict=True)) if sizes else {}


@numba.njit(nogil=True, cache=True)
def _score(
    users: F32, probes: F32, bias: F32, gram: F32, offset: float, local: float, temperature: float, out: F32
) -> bool:
    """Scores float32[n] of users float32[n, h] by their products with probes float32[2k + 1, h], a tile at a time.

    Returns whether the squared lengths of all users are finite.
    """
    k, h = len(bias), users.shape[1]
    rows, nothing = np.arange(len(users)), np.zeros(h, np.float32)
    tile, made = np.empty((h, LANES), np.float32), np.empty((2 * k + 1, LANES), np.float32)
    scratch, sums = np.empty(k * LANES, np.float32), np.empty((3, LANES), np.float32)
    lengths, found = np.ones(LANES, np.float32), np.empty(LANES, np.float32)
    finite = True
    for first in range(0, len(users), LANES):
        size = min(LANES, len(users) - first)
        for i in range(first, first + size):
            square = dot(users[i], users[i])
            finite &= bool(np.isfinite(square))
            lengths[i - first] = max(np.float32(np.sqrt(square)), np.float32(EPSILON))
        if size == LANES:
            lay(users[first : first + LANES], tile)
        else:
            pack(users, rows, first, nothing, tile)
        fetching_products(tile, probes, 2 * k + 1, made, users, first + LANES)
        finish_tile(made.reshape(-1), lengths, bias, gram, offset, local, temperature, scratch, sums, found)
        out[first : first + size] = found[:size]
    return finite
