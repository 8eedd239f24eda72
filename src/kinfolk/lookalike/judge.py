"""How well user vectors tell crowds apart before any stage 2 is trained: `crowd_auc`.

Stage 1 is trained to name the next click, yet what is asked of it is that people who click the same things lie close to
each other. Its loss on later clicks can get worse from the first pass on (new items, other popularity) while that still
gets better; so this is what chooses its epoch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.campaign import Campaign, CampaignConfig

JUDGED = CampaignConfig(max_seeds=50, max_samples=5_000, use_impressions=False, negatives=1)
"""A campaign small enough to be embedded after every epoch."""


def crowd_auc(campaign: Campaign) -> float:
    """Mean AUC over candidates of the cosine to the mean of the seeds: who clicked next against other candidates'.

    Vectors are centred at the samples' mean, half whitened (inverse square root of the covariance plus as much again in
    all directions) and scaled to length one: stage 2 can learn such a transform; without it one strong direction hides
    what the others have gained. 0.5 where nothing can be compared.

    Args:
        campaign: its universal embeddings are judged; only its clicked samples are used.
    """
    clicked = np.flatnonzero(campaign.label == 1)
    candidate, user = campaign.candidate[clicked], campaign.user[clicked]
    if len(clicked) == 0:
        return 0.5
    centre = campaign.targets[clicked].mean(axis=0)
    transform = _half_whitening(campaign.targets[clicked] - centre)
    users = _unit((campaign.targets[clicked] - centre) @ transform)
    seeds = _unit((campaign.seeds - centre) @ transform)
    aucs = []
    for c in np.unique(candidate):
        crowd = seeds[campaign.offsets[c] : campaign.offsets[c + 1]].mean(axis=0)
        scores = users @ crowd
        others = np.sort(scores[~campaign.is_known(np.int64(c), user)])
        own = scores[candidate == c]
        if len(others):
            below = np.searchsorted(others, own, "left") + np.searchsorted(others, own, "right")
            aucs.append(float(below.mean()) / (2 * len(others)))
    return float(np.mean(aucs)) if aucs else 0.5


def _half_whitening(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[m, m] of centred vectors float32[n, m]."""
    values, vectors = np.linalg.eigh((x.T @ x).astype(np.float64) / len(x))
    scale = 1 / np.sqrt(np.maximum(values, 0) + values.mean() + 1e-12)
    return np.asarray((vectors * scale) @ vectors.T, np.float32)


def _unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12), np.float32)
