"""The crowds of all candidates at once beside a loop of scikit-learn: 43,500 candidates, 8.9 million seeds.

Candidate r has seeds in proportion to 1/r, drawn from 1,000,000 users of width 128; 20 clusters, at most ten of Lloyd's
steps for either side. scikit-learn clusters every hundredth candidate by rank; a straight line through its seconds
against the number of seeds (least squares) gives the seconds of all. A candidate with no more seeds than clusters costs
the peer nothing. On the candidates that both have clustered the sums of inertia are compared.

`limit_s`: ten steps over all seeds need at least so long at the machine's GEMM rate or read bandwidth.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from harness import arguments, cores, gemm_rate, peak_mb, read_bandwidth, report, rounded, table
from kinfolk.lookalike.clusters_many import Clusterings, kmeans_many

CANDIDATES, SEEDS, USERS, WIDTH, K, STEPS, TOPICS, EVERY = 43_500, 8_900_000, 1_000_000, 128, 20, 10, 200, 100
SEED = 0


def zipf_sizes(candidates: int, total: int) -> NDArray[np.int64]:
    """int64[candidates] in proportion to 1/rank, at least 1, of about the total."""
    share = 1 / np.arange(1, candidates + 1)
    return np.maximum(np.round(share / share.sum() * total), 1).astype(np.int64)


def crowds(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Vectors float32[USERS, WIDTH], offsets int64[CANDIDATES + 1], rows int64: whose seeds they are."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((USERS, WIDTH), np.float32)
    vectors += rng.standard_normal((TOPICS, WIDTH), np.float32)[rng.integers(0, TOPICS, USERS)]
    np.maximum(vectors, 0, out=vectors)  # as embeddings are after ReLU
    offsets = np.concatenate([[0], np.cumsum(zipf_sizes(CANDIDATES, SEEDS))])
    return vectors, offsets, rng.integers(0, USERS, offsets[-1])


def loop_of_scikit_learn(
    vectors: NDArray[np.float32], offsets: NDArray[np.int64], rows: NDArray[np.int64], found: Clusterings
) -> tuple[float, float, dict[str, int]]:
    """Seconds of all candidates, extrapolated; ours over its inertia where both clustered; what was sampled."""
    count, seconds, theirs, ours = [], [], 0.0, 0.0
    for c in range(EVERY // 2, CANDIDATES, EVERY):
        own = vectors[rows[offsets[c] : offsets[c + 1]]]
        if len(own) <= K:
            continue
        began = time.perf_counter()
        fitted = KMeans(K, n_init=1, max_iter=STEPS, random_state=SEED).fit(own)
        seconds.append(time.perf_counter() - began)
        count.append(len(own))
        theirs += fitted.inertia_
        ours += found.inertia[c]
    slope, constant = np.polyfit(count, seconds, 1)
    sizes = np.diff(offsets)
    clustered = sizes[sizes > K]
    total = max(constant, 0.0) * len(clustered) + slope * clustered.sum()
    return float(total), ours / theirs, {"candidates": len(count), "seeds": int(np.sum(count))}


def timed(call: Callable[[], Clusterings]) -> tuple[float, Clusterings]:
    began = time.perf_counter()
    made = call()
    return time.perf_counter() - began, made


def main() -> None:
    args = arguments(__doc__ or "")
    tell = (lambda *_: None) if args.json else print
    vectors, offsets, rows = crowds(SEED)
    before = peak_mb()
    kmeans_many(vectors, offsets[:2], K, rows=rows[: offsets[1]], seed=SEED, iterations=1)  # compiles
    runs = [
        timed(lambda: kmeans_many(vectors, offsets, K, rows=rows, seed=SEED, iterations=STEPS))
        for _ in range(1 if args.quick else 3)
    ]
    ours = float(np.median([s for s, _ in runs]))
    peer, inertia, sampled = loop_of_scikit_learn(vectors, offsets, rows, runs[0][1])
    threads = cores()
    gemm, read = gemm_rate(threads), read_bandwidth(threads)
    values = len(rows) * WIDTH
    limit = STEPS * max(2 * values * K / gemm, 4 * values / read)
    tell(
        table(
            ("", "s", "over the limit"),
            [
                ("kinfolk", f"{ours:.2f}", f"{ours / limit:.2f}"),
                ("scikit-learn, extrapolated", f"{peer:.1f}", f"{peer / limit:.1f}"),
                ("limit", f"{limit:.2f}", ""),
            ],
        )
    )
    tell(f"{peer / ours:.0f} times; inertia ours / theirs {inertia:.4f} on {sampled}; seed {SEED}")
    report(
        "kmeans_many",
        sizes={
            "candidates": CANDIDATES,
            "seeds": len(rows),
            "users": USERS,
            "width": WIDTH,
            "k": K,
            "steps": STEPS,
            "threads": threads,
            "seed": SEED,
        },
        ours_s=ours,
        peer_s=peer,
        limit_s=limit,
        seconds=[rounded(s) for s, _ in runs],
        inertia_over_scikit_learn=rounded(inertia, 5),
        peer_sample=sampled,
        extra_mb=peak_mb() - before,
    )


if __name__ == "__main__":
    main()
