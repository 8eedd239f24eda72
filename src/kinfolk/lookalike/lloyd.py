"""The steps of k-means as serial kernels: start (k-means++), assign, re-seed empty clusters, move, finish.

Points are `vectors[rows[lo:hi]]`, gathered as they are read. Sums are float64 in a fixed order, so a result depends on
the points and the seed only. Sources: Lloyd 1982; Arthur and Vassilvitskii 2007 for the start
(greedy as in section 5: several draws, the one that lowers the sum of distances most).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.dots import F32, FAST, pair_dots, squared_distance, squared_distances

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]

START_POINTS = 256  # for each cluster: the start looks at no more of them, spread evenly over the set
FIRST_POINTS = 2048  # for each cluster: a large set is clustered on so many first; their means stray by 1/2048 variance
LARGE = 2  # such samples that a set must hold for this to pay
LARGEST = np.float32(1e15)  # beyond it a squared distance may leave float32


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
def bad_row(vectors: F32, rows: I64) -> int:
    """The first position whose vector holds NaN, infinity or more than 1e15 in size; -1 where there is none."""
    for i in range(len(rows)):
        x = vectors[rows[i]]
        usable = True
        for t in range(x.shape[0]):
            usable &= abs(x[t]) <= LARGEST
        if not usable:
            return i
    return -1


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
def gather(vectors: F32, rows: I64) -> F32:
    """float32[n, d], a copy of the rows: read many times, they had better lie together."""
    out = np.empty((len(rows), vectors.shape[1]), np.float32)
    for i in range(len(rows)):
        out[i] = vectors[rows[i]]
    return out


@numba.njit(nogil=True, cache=True)
def start(vectors: F32, rows: I64, centroids: F32, state: U64) -> int:
    """Greedy k-means++ beside what is there: of a few points drawn by squared distance keep the most useful.

    Rows of `centroids` float32[k, d] that are not all zero are kept and moved first. Returns how many centroids there
    are then: fewer than k where the points have fewer distinct places.
    """
    k = centroids.shape[0]
    made = 0
    for j in range(k):
        if np.any(centroids[j] != 0):
            centroids[made] = centroids[j]
            made += 1
    if made == k:
        return made
    rows = sample(rows, START_POINTS * k, state)
    n = len(rows)
    if made == 0:
        centroids[0] = vectors[rows[np.int64(uniform(state) * n)]]
        made = 1
    nearest = np.full(n, np.inf, np.float32)
    for i in range(n):
        for j in range(made):
            nearest[i] = min(nearest[i], squared_distance(vectors[rows[i]], centroids[j]))
    trials = 2 + int(np.log(k))
    drawn = np.empty(trials, np.int64)
    places = np.empty((trials, centroids.shape[1]), np.float32)
    apart = np.empty((n, trials), np.float32)
    below = np.empty(n, np.float64)
    while made < k:
        total = 0.0
        for i in range(n):
            total += nearest[i]
            below[i] = total
        if not total > 0:
            break
        for t in range(trials):
            at = np.searchsorted(below, uniform(state) * total, side="right")
            drawn[t] = at if at < n else n - 1
            while nearest[drawn[t]] == 0:  # only where rounding put the draw at the very end
                drawn[t] -= 1
            places[t] = vectors[rows[drawn[t]]]
        sums = np.zeros(trials, np.float64)
        for i in range(n):
            squared_distances(vectors[rows[i]], places, trials, apart[i])
            for t in range(trials):
                apart[i, t] = min(apart[i, t], nearest[i])
                sums[t] += apart[i, t]
        best = np.argmin(sums)
        centroids[made] = places[best]
        nearest[:] = apart[:, best]
        made += 1
    centroids[made:] = 0
    return made


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def assign(vectors: F32, rows: I64, centroids: F32, assignment: I32, distance: F32, sums: F64, counts: I64) -> float:
    """Every point to its nearest centroid; the lowest number on a tie.

    Writes assignment int32[n] and distance float32[n] (squared, to that centroid); adds to sums float64[k, d] and
    counts int64[k]. Returns the sum of distances.
    """
    k, d = centroids.shape
    # |x - c|² orders centroids as x·c' - b with c' = c - middle, b = |c'|²/2 + middle·c': one product a pair, and what
    # all points have in common cancels before it can swamp their differences.
    middle = np.zeros(d, np.float32)
    for j in range(k):
        for t in range(d):
            middle[t] += centroids[j, t] / np.float32(k)
    shifted = np.empty((k, d), np.float32)
    offset = np.empty(k, np.float32)
    for j in range(k):
        b = 0.0
        for t in range(d):
            shifted[j, t] = centroids[j, t] - middle[t]
            b += np.float64(shifted[j, t]) * (0.5 * shifted[j, t] + middle[t])
        offset[j] = b
    n = len(rows)
    products = np.empty((2, k), np.float32)
    total = 0.0
    for first in range(0, n, 2):
        last = min(first + 1, n - 1)
        pair_dots(vectors[rows[first]], vectors[rows[last]], shifted, k, products[0], products[1])
        for i in range(first, last + 1):
            mine = products[i - first]
            best = 0
            most = mine[0] - offset[0]
            for j in range(1, k):
                value = mine[j] - offset[j]
                if value > most:
                    most = value
                    best = j
            x = vectors[rows[i]]
            assignment[i] = best
            distance[i] = squared_distance(x, centroids[best])
            total += distance[i]
            counts[best] += 1
            for t in range(d):
                sums[best, t] += x[t]
    return total


@numba.njit(nogil=True, cache=True)
def refill(vectors: F32, rows: I64, assignment: I32, distance: F32, sums: F64, counts: I64) -> int:
    """Give every empty cluster the point farthest from its centroid, while one lies apart. Returns how many moved."""
    moved = 0
    for j in range(len(counts)):
        if counts[j] > 0:
            continue
        far = -1
        for i in range(len(rows)):
            if distance[i] > 0 and (far < 0 or distance[i] > distance[far]) and counts[assignment[i]] > 1:
                far = i
        if far < 0:
            break
        x, old = vectors[rows[far]], assignment[far]
        for t in range(x.shape[0]):
            sums[old, t] -= x[t]
            sums[j, t] = x[t]
        counts[old] -= 1
        counts[j] = 1
        assignment[far] = j
        distance[far] = 0
        moved += 1
    return moved


@numba.njit(nogil=True, cache=True)
def move(centroids: F32, sums: F64, counts: I64) -> None:
    """Every centroid to the mean of its points; one without points stays."""
    for j in range(len(counts)):
        if counts[j] > 0:
            for t in range(centroids.shape[1]):
                centroids[j, t] = sums[j, t] / counts[j]


@numba.njit(nogil=True, cache=True)
def inertia_of(vectors: F32, rows: I64, centroids: F32, assignment: I32) -> float:
    """The sum of squared distances of the points to the centroids they are assigned to."""
    total = 0.0
    for i in range(len(rows)):
        total += np.float64(squared_distance(vectors[rows[i]], centroids[assignment[i]]))
    return total


@numba.njit(nogil=True, cache=True)
def compact(centroids: F32, counts: I64, assignment: I32) -> int:
    """Move clusters that hold points to the front, keeping their order; zero the rest. Returns how many hold points."""
    k = len(counts)
    place = np.full(k, -1, np.int32)
    used = 0
    for j in range(k):
        if counts[j] > 0:
            place[j] = used
            if used != j:
                centroids[used] = centroids[j]
                counts[used] = counts[j]
            used += 1
    if used < k:
        centroids[used:] = 0
        counts[used:] = 0
        for i in range(len(assignment)):
            assignment[i] = place[assignment[i]]
    return used
