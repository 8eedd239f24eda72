"""k-means of one big set: seeds of one candidate, up to millions of points (many small sets: `clusters_many`).

k-means++ start, Lloyd's steps in float32 with float64 sums. A large set is clustered on a sample first, then on larger
ones from where the last one has left the centroids, until one step over all points remains. Points are cut into a fixed
number of lanes whose sums are added in order: the result is the same bits for the same seed whatever the number of
threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.threads import ranges, spread
from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike import lloyd, seeding, tiles

LANES = 32  # also the most threads one set can use
_LANE_ROWS = 2048  # smaller lanes cost more in bookkeeping than they give


@dataclass(frozen=True)
class Clustering:
    """k clusters of one set of n points; clusters that hold points come first.

    Args:
        centroids: float32[k, d], the mean of the cluster's points; zero where not valid.
        sizes: int64[k], the number of points, sum n.
        assignment: int32[n], the cluster of every point.
        inertia: sum of squared distances of the points to their centroids.
        valid: bool[k], False for padding: fewer points, or fewer distinct points, than k.
    """

    centroids: NDArray[np.float32]
    sizes: NDArray[np.int64]
    assignment: NDArray[np.int32]
    inertia: float
    valid: NDArray[np.bool_]


def kmeans(
    x: NDArray[np.float32],
    k: int,
    *,
    seed: int,
    iterations: int = 25,
    tolerance: float = 1e-4,
    start: NDArray[np.float32] | None = None,
    sample_limit: int | None = None,
    threads: int | None = None,
) -> Clustering:
    """Cluster one set of points.

    With n <= k every point is its own centroid, in order. An empty cluster is given the point farthest from its
    centroid. Every centroid returned is the mean of the points assigned to it.

    Args:
        x: float32[n, d] points.
        k: number of clusters.
        seed: same points and seed, same result to the bit.
        iterations: the most Lloyd steps; of a large set twice as many on a sample, as many on larger ones, one on all.
        tolerance: stop when a step lowers the inertia by less than this share of it.
        start: float32[k, d] centroids to start from (those of the last run); rows of zeros are filled by k-means++.
        sample_limit: take the steps on at most so many points, spread evenly over x, then assign all of them once.
        threads: None is one a core.

    Raises:
        DataError: NaN, infinite or larger than 1e15.
        OptionError: k, iterations, sample_limit or threads below 1; x or start of another shape.
    """
    points = np.ascontiguousarray(x, np.float32)
    check_options(k, iterations, sample_limit)
    if points.ndim != 2:
        raise OptionError(f"points have shape {points.shape}, expected [n, d]", "give one vector a row")
    n, d = points.shape
    rows = np.arange(n)
    check_points(_bad_row(points, rows, threads))
    centroids = np.zeros((k, d), np.float32) if start is None else np.array(start, np.float32, order="C")
    check_start(centroids, (k, d))
    if n <= k:
        return _own(points, k)
    state = seeding.generator(bits_of(seed), 0)
    limit = n if sample_limit is None else sample_limit
    size = seeding.first_sample(n, k, limit)
    part = points if size == n else points[seeding.sample(rows, size, state)]
    made = seeding.start(part, rows[:size], centroids, state)
    steps = iterations if size == n else seeding.LONGER * iterations
    assignment, sizes = _settle(part, centroids[:made], steps, tolerance, threads)
    inertia = None
    while size < n:
        size = seeding.next_sample(size, n, limit)
        if size == n:
            assignment, sizes, inertia = _everybody(points, centroids[:made], threads)
        else:
            part = _gathered(points, seeding.sample(rows, size, state), threads)
            _settle(part, centroids[:made], iterations, tolerance, threads)
    counts = np.zeros(k, np.int64)
    counts[:made] = sizes
    used = lloyd.compact(centroids, counts, assignment)
    if inertia is None:
        inertia = _inertia(points, rows, centroids, assignment, threads)
    return Clustering(centroids, counts, assignment, inertia, np.arange(k) < used)


def _settle(
    points: NDArray[np.float32], centroids: NDArray[np.float32], iterations: int, tolerance: float, threads: int | None
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Lloyd's steps on points packed once, changing `centroids` in place.

    Returns:
        assignment int32[n] and sizes int64[k] of the last step.
    """
    n, (k, d) = len(points), centroids.shape
    rows, lanes = np.arange(n), _lanes(n)
    middle = tiles.centre(points, rows)
    packed = spread(lambda lane: tiles.pack_all(points, rows[slice(*lane)], middle), lanes, threads)
    assignment = np.full(n, -1, np.int32)
    sums, counts = np.zeros((len(lanes), k, d)), np.zeros((len(lanes), k), np.int64)

    def step(lane: int) -> float:
        part = slice(*lanes[lane])
        return float(
            lloyd.reassign(
                points, rows[part], *packed[lane], middle, centroids, assignment[part], sums[lane], counts[lane]
            )
        )

    before = -1.0  # none yet
    for _ in range(iterations):
        inertia = sum(spread(step, range(len(lanes)), threads))
        total, sizes = sums.sum(axis=0), counts.sum(axis=0)
        refilled = lloyd.refill(points, rows, centroids, assignment, total, sizes)
        inertia -= float(lloyd.move(centroids, total, sizes))
        sums[0] += total - sums.sum(axis=0)  # what was refilled has changed the totals alone
        counts[0] += sizes - counts.sum(axis=0)
        if not refilled and before >= 0 and before - inertia <= tolerance * before:
            break
        before = inertia
    return assignment, sizes


def _everybody(
    points: NDArray[np.float32], centroids: NDArray[np.float32], threads: int | None
) -> tuple[NDArray[np.int32], NDArray[np.int64], float | None]:
    """One step of more points than are worth a copy, changing `centroids` in place.

    Returns:
        assignment int32[n] and sizes int64[k], and the inertia after the step where the step says.
    """
    n, (k, d) = len(points), centroids.shape
    rows, lanes = np.arange(n), _lanes(n)
    assignment, distance = np.empty(n, np.int32), np.empty(n, np.float32)
    sums, counts = np.zeros((len(lanes), k, d)), np.zeros((len(lanes), k), np.int64)

    def step(lane: int) -> float:
        part = slice(*lanes[lane])
        return float(
            lloyd.assign(points, rows[part], centroids, assignment[part], distance[part], sums[lane], counts[lane])
        )

    inertia = sum(spread(step, range(len(lanes)), threads))
    total, sizes = sums.sum(axis=0), counts.sum(axis=0)
    refilled = lloyd.refill(points, rows, centroids, assignment, total, sizes)
    gain = float(lloyd.move(centroids, total, sizes))
    return assignment, sizes, None if refilled or gain > lloyd.SETTLED * inertia else inertia - gain


def _gathered(points: NDArray[np.float32], rows: NDArray[np.int64], threads: int | None) -> NDArray[np.float32]:
    out = np.empty((len(rows), points.shape[1]), np.float32)

    def copy(lane: tuple[int, int]) -> None:
        out[slice(*lane)] = tiles.gather(points, rows[slice(*lane)])

    spread(copy, _lanes(len(rows)), threads)
    return out


def _inertia(
    points: NDArray[np.float32],
    rows: NDArray[np.int64],
    centroids: NDArray[np.float32],
    assignment: NDArray[np.int32],
    threads: int | None,
) -> float:
    def part(lane: tuple[int, int]) -> float:
        mine = slice(*lane)
        return float(lloyd.inertia_of(points, rows[mine], centroids, assignment[mine]))

    return sum(spread(part, _lanes(len(rows)), threads))


def _bad_row(points: NDArray[np.float32], rows: NDArray[np.int64], threads: int | None) -> int:
    """As `lloyd.bad_row`."""

    def part(lane: tuple[int, int]) -> int:
        found = int(lloyd.bad_row(points, rows[slice(*lane)]))
        return found if found < 0 else lane[0] + found

    return next((bad for bad in spread(part, _lanes(len(rows)), threads) if bad >= 0), -1)


def _lanes(n: int) -> list[tuple[int, int]]:
    return ranges(n, min(LANES, -(-n // _LANE_ROWS)))


def _own(points: NDArray[np.float32], k: int) -> Clustering:
    n, d = points.shape
    centroids = np.zeros((k, d), np.float32)
    centroids[:n] = points
    valid = np.arange(k) < n
    return Clustering(centroids, valid.astype(np.int64), np.arange(n, dtype=np.int32), 0.0, valid)


def bits_of(seed: int) -> np.uint64:
    """Any integer as 64 bits."""
    return np.uint64(int(seed) % 2**64)


def check_options(k: int, iterations: int, sample_limit: int | None) -> None:
    """Raises OptionError where one is below 1."""
    for name, value in (("k", k), ("iterations", iterations), ("sample_limit", sample_limit)):
        if value is not None and value < 1:
            raise OptionError(f"{name} is {value}, expected at least 1", f"give a positive {name}")


def check_points(bad: int) -> None:
    """Raises DataError where `bad` names a point that cannot be clustered."""
    if bad >= 0:
        raise DataError(
            f"point {bad} of those to cluster holds NaN, infinity or a number beyond 1e15",
            "check the embeddings it comes from; a training run that diverged makes such numbers",
        )


def check_start(start: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    """Raises OptionError for centroids of another shape, DataError for centroids that are not finite."""
    if start.shape != shape:
        raise OptionError(
            f"start has shape {start.shape}, expected {shape}", "start from centroids of the same k and width"
        )
    if not np.isfinite(start).all():
        raise DataError(
            "start holds NaN or infinity", "start from the centroids of a finished clustering, or from None"
        )
