"""How k-means starts: samples of large sets, and greedy k-means++ (`start`).

Sources: Arthur and Vassilvitskii 2007, greedy as in their section 5: of several draws by squared distance keep the one
that lowers the sum of distances most.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.dots import F32, F64, I64, squared_distance
from kinfolk.lookalike.nearest import lower
from kinfolk.lookalike.tiles import LANES, centre, pack_all, products

U64 = NDArray[np.uint64]

START_POINTS = 64  # for each cluster: the start looks at no more of them, spread evenly over the set
FIRST_POINTS = 256  # for each cluster: a large set is clustered on so many first; their means stray by 1/256 variance
LARGE = 2  # times as many points as the sample before pay for a larger one, or for everybody
RATIO = 4  # from sample to sample, and from the last one to everybody
LONGER = 2  # times the steps on the first sample: one over everybody costs more than all of these, and gains less


@numba.njit(nogil=True, cache=True)
def uniform(state: U64) -> float:
    """The next number in [0, 1) of the generator splitmix64 whose state is uint64[1]."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * 2.0**-53


@numba.njit(nogil=True, cache=True)
def generator(seed: np.uint64, key: int) -> U64:
    """A state of its own for every (seed, key), uint64[1]."""
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    first = np.uint64(uniform(state) * 2.0**53)
    state[0] = (first << np.uint64(11)) ^ np.uint64(key) * np.uint64(0xD1342543DE82EF95)
    uniform(state)
    return state


@numba.njit(nogil=True, cache=True)
def sample(rows: I64, limit: int, state: U64) -> I64:
    """At most `limit` of the rows, one from each of `limit` equal stretches: distinct positions, evenly spread."""
    n = len(rows)
    if n <= limit:
        return rows
    out = np.empty(limit, np.int64)
    for i in range(limit):
        lo, hi = i * n // limit, (i + 1) * n // limit
        out[i] = rows[lo + np.int64(uniform(state) * (hi - lo))]
    return out


@numba.njit(nogil=True, cache=True)
def first_sample(n: int, k: int, limit: int) -> int:
    """How many of n points to cluster before all are assigned: n, or fewer of a large set or beyond `limit`."""
    return min(n, limit, FIRST_POINTS * k if n > LARGE * FIRST_POINTS * k else n)


@numba.njit(nogil=True, cache=True)
def next_sample(size: int, n: int, limit: int) -> int:
    """The sample after one of `size` of n points, n where only everybody is left.

    Of n, n / RATIO, n / RATIO² … the least that is more than LARGE times as large; everybody for one beyond `limit`.
    """
    larger = n
    while larger // RATIO > LARGE * size:
        larger //= RATIO
    return larger if larger <= limit else n


@numba.njit(nogil=True, cache=True)
def start(vectors: F32, rows: I64, centroids: F32, state: U64) -> int:
    """Greedy k-means++ beside what is there, on the points vectors[rows].

    Rows of `centroids` float32[k, d] that are not all zero are kept and moved first. Returns how many centroids there
    are then: fewer than k where the points have fewer distinct places.
    """
    k, d = centroids.shape
    made = 0
    for j in range(k):
        if _any(centroids[j]):
            centroids[made] = centroids[j]
            made += 1
    if made == k:
        return made
    rows = sample(rows, START_POINTS * k, state)
    n = len(rows)
    if made == 0:
        centroids[0] = vectors[rows[np.int64(uniform(state) * n)]]
        made = 1
    middle = centre(vectors, rows)
    tiles, squares = pack_all(vectors, rows, middle)
    nearest = np.zeros(len(squares), np.float32)  # squared distance to the nearest centroid; 0 past the last point
    for i in range(n):
        nearest[i] = squared_distance(vectors[rows[i]], centroids[0])
        for j in range(1, made):
            nearest[i] = min(nearest[i], squared_distance(vectors[rows[i]], centroids[j]))
    trials = 2 + int(np.log(k))
    pairs = n <= trials * (k - made)  # then the products of all points with all are fewer than those of all draws
    some = n if pairs else trials
    places, inner = np.empty((some, d), np.float32), np.empty((len(tiles) if pairs else 1, some, LANES), np.float32)
    if pairs:
        _less(vectors, rows, np.arange(n), middle, places)
        for i in range(len(tiles)):
            products(tiles[i], places, n, inner[i])
    drawn, lengths = np.empty(trials, np.int64), np.empty(trials, np.float32)
    apart, sums = np.empty((trials, len(squares)), np.float32), np.empty((trials, LANES), np.float32)
    below = np.empty(len(tiles), np.float64)
    while made < k:
        total = 0.0
        for i in range(len(tiles)):
            for lane in range(LANES):
                total += nearest[i * LANES + lane]
            below[i] = total
        if not total > 0:
            break
        for t in range(trials):
            drawn[t] = _drawn(nearest, below, uniform(state) * total)
            lengths[t] = squares[drawn[t]]
        if not pairs:
            _less(vectors, rows, drawn, middle, places)
        sums[:] = 0
        for i in range(len(tiles)):
            if not pairs:
                products(tiles[i], places, trials, inner[0])
            near = inner[i if pairs else 0]
            for t in range(trials):
                row = drawn[t] if pairs else t
                close: int = lower(  # type: ignore[call-arg]
                    near, row, squares, lengths[t], nearest, i * LANES, apart, t, sums
                )
                if close:
                    _exactly(vectors, rows, drawn[t], close, nearest, i * LANES, apart[t], sums[t])
        best = 0
        for t in range(1, trials):
            if sums[t].sum() < sums[best].sum():
                best = t
        centroids[made] = vectors[rows[drawn[best]]]
        nearest[:] = apart[best]
        made += 1
    centroids[made:] = 0
    return made


@numba.njit(nogil=True, cache=True)
def _any(x: F32) -> bool:
    some = False  # np.any would make an array of its comparison first
    for t in range(len(x)):
        some |= x[t] != 0
    return some


@numba.njit(nogil=True, cache=True)
def _less(vectors: F32, rows: I64, chosen: I64, middle: F32, out: F32) -> None:
    """out[i] = vectors[rows[chosen[i]]] - middle, with the bits that a tile holds."""
    for i in range(len(chosen)):
        x = vectors[rows[chosen[i]]]
        for t in range(len(middle)):
            out[i, t] = x[t] - middle[t]


@numba.njit(nogil=True, cache=True)
def _exactly(vectors: F32, rows: I64, place: int, close: int, nearest: F32, first: int, apart: F32, sums: F32) -> None:
    """Distances of a tile that are too small to come from products, by differences of the vectors.

    close: a bit for each such lane. Corrects apart[first:] and sums float32[LANES]; past the last point 0 stays.
    """
    for lane in range(LANES):
        if close >> lane & 1:
            at = first + lane
            gap = np.float32(0)
            if at < len(rows):
                gap = min(squared_distance(vectors[rows[at]], vectors[rows[place]]), nearest[at])
            sums[lane] += gap - apart[at]
            apart[at] = gap


@numba.njit(nogil=True, cache=True)
def _drawn(nearest: F32, below: F64, target: float) -> int:
    """The point at `target` of the cumulated distances, of which `below` float64[tiles] knows those up to each tile."""
    tile = min(int(np.searchsorted(below, target, side="right")), len(below) - 1)
    so_far = below[tile - 1] if tile else 0.0
    for at in range(tile * LANES, (tile + 1) * LANES):
        so_far += nearest[at]
        if so_far > target:
            return at
    at = (tile + 1) * LANES - 1  # rounding put the draw past the end of the tile: its last point that lies apart
    while nearest[at] == 0:
        at -= 1
    return at
