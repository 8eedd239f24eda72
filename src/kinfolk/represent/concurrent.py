"""Negatives from the same moment: the items that other users of a batch consumed at that time.

In a feed most items live for a day or two. Against negatives from the whole log a model earns its loss by knowing
*when* a user was there, which says nothing of their taste. Batches of neighbours in time take that away: what was on
show is the same for all of them. logQ with an item's share of the batch takes popularity out too (Yi et al., RecSys
2019).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from kinfolk.represent.loss import Contrast


def blocks_in_time(n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """int64[n]: an order of n samples sorted by time in which every `size` are neighbours.

    Where blocks begin changes from draw to draw, and so does their order; a shorter rest comes last.
    """
    whole = n // size
    if whole == 0:
        return np.arange(n)
    shift = int(rng.integers(n - whole * size + 1))
    blocks = shift + np.arange(whole * size).reshape(whole, size)
    rest = np.concatenate([np.arange(shift), np.arange(shift + whole * size, n)])
    return np.concatenate([blocks[rng.permutation(whole)].ravel(), rest])


def concurrent(user: NDArray[np.int32], rank: NDArray[np.int32]) -> Contrast:
    """The batch's own items as negatives of all its samples; what a user consumed in the batch is none of theirs.

    Args:
        user: int32[B] of every sample.
        rank: int32[B] rank of the item of every sample.
    """
    items, column, count = np.unique(rank, return_inverse=True, return_counts=True)
    log_share = np.log(count / len(rank)).astype(np.float32)
    _, row = np.unique(user, return_inverse=True)
    consumed = np.zeros((row.max() + 1, len(items)), bool)
    consumed[row, column] = True
    return Contrast(
        torch.from_numpy(rank),
        torch.from_numpy(items.astype(np.int32)),
        torch.from_numpy(log_share[column]),
        torch.from_numpy(log_share),
        torch.from_numpy(consumed[row]),
    )
