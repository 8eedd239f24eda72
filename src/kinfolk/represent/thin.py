"""Histories with items left out at random: what a user clicked is one of many things they might have (`thin_history`).

Without it the encoder learns whole histories by heart; with it every pass over the samples shows other users of the
same taste.
"""

from __future__ import annotations

import numpy as np
import torch

from kinfolk.represent.batch import UserBatch


def thin_history(batch: UserBatch, share: float, n_histories: int, rng: np.random.Generator) -> UserBatch:
    """Leave out a random `share` of the values of the last `n_histories` lookup fields; the order of the rest stays.

    Args:
        batch: on the CPU.
        share: 0 gives the batch itself.
        n_histories: how many of the lookup fields are histories; they come last.
        rng: source of chance.
    """
    if share == 0 or n_histories == 0:
        return batch
    offsets = batch.offsets.numpy()
    column = np.tile(np.arange(batch.n_lookups), len(batch))
    history = np.repeat(column >= batch.n_lookups - n_histories, np.diff(offsets))
    keep = ~history | (rng.random(len(history)) >= share)
    counts = np.concatenate([[0], np.cumsum(keep)])
    index = torch.from_numpy(batch.index.numpy()[keep])
    return UserBatch(index, torch.from_numpy(counts[offsets]), batch.numbers, batch.has_numbers, batch.n_lookups)
