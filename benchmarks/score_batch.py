"""The 100 best of 20,000 candidates for each of 256 users: exact, beside batched plain torch.

Ours is `top_candidates`; rows and scores must equal those of the fused float32 loop to the bit. The limit is that of
the 2·k·h multiply-adds a pair as a product of float32 matrices, with as many threads; the goal is 1.5 of it. All
seconds are a user's. Centroids of a trained model and of ReLU'd Gaussians; the worse decides. The peer forms E_local of
a block of users by matrix products; it scores one block, as its time does not depend on which.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from crowds import SEED, Crowds, H, K, gaussian, trained
from harness import arguments, gemm_rate, in_turn, report, rounded, table
from kinfolk.lookalike.score import score_users, top_candidates
from kinfolk.lookalike.topk import top

CANDIDATES, USERS, TOP, PEER_USERS = 20_000, 256, 100, 8


def batched_torch(crowds: Crowds) -> Any:
    """The best candidates of a block of users by equations 2, 9 and 10 in tensors."""
    index = crowds.index
    E_s, bias, linear = (torch.from_numpy(a) for a in (index.centroids, index.bias, index.linear))
    offset, share = (torch.from_numpy(a)[:, None] for a in (index.offset, index.local))
    E_u, v = torch.from_numpy(crowds.users[:PEER_USERS]), torch.from_numpy(crowds.projected[:PEER_USERS])
    with torch.inference_mode():
        logits = index.temperature * torch.tanh((E_s.flatten(0, 1) @ v.T).view(CANDIDATES, K, -1)) + bias[:, :, None]
        E_local = torch.softmax(logits, dim=1).transpose(1, 2) @ E_s
        unit = torch.nn.functional.normalize(E_u, dim=1)
        local = (torch.nn.functional.normalize(E_local, dim=2) * unit).sum(dim=2)
        return (linear @ unit.T + offset + share * local).T.topk(TOP, dim=1)


def identical(crowds: Crowds) -> bool:
    """Whether rows and scores are those of the fused loop, and torch's scores to 1e-4."""
    rows, scores = top_candidates(crowds.index, crowds.users, crowds.projected, TOP, 2)
    every = score_users(crowds.index, crowds.users, crowds.projected, 2)
    wanted = np.stack([top(own, TOP) for own in every])
    same = np.array_equal(rows, wanted) and np.array_equal(scores, np.take_along_axis(every, wanted, 1))
    plain = batched_torch(crowds).values.numpy()
    return same and bool(np.allclose(plain, scores[:PEER_USERS], atol=1e-4))


def measure(crowds: Crowds, threads: int, repeats: int) -> dict[str, Any]:
    """Timings of whole calls, the limit of one user."""
    torch.set_num_threads(threads)
    times = in_turn(
        {
            "peer": lambda: batched_torch(crowds),
            "ours": lambda: top_candidates(crowds.index, crowds.users, crowds.projected, TOP, threads),
        },
        repeats,
    )
    limit = 2 * 2 * K * H * CANDIDATES / gemm_rate(threads)
    peer, ours = times["peer"].median / PEER_USERS, times["ours"].median / USERS
    return {"peer": peer, "ours": ours, "limit": limit, "spread": times["ours"].seconds, "same": identical(crowds)}


def main() -> None:
    args = arguments(__doc__ or "")
    repeats = 3 if args.quick else 7
    found = {}
    for kind, crowds in (("trained", trained(CANDIDATES, USERS)), ("gaussian", gaussian(CANDIDATES, USERS))):
        for threads in (1, 2):
            found[kind, threads] = measure(crowds, threads, repeats)
    if not args.json:
        rows = [
            (
                f"{kind}, {threads} threads", *(f"{m[n] * 1e3:.2f} ms" for n in ("peer", "ours", "limit")),
                f"{m['peer'] / m['ours']:.1f}", f"{m['ours'] / m['limit']:.2f}", m["same"],
            )
            for (kind, threads), m in found.items()
        ]  # fmt: skip
        print(table(["a user's time", "batched torch", "ours", "limit", "peer/ours", "ours/limit", "same"], rows))
    worst = max((m for (_, threads), m in found.items() if threads == 2), key=lambda m: m["ours"])
    report(
        "score_batch",
        sizes={"users": USERS, "candidates": CANDIDATES, "k": K, "h": H, "top": TOP, "seed": SEED, "threads": 2},
        ours_s=worst["ours"],
        peer_s=worst["peer"],
        limit_s=worst["limit"],
        identical=all(m["same"] for m in found.values()),
        goals={"ours_over_limit": 1.5},
        cases={
            f"{kind} {threads}": {
                **{name: rounded(m[name]) for name in ("peer", "ours", "limit")}, "call_s": m["spread"]
            }
            for (kind, threads), m in found.items()
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
