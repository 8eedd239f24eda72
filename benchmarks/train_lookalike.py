"""Training of stage 2 beside plain torch: 1,000,000 samples, 20,000 candidates of 50 seeds, batches of 256, one epoch.

The maths are the preset `paper`'s on both sides: clusters are means of T(x) over at most 4 members drawn of each, with
gradient; local and global attention; sigmoid cross entropy; Adam. Once an epoch the seeds of every candidate are
clustered anew, ten of Lloyd's steps at most. The peer is what one writes first: a padded block of seeds for each sample
of the batch, sums as wide as the embedding, and k-means candidate by candidate, in torch as well.

An epoch's seconds: those of a step, ours and the peer's in turn, times the number of steps, and those of clustering
(the peer's on every hundredth candidate, times a hundred). `identical`: on one batch, from the same weights and the
same members, both give the same loss and the same gradients to float32's rounding. `limit_s`: the products of T and its
gradients over the seeds and users that a step reads, at the machine's GEMM rate.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness import arguments, gemm_rate, in_turn, report, rounded, table
from kinfolk.lookalike.campaign import Campaign
from kinfolk.lookalike.clustered import ClusteredSeeds, cluster_seeds
from kinfolk.lookalike.config import LookalikeConfig, TrainingConfig
from kinfolk.lookalike.model import LookalikeModel
from kinfolk.lookalike.training import batch_loss
from kinfolk.presets import preset

SAMPLES, CANDIDATES, SEEDS, USERS, WIDTH, EVERY, SEED = 1_000_000, 20_000, 50, 300_000, 128, 100, 0
PAPER = preset("paper")


def make_campaign(rng: np.random.Generator) -> Campaign:
    """Users around 100 topics; seeds of one topic a candidate; labels follow it."""
    topic = rng.integers(0, 100, USERS)
    x = (rng.standard_normal((100, WIDTH))[topic] + rng.standard_normal((USERS, WIDTH))).astype(np.float32)
    seed_user = rng.integers(0, USERS, CANDIDATES * SEEDS).astype(np.int32)
    candidate = rng.integers(0, CANDIDATES, SAMPLES).astype(np.int32)
    user = rng.integers(0, USERS, SAMPLES).astype(np.int32)
    return Campaign(
        item=np.arange(CANDIDATES, dtype=np.int32),
        offsets=np.arange(CANDIDATES + 1, dtype=np.int64) * SEEDS,
        seed_user=seed_user,
        seeds=x[seed_user],
        candidate=candidate,
        user=user,
        label=rng.integers(0, 2, SAMPLES).astype(np.int8),
        targets=x[user],
        known=np.zeros(1, np.int64),
        n_users=USERS,
    )


class PlainRalm(nn.Module):
    """Eq. 2 and 9 to 11 of RALM, written straight down; parameters are those of a `LookalikeModel`."""

    def __init__(self, model: LookalikeModel) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)
        self.local = nn.Parameter(model.local.weight.detach().clone())
        self.inner = nn.Parameter(model.global_.inner.weight.detach().clone())
        self.outer = nn.Parameter(model.global_.outer.weight.detach().clone())
        self.layer.load_state_dict(model.layer.state_dict())

    def forward(self, seeds: Tensor, used: Tensor, users: Tensor) -> Tensor:
        """seeds [B, k, r, m], used bool[B, k, r], users [B, m] -> logit [B]."""
        e = torch.relu(self.layer(seeds)) * used[..., None]
        clusters = e.sum(2) / used.sum(2, keepdim=True).clamp_min(1)
        valid, user = used.any(2), torch.relu(self.layer(users))
        local = torch.tanh(torch.einsum("bkh,bh->bk", clusters @ self.local, user))
        overall = (torch.tanh(clusters @ self.inner.T) @ self.outer.T).squeeze(-1)
        score = 0.0
        for share, logits in ((0.3, overall), (0.7, local)):
            weights = torch.softmax(logits.masked_fill(~valid, -torch.inf), 1)
            crowd = (weights[..., None] * clusters).sum(1)
            score = score + share * torch.cosine_similarity(user, crowd, dim=1, eps=1e-6)
        return score


def members(
    clustered: ClusteredSeeds, campaign: Campaign, batch: NDArray[np.int64], r: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """At most r members drawn of every cluster of each sample's candidate: seeds [B, k, r, m], used bool[B, k, r]."""
    c = campaign.candidate[batch]
    start, size = clustered.start[c], clustered.size[c]
    first = (rng.random(size.shape) * size).astype(np.int64)
    slot = np.arange(r)
    used = slot < np.minimum(size, r)[..., None]
    place = start[..., None] + (first[..., None] + slot) % np.maximum(size, 1)[..., None]
    rows = clustered.order[np.minimum(place, len(clustered.order) - 1)]
    return torch.from_numpy(campaign.seeds[rows]), torch.from_numpy(used)


def plain_kmeans(x: Tensor, k: int, steps: int, generator: torch.Generator) -> Tensor:
    """Assignment of one candidate's seeds, from a random start."""
    centroids = x[torch.randperm(len(x), generator=generator)[:k]]
    for _ in range(steps):
        nearest = torch.cdist(x, centroids).argmin(1)
        count = torch.bincount(nearest, minlength=k).unsqueeze(1)
        sums = torch.zeros_like(centroids).index_add_(0, nearest, x)
        centroids = torch.where(count > 0, sums / count.clamp_min(1), centroids)
    return nearest


class Side:
    """What both do: draw batches, step."""

    def __init__(self, campaign: Campaign, clustered: ClusteredSeeds, model: nn.Module, config: TrainingConfig) -> None:
        self.campaign, self.clustered, self.model, self.config = campaign, clustered, model, config
        self.adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=config.lr)
        self.rng, self.batches = np.random.default_rng(SEED), self._batches()

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        size = self.config.batch_size
        while True:
            order = np.random.default_rng(SEED).permutation(SAMPLES)
            yield from (order[i : i + size] for i in range(0, SAMPLES - size + 1, size))

    def loss(self, batch: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        raise NotImplementedError

    def steps(self, n: int) -> None:
        for _ in range(n):
            loss = self.loss(next(self.batches), self.rng)
            self.adam.zero_grad(set_to_none=True)
            loss.backward()
            self.adam.step()


class Ours(Side):
    def loss(self, batch: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        assert isinstance(self.model, LookalikeModel)
        return batch_loss(self.model, self.campaign, self.clustered, batch, self.config, rng, "cpu")


class Plain(Side):
    def loss(self, batch: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        seeds, used = members(self.clustered, self.campaign, batch, self.config.members, rng)
        logit = self.model(seeds, used, torch.from_numpy(self.campaign.targets[batch]))
        labels = torch.from_numpy(self.campaign.label[batch].astype(np.float32))
        return nn.functional.binary_cross_entropy_with_logits(logit, labels)


def agree(ours: Ours, plain: Plain) -> bool:
    """The same loss and gradients, to rounding, on samples of distinct candidates in order, so that draws are equal."""
    _, batch = np.unique(ours.campaign.candidate[:300], return_index=True)
    losses = [side.loss(batch, np.random.default_rng(1)) for side in (ours, plain)]
    for loss in losses:
        loss.backward()
    a, b = ours.model, plain.model
    pairs = [(a.layer.weight, b.layer.weight), (a.local.weight, b.local), (a.global_.inner.weight, b.inner)]
    near = [torch.allclose(p.grad, q.grad, rtol=1e-3, atol=1e-6) for p, q in pairs]
    return bool(abs(losses[0] - losses[1]) < 1e-5 and all(near))


def main() -> None:
    args = arguments(__doc__ or "", threads=True)
    torch.set_num_threads(args.threads)
    tell = (lambda *_: None) if args.json else print
    campaign = make_campaign(np.random.default_rng(SEED))
    torch.manual_seed(SEED)
    config = PAPER.training
    model = LookalikeModel(LookalikeConfig(**{**vars(PAPER.lookalike), "m": WIDTH}))
    cluster_seeds(campaign, model, config, seed=SEED, epoch=0)  # compiles
    began = time.perf_counter()
    clustered = cluster_seeds(campaign, model, config, seed=SEED, epoch=0)
    clustering = time.perf_counter() - began
    with torch.no_grad():
        generator = torch.Generator().manual_seed(SEED)
        k, began = model.config.k, time.perf_counter()
        for c in range(0, CANDIDATES, EVERY):
            own = model.transform(torch.from_numpy(campaign.seeds[campaign.offsets[c] : campaign.offsets[c + 1]]))
            plain_kmeans(own, k, config.kmeans_iterations, generator)
        peer_clustering = (time.perf_counter() - began) * EVERY

    ours = Ours(campaign, clustered, model, config)
    plain = Plain(campaign, clustered, PlainRalm(model), config)
    identical = agree(ours, plain)
    n, repeats = (10, 5) if args.quick else (50, 9)
    took = in_turn({"kinfolk": lambda: ours.steps(n), "plain torch": lambda: plain.steps(n)}, repeats)
    per_epoch = SAMPLES / config.batch_size / n
    total = {
        "kinfolk": took["kinfolk"].median * per_epoch + clustering,
        "plain torch": took["plain torch"].median * per_epoch + peer_clustering,
    }
    read = np.minimum(clustered.size, config.members).sum(1).mean() + 1  # seeds and the user, of a sample
    limit = SAMPLES * read * 6 * WIDTH * WIDTH / gemm_rate(args.threads)
    rows = [
        ("kinfolk", f"{took['kinfolk'].median / n * 1e3:.1f}", f"{clustering:.1f}", f"{total['kinfolk']:.1f}"),
        (
            "plain torch",
            f"{took['plain torch'].median / n * 1e3:.1f}",
            f"{peer_clustering:.1f}",
            f"{total['plain torch']:.1f}",
        ),
    ]
    tell(table(("", "ms a step", "clustering s", "an epoch s"), rows))
    tell(f"limit {limit:.1f} s; the same loss and gradients: {identical}; seed {SEED}, {args.threads} threads")
    report(
        "train_lookalike",
        sizes={
            "samples": SAMPLES,
            "candidates": CANDIDATES,
            "seeds": CANDIDATES * SEEDS,
            "batch": config.batch_size,
            "width": WIDTH,
            "k": k,
            "threads": args.threads,
            "seed": SEED,
        },
        ours_s=total["kinfolk"],
        peer_s=total["plain torch"],
        limit_s=limit,
        identical=identical,
        step_ms={name: rounded(t.median / n * 1e3) for name, t in took.items()},
        clustering_s={"kinfolk": rounded(clustering), "plain torch": rounded(peer_clustering)},
    )


if __name__ == "__main__":
    main()
