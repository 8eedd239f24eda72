"""All users of a space against one crowd: an audience, an estimate of one, the best users of a candidate.

Users pass by in blocks; of each only its score (4 bytes) and key (8 bytes) are kept until the choice is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.activity import DEFAULT, bonus
from kinfolk.lookalike.audience import REACH_PERCENT, score_all, select
from kinfolk.lookalike.coclick import Profile, score_histories
from kinfolk.lookalike.index import Index
from kinfolk.online.ports import Members
from kinfolk.online.question import Asked

if TYPE_CHECKING:
    from kinfolk.online.space import Space

U64 = NDArray[np.uint64]
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Target:
    """A crowd to be like. index: of one snapshot of the space's model. profile: what its seeds clicked, too. activity:
    what clicking a lot counts for."""

    index: Index
    profile: Profile
    activity: str = DEFAULT

    def scores(self, space: Space, keys: U64, vectors: F32, threads: int) -> F32:
        """float32[n], of users with their histories as of training, or as they were told."""
        block = max(1, -(-len(keys) // threads))
        scores = score_all(vectors, space.weights.arrays["local"], self.index, block=block, threads=threads)
        if not space.co_clicks:
            return scores
        clicked = space.clicked(keys)
        scores = scores + bonus(clicked.lengths, space.weights.activity, self.activity)
        if len(self.profile.items):
            scores = scores + np.float32(space.weights.co_click) * score_histories(
                clicked, self.profile, threads=threads
            )
        return np.asarray(scores, np.float32)


@dataclass(frozen=True)
class Found:
    """An audience, best first.

    Args:
        blocks: outside ids, str[n] a block, in the order in which users passed by.
        keys: uint64[N] of all users that passed by.
        rows: int64[A] positions of the chosen ones among all.
        scores: float32[A].
        eligible: users there were to choose from.
        reach: points (size, least score in an audience of that size).
    """

    blocks: list[NDArray[np.str_]]
    keys: U64
    rows: NDArray[np.int64]
    scores: F32
    eligible: int
    reach: tuple[tuple[int, float], ...]

    def part(self, first: int, last: int) -> Members:
        """Those of rank first to last - 1."""
        rows = self.rows[first:last]
        starts = np.cumsum([0, *map(len, self.blocks)])
        block = np.searchsorted(starts, rows, side="right") - 1
        ids = tuple(str(self.blocks[b][r - starts[b]]) for b, r in zip(block.tolist(), rows.tolist(), strict=True))
        return Members(ids, self.keys[rows], self.scores[first:last])


def find(
    space: Space, crowd: Target, seeds: U64, asked: Asked, *, block: int, threads: int, beat: Callable[[], None]
) -> Found:
    """The audience that a question asks for.

    Args:
        space: the users.
        crowd: whom to be like.
        seeds: uint64[S] keys of the crowd's seeds.
        asked: the choice, whom to exclude, whether seeds may come back.
        block: users at once.
        threads: of the scan.
        beat: called after every block.
    """
    blocks, keys, scores = [], [np.zeros(0, np.uint64)], [np.zeros(0, np.float32)]
    for ids, own, vectors in space.blocks(block):
        scores.append(crowd.scores(space, own, vectors, threads))
        blocks.append(ids)
        keys.append(own)
        beat()
    every = np.concatenate(keys)
    chosen = select(
        np.concatenate(scores),
        size=asked.size, percent=asked.percent, min_score=asked.min_score, reach=asked.reach,
        exclude=np.flatnonzero(np.isin(every, asked.exclude)), seeds=np.flatnonzero(np.isin(every, seeds)),
        include_seeds=asked.include_seeds, threads=threads,
    )  # fmt: skip
    return Found(blocks, every, chosen.rows, chosen.scores, chosen.n_eligible, chosen.reach)


@dataclass(frozen=True)
class Guess:
    """size, eligible: users. min_score, max_score: of those in it. exact: False if only some users were scored."""

    size: int
    eligible: int
    min_score: float | None
    max_score: float | None
    exact: bool


def guess(space: Space, crowd: Target, seeds: U64, asked: Asked, *, block: int, threads: int, sample: int) -> Guess:
    """How large the audience of `find` would be: exactly for at most `sample` users, else from every n-th user."""
    step = max(1, -(-len(space) // sample))
    barred = np.union1d(asked.exclude, np.zeros(0, np.uint64) if asked.include_seeds else seeds)
    eligible, pool = 0, [np.zeros(0, np.float32)]
    for _, own, vectors in space.blocks(block):
        free = np.flatnonzero(~np.isin(own, barred))
        eligible += len(free)
        some = free[::step]
        if len(some):
            pool.append(crowd.scores(space, own[some], np.ascontiguousarray(vectors[some]), threads))
    ordered = np.sort(np.concatenate(pool))[::-1]
    if asked.min_score is not None:
        seen = int((ordered >= asked.min_score).sum())
        size = round(seen / max(len(ordered), 1) * eligible)
    else:
        share = REACH_PERCENT[asked.reach] if asked.reach is not None else float(asked.percent or 0)
        size = min(max(math.floor(eligible * share / 100 + 1e-9), 1), eligible)
        if asked.size is not None:
            size = min(asked.size, eligible)
        seen = min(max(round(size / max(eligible, 1) * len(ordered)), 1), len(ordered)) if size else 0
    least, most = (float(ordered[seen - 1]), float(ordered[0])) if seen else (None, None)
    return Guess(size, eligible, least, most, step == 1)
