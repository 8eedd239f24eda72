"""A campaign's seeds, clustered with the current weights: what one epoch of stage 2 sees of every crowd."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinfolk.lookalike.campaign import Campaign
from kinfolk.lookalike.clusters_many import kmeans_many
from kinfolk.lookalike.config import TrainingConfig
from kinfolk.lookalike.members import draw_members, gather_rows
from kinfolk.lookalike.model import LookalikeModel
from kinfolk.nn.segment_mean import segment_mean


@dataclass(frozen=True)
class ClusteredSeeds:
    """order: int64[S'] rows of `campaign.seeds` in use, sorted by (candidate, cluster); start, size: int64[C, k]."""

    order: NDArray[np.int64]
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    def means(
        self,
        model: LookalikeModel,
        campaign: Campaign,
        candidates: NDArray[np.integer],
        config: TrainingConfig,
        rng: np.random.Generator,
        device: str,
    ) -> tuple[Tensor, Tensor]:
        """Clusters [C', k, h] (mean of T(x) over at most `members` drawn of each) and their full sizes [C', k]."""
        start, size = self.start[candidates], self.size[candidates]
        rows, offsets = draw_members(self.order, start, size, config.members, rng)
        clusters = self._pool(model, campaign, rows, offsets, config.centroids, device)
        return clusters.view(*size.shape, -1), torch.from_numpy(size.astype(np.float32)).to(device)

    @torch.no_grad()
    def exact(
        self, model: LookalikeModel, campaign: Campaign, candidates: NDArray[np.integer], device: str
    ) -> tuple[Tensor, Tensor]:
        """As `means`, over all members."""
        start, size = self.start[candidates], self.size[candidates]
        flat = size.ravel()
        offsets = np.concatenate([[0], np.cumsum(flat)])
        rows = self.order[np.arange(offsets[-1]) + np.repeat(start.ravel() - offsets[:-1], flat)]
        clusters = self._pool(model, campaign, rows, offsets, "constant", device)
        return clusters.view(*size.shape, -1), torch.from_numpy(size.astype(np.float32)).to(device)

    @staticmethod
    def _pool(
        model: LookalikeModel,
        campaign: Campaign,
        rows: NDArray[np.int64],
        offsets: NDArray[np.int64],
        centroids: str,
        device: str,
    ) -> Tensor:
        """Clusters of consecutive seeds: float[len(offsets) - 1, h] from the given rows of `campaign.seeds`."""
        x = gather_rows(campaign.seeds, rows).to(device)
        ends = torch.from_numpy(offsets).to(device)
        if centroids == "input":
            return model.transform(segment_mean(x, ends)) * (ends.diff() > 0).unsqueeze(1)
        means = model.means(x, ends)
        return means.detach() if centroids == "constant" else means


@torch.no_grad()
def cluster_seeds(
    campaign: Campaign,
    model: LookalikeModel,
    config: TrainingConfig,
    *,
    seed: int,
    epoch: int,
    step: int = 0,
    all_seeds: bool = False,
) -> ClusteredSeeds:
    """k-means of every candidate's seeds in the transformed space, with the current weights.

    With `seeds_min` each candidate shows only its first n seeds, n log-uniform between `seeds_min` and all.
    """
    was_training = model.training
    model.eval()
    rng = np.random.default_rng([seed, 6, epoch, step])
    count = np.diff(campaign.offsets)
    if config.seeds_min > 0 and not all_seeds:
        low = np.minimum(config.seeds_min, count)
        drawn = np.exp(np.log(low) + rng.random(len(count)) * (np.log(count) - np.log(low)))
        count = np.clip(np.round(drawn).astype(np.int64), 1, count)
    offsets = np.concatenate([[0], np.cumsum(count)])
    rows = np.arange(offsets[-1]) + np.repeat(campaign.offsets[:-1] - offsets[:-1], count)
    device = next(model.parameters()).device
    k = model.config.k
    transformed = torch.cat(
        [model.transform(torch.from_numpy(campaign.seeds[part]).to(device)).cpu() for part in _blocks(rows)]
    ).numpy()
    result = kmeans_many(transformed, offsets, k, seed=seed + epoch, iterations=config.kmeans_iterations)
    cell = np.repeat(np.arange(len(count)), count) * k + result.assignment
    order = np.argsort(cell, kind="stable")
    size = np.bincount(cell, minlength=len(count) * k)
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    model.train(was_training)
    shape = (len(count), k)
    return ClusteredSeeds(rows[order], start.reshape(shape), size.reshape(shape))


def _blocks(rows: NDArray[np.int64], size: int = 65_536) -> list[NDArray[np.int64]]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]
