"""The steps of k-means as serial kernels: assign, re-seed empty clusters, move, finish (Lloyd 1982).

Points are `vectors[rows[lo:hi]]`. Sums are float64 in a fixed order, so a result depends on the points and the seed
only. |x - c|² orders centroids as x'·c' - |c'|²/2 with x' = x - middle, c' = c - middle: one product a pair, and what
all points have in common cancels before it can swamp their differences.
"""

from __future__ import annotations

import numba
import numpy as np

from kinfolk.data.prefetch import AHEAD, fetch_row
from kinfolk.lookalike.dots import F32, F64, FAST, I32, I64, squared_distance
from kinfolk.lookalike.nearest import nearest
from kinfolk.lookalike.tiles import LANES, pack, products

LARGEST = np.float32(1e15)  # beyond it a squared distance may leave float32
SETTLED = 0.01  # a last step that lowers the inertia by at most this share leaves it known to float32's precision


@numba.njit(nogil=True, cache=True)
def bad_row(vectors: F32, rows: I64) -> int:
    """The first position whose vector holds NaN, infinity or more than 1e15 in size; -1 where there is none."""
    for i in range(len(rows)):
        if i + AHEAD < len(rows):
            fetch_row(vectors, rows[i + AHEAD])  # type: ignore[call-arg]
        x = vectors[rows[i]]
        usable = True
        for t in range(x.shape[0]):
            usable &= abs(x[t]) <= LARGEST
        if not usable:
            return i
    return -1


@numba.njit(nogil=True, cache=True)
def far_out(inertia: float, centroids: F32) -> bool:
    """Whether a point may be larger than 1e15: it lies far from its centroid, or has drawn it out; also for NaN."""
    return bool(not inertia < LARGEST or np.abs(centroids).max() > LARGEST / 2)


@numba.njit(nogil=True, cache=True)
def assign(vectors: F32, rows: I64, centroids: F32, assignment: I32, distance: F32, sums: F64, counts: I64) -> float:
    """Every point to its nearest centroid; the lowest number on a tie. Points are read once and packed on the way.

    Writes assignment int32[n] and distance float32[n] (squared, to that centroid); adds to sums float64[k, d] and
    counts int64[k]. Returns the sum of distances.
    """
    k, d = centroids.shape
    n = len(rows)
    middle = np.zeros(d, np.float32)
    for j in range(k):
        for t in range(d):
            middle[t] += centroids[j, t] / np.float32(k)
    shifted, offset = _shifted(centroids, middle)
    tile, inner = np.empty((d, LANES), np.float32), np.empty((k, LANES), np.float32)
    best, most = np.empty(LANES, np.int32), np.empty(LANES, np.float32)
    total = 0.0
    for first in range(0, n, LANES):
        size = pack(vectors, rows, first, middle, tile)
        products(tile, shifted, k, inner)
        nearest(inner, offset, best, most)  # type: ignore[call-arg]
        for i in range(first, first + size):
            x, j = vectors[rows[i]], best[i - first]
            assignment[i] = j
            distance[i] = squared_distance(x, centroids[j])
            total += distance[i]
            counts[j] += 1
            for t in range(d):
                sums[j, t] += x[t]
    return total


@numba.njit(nogil=True, cache=True)
def reassign(
    vectors: F32,
    rows: I64,
    tiles: F32,
    squares: F32,
    middle: F32,
    centroids: F32,
    assignment: I32,
    sums: F64,
    counts: I64,
) -> float:
    """As `assign`, of points that are packed already (`tiles.pack_all` of the same vectors, rows and middle).

    assignment int32[n], sums and counts: of the last step, or -1 and zeros before the first; only points that change
    their cluster change the sums. Returns the sum of distances, to about float32's precision of |x - middle|².
    """
    k = len(centroids)
    n = len(rows)
    shifted, offset = _shifted(centroids, middle)
    inner = np.empty((k, LANES), np.float32)
    best, most = np.empty(LANES, np.int32), np.empty(LANES, np.float32)
    total = 0.0
    for i in range(len(tiles)):
        products(tiles[i], shifted, k, inner)
        nearest(inner, offset, best, most)  # type: ignore[call-arg]
        first = i * LANES
        for lane in range(min(LANES, n - first)):
            total += max(squares[first + lane] - np.float32(2) * most[lane], np.float32(0))
            old, new = assignment[first + lane], best[lane]
            if old != new:
                assignment[first + lane] = new
                _exchange(vectors[rows[first + lane]], old, new, sums, counts)
    return total


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def _shifted(centroids: F32, middle: F32) -> tuple[F32, F32]:
    """c' float32[k, d] and |c'|²/2 float32[k]."""
    k, d = centroids.shape
    shifted, offset = np.empty((k, d), np.float32), np.empty(k, np.float32)
    for j in range(k):
        half = 0.0
        for t in range(d):
            shifted[j, t] = centroids[j, t] - middle[t]
            half += 0.5 * np.float64(shifted[j, t]) * shifted[j, t]
        offset[j] = half
    return shifted, offset


@numba.njit(nogil=True, cache=True)
def _exchange(x: F32, old: int, new: int, sums: F64, counts: I64) -> None:
    """A point leaves cluster `old`, if that is not -1, for cluster `new`."""
    if old >= 0:
        counts[old] -= 1
        for t in range(x.shape[0]):
            sums[old, t] -= x[t]
    counts[new] += 1
    for t in range(x.shape[0]):
        sums[new, t] += x[t]


@numba.njit(nogil=True, cache=True)
def refill(vectors: F32, rows: I64, centroids: F32, assignment: I32, sums: F64, counts: I64) -> int:
    """Give every empty cluster the point farthest from its centroid, while one lies apart. Returns how many moved."""
    if np.all(counts > 0):
        return 0
    distance = np.empty(len(rows), np.float32)
    for i in range(len(rows)):
        distance[i] = squared_distance(vectors[rows[i]], centroids[assignment[i]])
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
def move(centroids: F32, sums: F64, counts: I64) -> float:
    """Every centroid to the mean of its points; one without points stays.

    Returns by how much this lowers the sum of squared distances: by size · |move|² of each centroid.
    """
    gain = 0.0
    for j in range(len(counts)):
        if counts[j] > 0:
            share, squared = 1 / counts[j], 0.0
            for t in range(centroids.shape[1]):
                mean = np.float32(sums[j, t] * share)
                step = np.float64(mean) - np.float64(centroids[j, t])
                centroids[j, t] = mean
                squared += step * step
            gain += counts[j] * squared
    return gain


@numba.njit(nogil=True, cache=True)
def inertia_of(vectors: F32, rows: I64, centroids: F32, assignment: I32) -> float:
    """The sum of squared distances of the points to the centroids they are assigned to."""
    total = 0.0
    for i in range(len(rows)):
        if i + AHEAD < len(rows):
            fetch_row(vectors, rows[i + AHEAD])  # type: ignore[call-arg]
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
