"""The 100 best of 20,000 candidates for one user: exact, beside plain torch and a fused float32 loop.

Ours (`score_user` with `top`) looks at bytes first and scores exactly only what may be among the best; rows and scores
must equal those of the fused loop to the bit. The limit is the time to read all centroids once in float32, with as many
threads; the goal is 0.6 of it. Centroids of a trained model and of ReLU'd Gaussians; the worse decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from crowds import SEED, Crowds, H, K, gaussian, plain_torch, trained
from harness import arguments, in_turn, read_bandwidth, report, rounded, table
from kinfolk.lookalike.score import score_user, score_users
from kinfolk.lookalike.topk import top

CANDIDATES, USERS, TOP = 20_000, 16, 100


def fused(crowds: Crowds, user: int, threads: int) -> tuple[Any, Any]:
    """Every candidate's score from the float32 loop, then the best."""
    some = slice(user, user + 1)
    scores = score_users(crowds.index, crowds.users[some], crowds.projected[some], threads)[0]
    rows = top(scores, TOP)
    return rows, scores[rows]


def identical(crowds: Crowds, threads: int) -> bool:
    """Whether rows and scores of all users are those of the fused loop, and torch's scores to 1e-4."""
    plain = plain_torch(crowds, TOP)
    same = True
    for u in range(USERS):
        rows, scores = score_user(crowds.index, crowds.users[u], crowds.projected[u], TOP, threads)
        wanted = fused(crowds, u, threads)
        same &= np.array_equal(rows, wanted[0]) and np.array_equal(scores, wanted[1])
    _, plainly = plain(crowds.users[-1:], crowds.projected[-1:])
    return bool(same) and bool(np.allclose(plainly[0], scores, atol=1e-4))


def measure(crowds: Crowds, threads: int, repeats: int) -> dict[str, Any]:
    """Median seconds of each; every call is for another user."""
    plain, index, turn = plain_torch(crowds, TOP), crowds.index, iter(range(10**9))
    torch.set_num_threads(threads)

    def ours() -> None:
        u = next(turn) % USERS
        score_user(index, crowds.users[u], crowds.projected[u], TOP, threads)

    times = in_turn(
        {
            "peer": lambda: plain(crowds.users[:1], crowds.projected[:1]),
            "fused": lambda: fused(crowds, next(turn) % USERS, threads),
            "ours": ours,
        },
        repeats,
        least=0.05,
    )
    limit = index.centroids.nbytes / read_bandwidth(threads)
    return {**times, "limit": limit, "identical": identical(crowds, threads)}


def main() -> None:
    args = arguments(__doc__ or "")
    repeats = 5 if args.quick else 15
    found = {}
    for kind, crowds in (("trained", trained(CANDIDATES, USERS)), ("gaussian", gaussian(CANDIDATES, USERS))):
        for threads in (1, 2):
            found[kind, threads] = measure(crowds, threads, repeats)
    if not args.json:
        rows = [
            (
                f"{kind}, {threads} threads", m["peer"], m["fused"], m["ours"], f"{m['limit'] * 1e3:.2f} ms",
                f"{m['peer'].median / m['ours'].median:.1f}", f"{m['ours'].median / m['limit']:.2f}", m["identical"],
            )
            for (kind, threads), m in found.items()
        ]  # fmt: skip
        print(table(["centroids", "plain torch", "fused", "ours", "limit", "peer/ours", "ours/limit", "same"], rows))
    worst = max((m for (_, threads), m in found.items() if threads == 1), key=lambda m: m["ours"].median)
    report(
        "score_user",
        sizes={"users": 1, "candidates": CANDIDATES, "k": K, "h": H, "top": TOP, "seed": SEED, "threads": 1},
        ours_s=worst["ours"].median,
        peer_s=worst["peer"].median,
        limit_s=worst["limit"],
        identical=all(m["identical"] for m in found.values()),
        goals={"peer_over_ours": 40, "ours_over_limit": 0.6},
        fused_s=rounded(worst["fused"].median),
        cases={
            f"{kind} {threads}": {
                **{name: m[name].seconds for name in ("peer", "fused", "ours")}, "limit": rounded(m["limit"])
            }
            for (kind, threads), m in found.items()
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
