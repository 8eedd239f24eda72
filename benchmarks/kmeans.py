"""k-means of one large crowd beside faiss, scikit-learn and fastkmeans: 1,000,000 points of width 128, 20 clusters.

The peers take ten of Lloyd's steps over all points from a start of their own; ours runs as the service runs it, to its
tolerance. Every side draws its own start, so one run says little: seconds and inertia are medians over the same seeds
for all, 10 of them (3 with --quick), and ours counts only where its median inertia is not above that of faiss.
`limit_s`: what ten steps need at least, their products at the machine's GEMM rate or their bytes at its read bandwidth,
whichever is longer. Ours goes below ten steps' work: it converges on a sample first (`kinfolk.lookalike.clusters`).

The points are a mixture: 200 topics whose popularity falls as 1/rank, unit noise in every direction around them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

import faiss
import numpy as np
from fastkmeans import FastKMeans
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from harness import arguments, cores, gemm_rate, read_bandwidth, report, rounded, table
from kinfolk.lookalike.clusters import kmeans

N, WIDTH, K, STEPS, TOPICS = 1_000_000, 128, 20, 10, 200
Points = NDArray[np.float32]


def mixture(n: int, seed: int) -> Points:
    """float32[n, WIDTH]."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, TOPICS + 1)
    topic = rng.choice(TOPICS, n, p=share / share.sum())
    points = rng.standard_normal((n, WIDTH), np.float32)
    points += rng.standard_normal((TOPICS, WIDTH), np.float32)[topic]
    return points


def by_faiss(x: Points, seed: int) -> Points:
    """Centroids float32[K, WIDTH], as of every peer here."""
    found = faiss.Kmeans(WIDTH, K, niter=STEPS, seed=seed + 1, max_points_per_centroid=len(x))
    found.train(x)
    return np.asarray(found.centroids)


def by_scikit_learn(x: Points, seed: int) -> Points:
    return np.asarray(KMeans(K, n_init=1, max_iter=STEPS, tol=0, random_state=seed).fit(x).cluster_centers_)


def by_fastkmeans(x: Points, seed: int) -> Points:
    found = FastKMeans(WIDTH, K, niter=STEPS, seed=seed, gpu=False, max_points_per_centroid=None, use_triton=False)
    found.train(x)
    return np.asarray(found.centroids)


def by_ours(x: Points, seed: int) -> Points:
    return kmeans(x, K, seed=seed).centroids


def mean_distance(x: Points, centroids: Points) -> float:
    """The inertia of all points, assigned to the nearest centroid, by their number."""
    centroids = np.ascontiguousarray(centroids, np.float32)
    index = faiss.IndexFlatL2(WIDTH)
    index.add(centroids)
    nearest = index.search(x, 1)[1].ravel()
    total = 0.0
    for first in range(0, len(x), 65_536):
        gap = x[first : first + 65_536] - centroids[nearest[first : first + 65_536]]
        total += float(np.einsum("ij,ij->", gap, gap, dtype=np.float64))
    return total / len(x)


def main() -> None:
    args = arguments(__doc__ or "")
    tell = (lambda *_: None) if args.json else print
    x = mixture(N, seed=0)
    sides: dict[str, Callable[[Points, int], Points]] = {
        "kinfolk": by_ours,
        "faiss": by_faiss,
        "scikit-learn": by_scikit_learn,
        "fastkmeans": by_fastkmeans,
    }
    for side in sides.values():  # loops are compiled, thread pools started
        side(x[:20_000], 0)
    seconds, inertia = defaultdict(list), defaultdict(list)
    seeds = range(3 if args.quick else 10)
    for seed in seeds:
        for name, side in sides.items():
            began = time.perf_counter()
            centroids = side(x, seed)
            seconds[name].append(time.perf_counter() - began)
            inertia[name].append(mean_distance(x, centroids))
    threads = cores()
    gemm, read = gemm_rate(threads), read_bandwidth(threads)
    limit = STEPS * max(2 * x.size * K / gemm, x.nbytes / read)
    took = {name: float(np.median(s)) for name, s in seconds.items()}
    far = {name: float(np.median(v)) for name, v in inertia.items()}
    rows = [
        (name, f"{took[name]:.3f}", f"{min(s):.3f} to {max(s):.3f}", f"{far[name]:.3f}", f"{took[name] / limit:.2f}")
        for name, s in seconds.items()
    ]
    tell(table(("", "s (median)", "range", "inertia / point", "over the limit"), rows))
    tell(f"limit {limit:.3f} s: GEMM {gemm / 1e9:.0f} GFLOP/s, read {read / 1e9:.1f} GB/s; seeds {list(seeds)}")
    report(
        "kmeans",
        sizes={"points": N, "width": WIDTH, "k": K, "steps_of_peers": STEPS, "seeds": len(seeds), "threads": threads},
        ours_s=took["kinfolk"],
        peer_s=took["faiss"],
        limit_s=limit,
        inertia={name: rounded(v, 6) for name, v in far.items()},
        inertia_not_above_faiss=far["kinfolk"] <= far["faiss"],
        seconds={name: [rounded(t) for t in s] for name, s in seconds.items()},
    )


if __name__ == "__main__":
    main()
