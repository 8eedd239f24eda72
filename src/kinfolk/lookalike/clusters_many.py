"""k-means of many small sets at once: the seeds of tens of thousands of candidates, of very different sizes.

One candidate is the work of one thread from start to end, so its result depends on its points, the seed and its key,
never on the candidates beside it. The most expensive candidates start first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.data.threads import bundles, spread, usable
from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike import lloyd, seeding, tiles
from kinfolk.lookalike.clusters import bits_of, check_options, check_points, check_start
from kinfolk.lookalike.dots import F32, F64, I32, I64


@dataclass(frozen=True)
class Clusterings:
    """k clusters of each of C candidates; a candidate's clusters that hold points come first.

    Args:
        centroids: float32[C, k, d], the mean of the cluster's points; zero where not valid.
        sizes: int64[C, k], the number of points.
        assignment: int32[total], the cluster of every point within its candidate.
        inertia: float64[C], sum of squared distances of the points to their centroids.
        valid: bool[C, k], False for padding; all False for a candidate without points.
    """

    centroids: NDArray[np.float32]
    sizes: NDArray[np.int64]
    assignment: NDArray[np.int32]
    inertia: NDArray[np.float64]
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.centroids)


def kmeans_many(
    x: NDArray[np.float32],
    offsets: NDArray[np.int64],
    k: int,
    *,
    seed: int,
    rows: NDArray[np.integer] | None = None,
    keys: NDArray[np.int64] | None = None,
    iterations: int = 10,
    tolerance: float = 1e-4,
    start: NDArray[np.float32] | None = None,
    sample_limit: int | None = None,
    threads: int | None = None,
) -> Clusterings:
    """Cluster the points of every candidate; as `kmeans`, candidate by candidate.

    Args:
        x: float32[total, d] points, those of candidate c at offsets[c]:offsets[c + 1]. With `rows`: float32[N, d]
            vectors shared by all candidates, never copied.
        offsets: int64[C + 1], from 0 to total.
        k: clusters of each candidate.
        seed: same points, seed and key, same result to the bit.
        rows: int[total], point i is x[rows[i]].
        keys: int64[C], what tells candidates apart beside the seed; their position where None. A candidate's result is
            the same alone and among others under the same key.
        iterations, tolerance, sample_limit: as `kmeans`, for each candidate.
        start: float32[C, k, d] centroids to start from; rows of zeros are filled by k-means++.
        threads: None is one a core.

    Raises:
        DataError: NaN, infinite or larger than 1e15; rows outside x.
        OptionError: k, iterations, sample_limit or threads below 1; offsets, keys or start that do not fit.
    """
    vectors = np.ascontiguousarray(x, np.float32)
    check_options(k, iterations, sample_limit)
    offsets = np.asarray(offsets, np.int64)
    where = np.arange(len(vectors)) if rows is None else np.ascontiguousarray(rows, np.int64)
    _check_layout(vectors, offsets, where)
    count, d = len(offsets) - 1, vectors.shape[1]
    keys = np.arange(count) if keys is None else np.ascontiguousarray(keys, np.int64)
    if len(keys) != count:
        raise OptionError(f"{len(keys)} keys for {count} candidates", "give one key a candidate")
    centroids = np.zeros((count, k, d), np.float32) if start is None else np.array(start, np.float32, order="C")
    check_start(centroids, (count, k, d))

    sizes = np.zeros((count, k), np.int64)
    assignment = np.zeros(len(where), np.int32)
    inertia = np.zeros(count)
    bad = np.full(count, -1, np.int64)

    def work(candidates: NDArray[np.int64]) -> None:
        _cluster(
            candidates, vectors, where, offsets, keys, bits_of(seed), iterations, tolerance,
            sample_limit or np.iinfo(np.int64).max, centroids, sizes, assignment, inertia, bad,
        )  # fmt: skip

    spread(work, bundles(np.diff(offsets), usable(threads) * 16), threads)
    check_points(int(bad[np.argmax(bad >= 0)]) if count else -1)
    return Clusterings(centroids, sizes, assignment, inertia, sizes > 0)


def _check_layout(vectors: NDArray[np.float32], offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    if vectors.ndim != 2:
        raise OptionError(f"points have shape {vectors.shape}, expected [n, d]", "give one vector a row")
    if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(rows) or np.any(np.diff(offsets) < 0):
        raise OptionError(
            f"offsets do not rise from 0 to the number of points, {len(rows)}", "give C + 1 offsets, the last the total"
        )
    if len(rows) and (rows.min() < 0 or rows.max() >= len(vectors)):
        raise DataError(
            f"rows reach from {rows.min()} to {rows.max()}, expected 0 to {len(vectors) - 1}",
            "drop seeds that have no vector before clustering",
        )


@numba.njit(nogil=True, cache=True)
def _cluster(
    candidates: I64,
    vectors: F32,
    rows: I64,
    offsets: I64,
    keys: I64,
    seed: np.uint64,
    iterations: int,
    tolerance: float,
    sample_limit: int,
    centroids: F32,
    sizes: I64,
    assignment: I32,
    inertia: F64,
    bad: I64,
) -> None:
    """Cluster the given candidates one by one into the output arrays; bad[c]: the point that forbids it, or -1."""
    k, d = centroids.shape[1:]
    sums = np.empty((k, d), np.float64)
    for c in candidates:
        lo, hi = offsets[c], offsets[c + 1]
        own = rows[lo:hi]
        n = hi - lo
        state = seeding.generator(seed, keys[c])
        size = seeding.first_sample(n, k, sample_limit)
        made = 0  # clusters so far
        while True:
            part = tiles.gather(vectors, seeding.sample(own, size, state))
            if lloyd.bad_row(part, np.arange(size)) >= 0:
                bad[c] = lo + lloyd.bad_row(vectors, own)
                break
            if n <= k:
                _keep(part, centroids[c], sizes[c], assignment[lo:hi])
                break
            steps = iterations
            if made == 0:
                made = seeding.start(part, np.arange(size), centroids[c], state)
                steps *= 1 if size == n else seeding.LONGER
            near = assignment[lo : lo + size]
            _settle(part, centroids[c, :made], steps, tolerance, near, sums, sizes[c, :made])
            if size == n:
                lloyd.compact(centroids[c], sizes[c], near)
                inertia[c] = lloyd.inertia_of(part, np.arange(n), centroids[c], near)
                break
            size = seeding.next_sample(size, n, sample_limit)
            if size == n:
                inertia[c] = _everybody(vectors, own, centroids[c, :made], assignment[lo:hi], sums, sizes[c, :made])
                if inertia[c] < 0:
                    bad[c] = lo + lloyd.bad_row(vectors, own)
                lloyd.compact(centroids[c], sizes[c], assignment[lo:hi])
                break


@numba.njit(nogil=True, cache=True)
def _keep(part: F32, centroids: F32, sizes: I64, assignment: I32) -> None:
    """Every point is its own cluster."""
    centroids[:] = 0
    for i in range(len(part)):
        centroids[i] = part[i]
        sizes[i] = 1
        assignment[i] = i


@numba.njit(nogil=True, cache=True)
def _settle(
    part: F32, centroids: F32, iterations: int, tolerance: float, assignment: I32, sums: F64, counts: I64
) -> None:
    """Lloyd's steps on a candidate's points, packed once; changes centroids, assignment and counts in place."""
    rows = np.arange(len(part))
    middle = tiles.centre(part, rows)
    packed, squares = tiles.pack_all(part, rows, middle)
    assignment[:] = -1
    sums[:] = 0
    counts[:] = 0
    before = -1.0  # none yet
    for _ in range(iterations):
        inertia = lloyd.reassign(part, rows, packed, squares, middle, centroids, assignment, sums, counts)
        refilled = lloyd.refill(part, rows, centroids, assignment, sums, counts)
        inertia -= lloyd.move(centroids, sums, counts)
        if refilled == 0 and before >= 0 and before - inertia <= tolerance * before:
            break
        before = inertia


@numba.njit(nogil=True, cache=True)
def _everybody(vectors: F32, rows: I64, centroids: F32, assignment: I32, sums: F64, counts: I64) -> float:
    """One step of all points, which are read once; returns the inertia after it, or -1 where a point forbids it."""
    sums[:] = 0
    counts[:] = 0
    distance = np.empty(len(rows), np.float32)
    inertia = lloyd.assign(vectors, rows, centroids, assignment, distance, sums, counts)
    if lloyd.far_out(inertia, centroids) and lloyd.bad_row(vectors, rows) >= 0:
        return -1.0
    refilled = lloyd.refill(vectors, rows, centroids, assignment, sums, counts)
    gain = lloyd.move(centroids, sums, counts)
    if refilled or gain > lloyd.SETTLED * inertia:
        return lloyd.inertia_of(vectors, rows, centroids, assignment)
    return inertia - gain
