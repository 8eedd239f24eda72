"""The best 1 % of 3,000,000 users for one seed list: `expand`, beside the inner product with the seeds' mean.

Ours scores every user by both attentions over 20 clusters of 128 (41 products a user), leaves the seeds out and tells
the reach; the peer computes one product a user and takes the best 1 %: BLAS and `argpartition`, or faiss's flat index,
the faster counts. The limit is that of ours: the products as float32 matrices. All with two threads. The scores are
compared with those of `score_users` on every hundredth user.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from crowds import SEED, H, K, gaussian
from harness import arguments, cores, gemm_rate, in_turn, milliseconds, read_bandwidth, report, table
from kinfolk.lookalike.audience import expand, score_all
from kinfolk.lookalike.score import score_users

USERS, SEEDS, PERCENT, TOLERANCE = 3_000_000, 10_000, 1.0, 1e-5
_BLOCK = 100_000


def people() -> Any:
    """ReLU'd Gaussians float32[USERS, H]."""
    rng = np.random.default_rng(SEED)
    users = np.empty((USERS, H), np.float32)
    for first in range(0, USERS, _BLOCK):
        rng.standard_normal(out=users[first : first + _BLOCK], dtype=np.float32)
    return np.maximum(users, 0, out=users)


def main() -> None:
    args = arguments(__doc__ or "")
    threads = min(2, cores())
    crowds = gaussian(1, 1)
    users, seeds = people(), np.random.default_rng(SEED + 1).permutation(USERS)[:SEEDS]
    mean, wanted = users[seeds].mean(axis=0), int(USERS * PERCENT / 100)
    flat = faiss.IndexFlatIP(H)
    flat.add(users)
    faiss.omp_set_num_threads(threads)

    def blas() -> None:
        scores = users @ mean
        np.argpartition(scores, USERS - wanted)

    def ours() -> None:
        expand(crowds.index, users, crowds.W_l, seeds=seeds, percent=PERCENT, threads=threads)

    calls = {
        "blas": blas,
        "score_all": lambda: score_all(users, crowds.W_l, crowds.index, threads=threads),
        "ours": ours,
    }
    with threadpool_limits(threads, user_api="blas"):
        times = in_turn(calls, 3 if args.quick else 9)
        times |= in_turn({"faiss": lambda: flat.search(mean[None], wanted)}, 1 if args.quick else 3)
    limit = 2 * (2 * K + 1) * H * USERS / gemm_rate(threads)
    some = np.ascontiguousarray(users[::100])
    fast = score_all(some, crowds.W_l, crowds.index, threads=threads)
    gap = np.abs(fast - score_users(crowds.index, some, some @ crowds.W_l.T, threads)[:, 0]).max()
    peer = min((times["blas"], times["faiss"]), key=lambda t: t.median)
    if not args.json:
        rows = [(name, t, f"{t.median / peer.median:.2f}") for name, t in times.items()]
        print(table(["what", "time", "to the peer"], [*rows, ("limit of ours", milliseconds(limit), "")]))
        print(
            f"reading the users once: {milliseconds(users.nbytes / read_bandwidth(threads))};",
            f"scores differ by {gap:.1e}",
        )
    report(
        "expand",
        sizes={"users": USERS, "seeds": SEEDS, "percent": PERCENT, "k": K, "h": H, "seed": SEED, "threads": threads},
        ours_s=times["ours"].median,
        peer_s=peer.median,
        limit_s=limit,
        identical=bool(gap <= TOLERANCE),
        tolerance=TOLERANCE,
        goals={"ours_over_peer": 4},
        cases={name: t.seconds for name, t in times.items()},
    )


if __name__ == "__main__":
    main()
