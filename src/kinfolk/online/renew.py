"""New seeds taken into a crowd that is there already, at a cost that grows with them alone: `renewed`.

Sequential k-means (MacQueen 1967): a new seed joins the nearest cluster and moves its mean by its share. Members that
are there stay in their clusters, so the result slowly falls behind a clustering of everybody. Therefore a crowd is
clustered anew with a probability in proportion to its share of new seeds, and to what they add to the mean distance:
between two such clusterings about a quarter of it is new, and about 1 % given away at most. Whether it is drawn depends
on the candidate and the generation of its seeds alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike import lloyd
from kinfolk.online.clicks import Seeds
from kinfolk.online.ports import Snapshot

F32 = NDArray[np.float32]

LEAST = 1000
"""A smaller crowd is clustered anew each time: that costs next to nothing."""

_OFTEN = 4.0  # clustered anew about so many times while as many seeds come as there are
_GIVEN_AWAY = 0.01  # clustered anew about once while new seeds that lie farther off raise the mean distance so


def newest(seeds: Seeds, last: Snapshot, draw: float) -> int:
    """How many of a crowd's newest seeds to take into its last snapshot; -1: cluster the crowd anew.

    A click that came late may stand among older ones; as many of the newest are taken in its place.

    Args:
        seeds: of the candidate, all of them.
        last: its snapshot in the model that is served.
        draw: in [0, 1), of this candidate and generation.
    """
    n, grown = len(seeds), len(seeds) - last.seeds_seen
    if n < LEAST or grown < 0 or not last.seeds_used:
        return -1
    since = n - int(np.searchsorted(seeds.time, last.made_at - last.made_at % 1000))  # stores keep whole seconds
    m = max(since, grown)
    return -1 if draw * n < _OFTEN * m else m


def renewed(last: Snapshot, x: F32, weight: float, draw: float) -> tuple[F32, F32, float] | None:
    """Centroids float32[k, h], sizes float32[k] and mean squared distance with the new seeds among them.

    Args:
        last: the snapshot that they come on top of.
        x: float32[m, h] of the newest seeds, finite.
        weight: how many new seeds each stands for: less than 1 where some of them are old ones who clicked again.
        draw: as `newest`.

    Returns:
        None where they lie so far off that the crowd is better clustered anew.
    """
    used = int(np.count_nonzero(last.sizes))
    old = last.centroids[:used]
    sums, counts = np.zeros((used, x.shape[1])), np.zeros(used, np.int64)
    far = lloyd.assign(
        x, np.arange(len(x)), old, np.empty(len(x), np.int32), np.empty(len(x), np.float32), sums, counts
    )
    before = last.seeds_used * last.inertia
    farther = far - len(x) * last.inertia
    if draw * before < _OFTEN * len(x) * last.inertia + farther / _GIVEN_AWAY:
        return None
    sizes, centroids = last.sizes.copy(), last.centroids.copy()
    sizes[:used] += weight * counts
    centroids[:used] += weight * (sums - counts[:, None] * old.astype(np.float64)) / sizes[:used, None]
    return centroids, sizes, (before + weight * far) / (last.seeds_used + weight * len(x))
