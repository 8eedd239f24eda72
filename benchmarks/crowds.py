"""Candidates for the benchmarks of scoring: centroids of a trained bundle and ReLU'd Gaussians, 20 clusters of 128."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinfolk.data.synthetic import Config, load
from kinfolk.lookalike.index import Index
from kinfolk.training import train

F32 = NDArray[np.float32]
K, H, SEED = 20, 128, 0
_LEAST_SEEDS, _MOST_SEEDS = 30, 400


@dataclass(frozen=True)
class Crowds:
    """An index of C candidates, users float32[U, h], v = W_l E_u of theirs and W_l float32[h, h]."""

    index: Index
    users: F32
    projected: F32
    W_l: F32


def gaussian(candidates: int, users: int) -> Crowds:
    """Centroids and users are Gaussians with negative numbers cut off, W_l Gaussian with |v| about 2.5."""
    rng = np.random.default_rng(SEED)
    centroids = rng.standard_normal((candidates, K, H), dtype=np.float32)
    np.maximum(centroids, 0, out=centroids)
    W_l = (rng.standard_normal((H, H)) / (3 * np.sqrt(H))).astype(np.float32)
    people = np.maximum(rng.standard_normal((users, H), dtype=np.float32), 0)
    everywhere = np.ones((candidates, K), np.bool_)
    index = Index.build(centroids, everywhere, everywhere, centroids.mean(axis=1))
    return Crowds(index, people, people @ W_l.T, W_l)


def trained(candidates: int, users: int) -> Crowds:
    """Clusters of the users of a small synthetic feed, embedded by the default preset as it trains on it.

    A candidate's seeds are 30 to 400 users: of twice as many drawn at random, those most like another one drawn.
    """
    bundle = train(load(Config.small(seed=SEED)), preset="kinfolk", seed=SEED)
    weights, everyone = bundle.weights, np.ascontiguousarray(bundle.lookalike, np.float32)
    rng = np.random.default_rng(SEED)
    sizes = rng.integers(_LEAST_SEEDS, _MOST_SEEDS, candidates)
    seeds = []
    for size in sizes:
        pool = rng.integers(0, len(everyone), 2 * size)
        seeds.append(pool[np.argsort(-(everyone[pool] @ everyone[rng.integers(len(everyone))]))[:size]])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    index = weights.index(weights.snapshots(everyone, np.concatenate(seeds), offsets, seed=SEED, iterations=5))
    people = everyone[rng.integers(0, len(everyone), users)]
    return Crowds(index, people, weights.queries(people), weights.arrays["local"])


def plain_torch(crowds: Crowds, top: int) -> Callable[[F32, F32], tuple[NDArray[np.int64], F32]]:
    """Equations 2, 9 and 10 with tensors, as they are written: a function of users and projections, float32[U, h]."""
    index = crowds.index
    E_s, bias = torch.from_numpy(index.centroids), torch.from_numpy(index.bias)
    linear, offset, local = (torch.from_numpy(a) for a in (index.linear, index.offset, index.local))

    def best(users: F32, projected: F32) -> tuple[NDArray[np.int64], F32]:
        E_u, v = torch.from_numpy(users), torch.from_numpy(projected)
        with torch.inference_mode():
            scores = torch.stack([one(e, p) for e, p in zip(E_u, v, strict=True)])
            found = scores.topk(top, dim=1)
        return found.indices.numpy(), found.values.numpy()

    def one(e: Tensor, v: Tensor) -> Tensor:
        weights = torch.softmax(index.temperature * torch.tanh(E_s @ v) + bias, dim=1)
        E_local = (weights[:, :, None] * E_s).sum(dim=1)
        cosine = torch.nn.functional.cosine_similarity(E_local, e[None])
        return linear @ torch.nn.functional.normalize(e, dim=0) + offset + local * cosine

    return best
