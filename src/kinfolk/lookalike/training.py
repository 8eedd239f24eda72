"""Iterative training of stage 2 (RALM, KDD 2019, section 3.3): cluster, learn for an epoch, cluster again.

Assignments are frozen for an epoch; the clusters themselves are means of T(x) over a few members drawn anew at every
step, with gradient, so that both towers teach the shared transform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from kinfolk.errors import DataError
from kinfolk.lookalike.campaign import Campaign
from kinfolk.lookalike.clustered import ClusteredSeeds, cluster_seeds
from kinfolk.lookalike.config import LookalikeConfig, TrainingConfig
from kinfolk.lookalike.model import LookalikeModel
from kinfolk.nn.checkpoint import Checkpoint, write_rows

Progress = Callable[[dict[str, float]], None]


def train_lookalike(
    campaign: Campaign,
    model_config: LookalikeConfig,
    config: TrainingConfig,
    *,
    seed: int,
    device: str = "cpu",
    on_progress: Progress | None = None,
    metrics_path: Path | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> tuple[LookalikeModel, list[dict[str, float]]]:
    """Train stage 2; returns the model at its best epoch and one row of metrics an epoch.

    Repeats bit for bit on one CPU with the same seed and number of threads.

    Args:
        campaign: from `build_campaign`.
        on_progress: called every few steps with epoch, step, steps, loss, samples_per_second.
        metrics_path: JSON lines, one an epoch.
        checkpoint: directory, written after every epoch; with `resume` training goes on from it.

    Raises:
        DataError: no positive sample is left to learn from.
    """
    torch.manual_seed(seed)
    model = LookalikeModel(replace(model_config, m=campaign.seeds.shape[1])).to(device)
    if model.config.start == "average":
        model.centre(torch.from_numpy(campaign.targets).to(device))
    learned = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    fit_rows, held_rows = _split(campaign, config, seed)
    run = {"seed": seed, "samples": len(campaign), "model": asdict(model.config), "training": asdict(config)}
    state = Checkpoint(checkpoint, "lookalike", model, optimiser, run)
    rows, best = state.resume() if resume else ([], None)
    epoch = len(rows)
    clustered: ClusteredSeeds | None = None
    while epoch < config.epochs and not _stale(rows, config.patience):
        rng = np.random.default_rng([seed, 3, epoch])
        torch.manual_seed(seed * 1_000_003 + epoch)
        if clustered is None or config.recluster:
            start = 0 if config.recluster else epoch
            clustered = cluster_seeds(campaign, model, config, seed=seed, epoch=epoch - start)
        started = perf_counter()
        loss_sum = weight = 0.0
        steps = -(-len(fit_rows) // config.batch_size)
        for step, batch in enumerate(_batches(fit_rows, config.batch_size, rng)):
            if config.recluster_every and step and step % config.recluster_every == 0:
                clustered = cluster_seeds(campaign, model, config, seed=seed, epoch=epoch, step=step)
            loss = batch_loss(model, campaign, clustered, batch, config, rng, device)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation is missing
            optimiser.step()
            loss_sum += float(loss.detach()) * len(batch)
            weight += len(batch)
            if on_progress and (step % 10 == 0 or step == steps - 1):
                rate = weight / (perf_counter() - started)
                at = {"epoch": epoch, "step": step + 1, "steps": steps}
                on_progress({**at, "loss": loss_sum / weight, "samples_per_second": rate})
        row = {"epoch": float(epoch), "loss": loss_sum / max(weight, 1.0)}
        row |= evaluate_lookalike(model, campaign, held_rows, config, seed=seed, device=device)
        rows.append(row)
        if metrics_path:
            write_rows(metrics_path, rows, stage="lookalike")
        if best is None or row["validation_auc"] > best[0]:
            best = (row["validation_auc"], {k: v.detach().clone() for k, v in model.state_dict().items()})
        epoch += 1
        state.save(rows, best)
    if best is None:
        raise DataError("stage 2 trained for no epoch", "give epochs >= 1")
    model.load_state_dict(best[1])
    model.eval()
    return model, rows


def batch_loss(
    model: LookalikeModel,
    campaign: Campaign,
    clustered: ClusteredSeeds,
    batch: NDArray[np.int64],
    config: TrainingConfig,
    rng: np.random.Generator,
    device: str,
) -> Tensor:
    """Scalar loss of the given samples; seeds and targets both carry gradient (unless centroids are constant)."""
    model.train()
    candidates, row = np.unique(campaign.candidate[batch], return_inverse=True)
    clusters, sizes = clustered.means(model, campaign, candidates, config, rng, device)
    users = model.transform(torch.from_numpy(campaign.targets[batch]).to(device))
    mine = torch.from_numpy(row.astype(np.int64)).to(device)
    if config.loss == "sigmoid":
        labels = torch.from_numpy(campaign.label[batch].astype(np.float32)).to(device)
        own = model.score_pairs(clusters, sizes, users, mine)
        return nn.functional.binary_cross_entropy_with_logits(model.logit(own), labels)
    return in_batch_softmax(
        model.logit(model.score(clusters, sizes, users)),
        mine,
        torch.from_numpy(campaign.is_known(candidates[:, None], campaign.user[batch][None])).to(device),
    )


def in_batch_softmax(
    logits: Float[Tensor, "c b"], mine: Int[Tensor, b], known: Bool[Tensor, "c b"]
) -> Float[Tensor, ""]:
    """Cross entropy of each clicked sample, half against the batch's other users, half against its other candidates.

    Args:
        logits: of every candidate for every user of the batch.
        mine: row of each user's own, clicked candidate.
        known: pairs with a click: no negatives. A seed among the users is masked like any other who clicked.
    """
    own = logits[mine, torch.arange(len(mine), device=logits.device)]
    others = logits.masked_fill(known, -torch.inf)
    over_users = torch.logaddexp(own, torch.logsumexp(others, 1)[mine])
    over_candidates = torch.logaddexp(own, torch.logsumexp(others, 0))
    return (0.5 * (over_users + over_candidates) - own).mean()


@torch.no_grad()
def evaluate_lookalike(
    model: LookalikeModel,
    campaign: Campaign,
    rows: NDArray[np.int64],
    config: TrainingConfig,
    *,
    seed: int,
    device: str,
) -> dict[str, float]:
    """AUC within candidate on the held-out candidates, and the share of dead users.

    The held-out clicks of a candidate are ranked against the held-out users of the others who never clicked it.
    """
    model.eval()
    clustered = cluster_seeds(campaign, model, config, seed=seed, epoch=0, all_seeds=True)
    positive = rows[campaign.label[rows] == 1]
    candidates, row = np.unique(campaign.candidate[positive], return_inverse=True)
    candidates = candidates[:400]
    pool = np.random.default_rng([seed, 4]).permutation(positive)[:4000]
    clusters, sizes = clustered.exact(model, campaign, candidates, device)
    users = model.transform(torch.from_numpy(campaign.targets[pool]).to(device))
    aucs = []
    for i, c in enumerate(candidates):
        mine = positive[row == i]
        score = model.score(clusters[i : i + 1], sizes[i : i + 1], users)[0].cpu().numpy()
        own_users = model.transform(torch.from_numpy(campaign.targets[mine]).to(device))
        own = model.score(clusters[i : i + 1], sizes[i : i + 1], own_users)[0].cpu().numpy()
        others = np.sort(score[~campaign.is_known(np.int64(c), campaign.user[pool])])
        if len(others):
            below = np.searchsorted(others, own, "left") + np.searchsorted(others, own, "right")
            aucs.append(float(below.mean()) / (2 * len(others)))
    dead = float((users.abs().sum(1) == 0).float().mean())
    return {"validation_auc": float(np.mean(aucs)) if aucs else 0.5, "dead_users": dead}


def _split(campaign: Campaign, config: TrainingConfig, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from and rows of held-out candidates; softmax learns from clicks alone."""
    n = len(campaign.item)
    held = np.zeros(n, bool)
    if n > 1:
        held[np.random.default_rng([seed, 5]).permutation(n)[: max(1, round(n * config.validation))]] = True
    learn = ~held[campaign.candidate]
    if config.loss == "softmax":
        learn &= campaign.label == 1
    if not (learn & (campaign.label == 1)).any():
        raise DataError("no clicked sample is left to train stage 2 on", "train on a longer log")
    return np.flatnonzero(learn), np.flatnonzero(held[campaign.candidate])


def _stale(rows: list[dict[str, float]], patience: int) -> bool:
    scores = [r["validation_auc"] for r in rows]
    return len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])


def _batches(rows: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    order = rng.permutation(rows)
    for start in range(0, len(order), size):
        yield order[start : start + size]
