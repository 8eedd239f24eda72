"""Seeds -> the crowd of a candidate, ready to be scored: `make_snapshots`.

A few new seeds are taken into the clusters that are there (`renew`). Else k-means starts from the last centroids while
the crowd is of about the same size. Of a very large crowd a sample is clustered. On n points drawn at random k-means
gets a mean distance that is lower than what any clustering of all can reach, and what its centroids give on points that
they have not seen is what they would give on all; so if the two are within 1 % of each other, the sample costs at most
that much, and no pass over the whole crowd is needed to know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike import lloyd
from kinfolk.lookalike.clusters import Clustering, kmeans
from kinfolk.lookalike.clusters_many import kmeans_many
from kinfolk.lookalike.coclick import Profile
from kinfolk.lookalike.trend import DECAYS, decayed
from kinfolk.lookalike.weights import Snapshot as Crowds
from kinfolk.online.clicks import Seeds, candidate_key
from kinfolk.online.ports import Snapshot
from kinfolk.online.renew import newest, renewed
from kinfolk.online.seed_vectors import Found

if TYPE_CHECKING:
    from kinfolk.online.space import Space

F32 = NDArray[np.float32]

WORSE = 1.01
"""A sample is large enough if its centroids are on unseen seeds at most this much farther than on their own."""

_CHECK = 4  # one seed is kept for the check where so many are clustered
_GROWN = 2  # a crowd that has grown by more starts afresh
_COUNTED_MS = int(10_000 * DECAYS[-1])  # an older click counts for less than e^-10
_POINTS = 1 << 15  # seeds clustered in one go, but for the last crowd's


@dataclass(frozen=True)
class Crowd:
    """What a snapshot is made from; fields as there.

    warm: the last snapshot of the candidate, to start from. grown: no seed was taken away since; so the new ones, if
    they are few, may be taken into it, and nobody who is to be forgotten stays in a centroid. profile: what the seeds
    clicked, too.
    """

    candidate: str
    seeds: Seeds
    generation: int
    warm: Snapshot | None = None
    grown: bool = False
    profile: Profile | None = None


def make_snapshots(
    space: Space, crowds: Sequence[Crowd], *, made_at: int, max_sample: int, threads: int | None = 1
) -> list[Snapshot | None]:
    """The crowds' snapshots in the space's model; each depends on its own seeds alone.

    Args:
        space: the users.
        crowds: distinct candidates.
        made_at: ms.
        max_sample: larger crowds are clustered on a sample of so many, or more where that is not within 1 %.
        threads: of the clustering.

    Returns:
        One a crowd, None where no seed has an embedding.
    """
    out: list[Snapshot | None] = [None] * len(crowds)
    waiting: list[tuple[int, F32]] = []
    for i, crowd in enumerate(crowds):
        out[i] = _renewed(space, crowd, made_at)
        if out[i] is not None:
            continue
        found = space.seeds.of(crowd.candidate, crowd.seeds.user)
        rows = found.rows
        if space.weights.config.pooling == "average":
            x = found.vectors(_drawn(crowd, space, rows, max_sample))
            out[i] = _average(space, crowd, x, len(rows), made_at)
            continue
        if len(rows) > max_sample:
            out[i] = _sampled(space, crowd, found, made_at, max_sample, threads)
        if out[i] is None and len(rows):
            waiting.append((i, _finite(found.vectors(rows))))
            if sum(len(x) for _, x in waiting) >= _POINTS:
                _cluster(space, crowds, waiting, out, made_at, threads)
                waiting = []
    _cluster(space, crowds, waiting, out, made_at, threads)
    return out


def _renewed(space: Space, crowd: Crowd, made_at: int) -> Snapshot | None:
    """The last snapshot with the seeds that have come since; None where the crowd is to be clustered anew."""
    last = _warm(space, crowd)
    if last is None or not crowd.grown or space.weights.config.pooling == "average":
        return None
    draw = np.random.default_rng([space.seed % 2**63, _key(crowd), crowd.generation]).random()
    m = newest(crowd.seeds, last, draw)
    if m < 0:
        return None
    seeds = space.seeds.of(crowd.candidate, crowd.seeds.user[len(crowd.seeds) - m :])
    x = _finite(seeds.vectors(seeds.rows))
    grown = len(crowd.seeds) - last.seeds_seen
    found = renewed(last, x, grown / max(m, 1), draw)
    if found is None:
        return None
    n = last.seeds_used + round(grown * len(x) / max(m, 1))
    made = space.weights.crowds(found[0][None], found[1][None], np.array([n]))
    return _snapshot(space, crowd, made, 0, n, made_at, found[2])


def nothing(candidate: str, model: str, k: int, h: int, *, seen: int, generation: int, made_at: int) -> Snapshot:
    """The snapshot of a candidate of whose seeds none has an embedding: it takes the place of an older one."""
    zeros = np.zeros((k, h), np.float32)
    return Snapshot(
        candidate, model, made_at, seen, 0, generation, zeros, np.zeros(k, np.float32), np.zeros(h, np.float32)
    )


def emptied(crowd: Crowd, shown: Snapshot, made_at: int) -> Snapshot:
    """Of a crowd none of whose seeds has an embedding any more: in the place of the snapshot that is shown."""
    k, h = shown.centroids.shape
    seen, generation = len(crowd.seeds), crowd.generation
    return nothing(crowd.candidate, shown.model, k, h, seen=seen, generation=generation, made_at=made_at)


def _cluster(
    space: Space,
    crowds: Sequence[Crowd],
    waiting: list[tuple[int, F32]],
    out: list[Snapshot | None],
    made_at: int,
    threads: int | None,
) -> None:
    """All points of all waiting crowds at once."""
    waiting = [(i, x) for i, x in waiting if len(x)]
    if not waiting:
        return
    offsets = np.cumsum([0, *(len(x) for _, x in waiting)])
    found = kmeans_many(
        np.concatenate([x for _, x in waiting]),
        offsets,
        space.weights.config.k,
        seed=space.seed,
        keys=np.array([_key(crowds[i]) for i, _ in waiting], np.uint64).view(np.int64),
        start=np.stack([_start(space, crowds[i], len(x)) for i, x in waiting]),
        iterations=15,
        threads=threads,
    )
    made = space.weights.crowds(found.centroids, found.sizes, np.diff(offsets))
    for j, (i, x) in enumerate(waiting):
        out[i] = _snapshot(space, crowds[i], made, j, len(x), made_at, float(found.inertia[j]) / len(x))


def _sampled(space: Space, crowd: Crowd, seeds: Found, made_at: int, size: int, threads: int | None) -> Snapshot | None:
    """From a sample that is large enough; None if that would be nearly all."""
    rng = np.random.default_rng([space.seed % 2**63, _key(crowd)])
    while size + size // _CHECK < len(seeds.rows):
        drawn = rng.choice(seeds.rows, size + max(1, size // _CHECK), replace=False)
        own, unseen = (_finite(seeds.vectors(np.sort(part))) for part in (drawn[:size], drawn[size:]))
        start = _start(space, crowd, len(seeds.rows))
        found = kmeans(own, space.weights.config.k, seed=_key(crowd) ^ space.seed, start=start, threads=threads)
        distance, counts = _assigned(unseen, found)
        if distance <= WORSE * found.inertia / max(len(own), 1):
            share = (found.sizes + counts) / max(len(own) + len(unseen), 1)
            sizes = (share * len(seeds.rows)).astype(np.float32)
            made = space.weights.crowds(found.centroids[None], sizes[None], np.array([len(seeds.rows)]))
            return _snapshot(space, crowd, made, 0, len(seeds.rows), made_at, distance)
        size *= 2
    return None


def _assigned(x: F32, found: Clustering) -> tuple[float, NDArray[np.int64]]:
    """Mean squared distance of unseen points to their centroids, and how many each centroid has."""
    k, used = len(found.sizes), int(found.valid.sum())
    counts = np.zeros(k, np.int64)
    total = lloyd.assign(
        x, np.arange(len(x)), found.centroids[:used], np.empty(len(x), np.int32), np.empty(len(x), np.float32),
        np.zeros((used, x.shape[1])), counts[:used],
    )  # fmt: skip
    return float(total) / max(len(x), 1), counts


def _average(space: Space, crowd: Crowd, x: F32, n: int, made_at: int) -> Snapshot | None:
    x = _finite(x)
    return None if not len(x) else _snapshot(space, crowd, space.weights.snapshot(x, seed=0), 0, n, made_at, 0.0)


def _drawn(crowd: Crowd, space: Space, rows: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([space.seed % 2**63, _key(crowd)])
    return rows if len(rows) <= size else rng.choice(rows, size, replace=False)


def _snapshot(space: Space, crowd: Crowd, made: Crowds, at: int, n: int, made_at: int, inertia: float) -> Snapshot:
    profile = crowd.profile or Profile()
    return Snapshot(
        candidate=crowd.candidate,
        model=space.model,
        made_at=made_at,
        seeds_seen=len(crowd.seeds),
        seeds_used=n,
        generation=crowd.generation,
        centroids=np.ascontiguousarray(made.centroids[at]),
        sizes=np.ascontiguousarray(made.sizes[at]),
        global_embedding=np.ascontiguousarray(made.global_embedding[at]),
        inertia=inertia,
        recent=_recent(space, crowd.seeds.time, made_at),
        items=profile.items,
        item_weights=profile.weights,
    )


def _recent(space: Space, time: NDArray[np.int64], now: int) -> F32:
    """Clicks that count less the older they are; none for a model that knows no trend. time: int64[s] ms, ascending."""
    if space.weights.trend is None:
        return np.zeros(0, np.float32)
    first = int(np.searchsorted(time, now - _COUNTED_MS))
    age = (now - time[first:]) / 1000
    return np.asarray(decayed(np.zeros(len(age), np.int64), age, 1)[0], np.float32)


def _start(space: Space, crowd: Crowd, n: int) -> F32:
    """Centroids to start from; zeros are filled by k-means++."""
    warm = _warm(space, crowd)
    if warm is None or n > _GROWN * warm.seeds_used:
        return np.zeros((space.weights.config.k, space.weights.config.h), np.float32)
    return warm.centroids


def _warm(space: Space, crowd: Crowd) -> Snapshot | None:
    """The candidate's last snapshot, if it is of this model."""
    shape = (space.weights.config.k, space.weights.config.h)
    warm = crowd.warm
    return None if warm is None or warm.model != space.model or warm.centroids.shape != shape else warm


def _finite(x: F32) -> F32:
    """Without vectors that hold NaN or infinity: one bad user must not stop a crowd."""
    good = np.isfinite(x).all(axis=1)
    return x if good.all() else x[good]


def _key(crowd: Crowd) -> int:
    return candidate_key(crowd.candidate)
