"""Sampled softmax: which item came next, out of the item and its negatives (`SampledSoftmax`).

Liu et al., KDD 2019, arXiv 1906.05022, section 4.2: logits x_u · e_i, cross entropy, item embeddings free parameters.
With `logq`, every logit is lowered by the log of how often its item is expected among the negatives (Jean et al., ACL
2015), which makes the sampled softmax estimate the full one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinfolk.nn.lookup import dot_rows, mean_rows
from kinfolk.represent.negatives import LogUniform


@dataclass(frozen=True)
class Contrast:
    """Positives and negatives of a batch, and what logQ takes off their logits.

    Args:
        positive: int32[B] rows of the item table.
        negative: int32[B, K], or int32[S] shared by the batch.
        positive_log: float32[B], negative_log: float32 like `negative`; None without correction.
        consumed: bool[B, S], shared negatives that are none for this sample; None: only the positive itself.
    """

    positive: Tensor
    negative: Tensor
    positive_log: Tensor | None = None
    negative_log: Tensor | None = None
    consumed: Tensor | None = None

    def to(self, device: torch.device | str) -> Contrast:
        """The same on another device."""
        rest = [None if t is None else t.to(device) for t in (self.positive_log, self.negative_log, self.consumed)]
        return Contrast(self.positive.to(device), self.negative.to(device), *rest)


def draw(
    rank: NDArray[np.int32],
    ranks: LogUniform,
    rng: np.random.Generator,
    *,
    negatives: int,
    shared: int | None = None,
    logq: bool = False,
) -> Contrast:
    """Draw the negatives of a batch.

    Args:
        rank: int32[B], popularity ranks of the positives.
        ranks: the distribution.
        rng: source of chance.
        negatives: K, drawn for each positive with replacement.
        shared: S distinct negatives for the whole batch instead.
        logq: give the corrections.

    Raises:
        OptionError: fewer than S items.
    """
    if shared is None:
        negative = ranks.sample((len(rank), negatives), rng)
        logs = (ranks.log_expected(rank, negatives), ranks.log_expected(negative, negatives)) if logq else None
    else:
        negative, tries = ranks.sample_unique(shared, rng)
        logs = (ranks.log_expected_unique(rank, tries), ranks.log_expected_unique(negative, tries)) if logq else None
    corrections = (None, None) if logs is None else (torch.from_numpy(logs[0]), torch.from_numpy(logs[1]))
    return Contrast(torch.from_numpy(rank), torch.from_numpy(negative), *corrections)


def sampled_softmax(x: Tensor, table: Tensor, contrast: Contrast, first_row: int = 0) -> Tensor:
    """Cross entropy of every positive against its negatives.

    Args:
        x: float[B, m] users.
        table: float[V, m] item embeddings, item row r at first_row + r.
        contrast: B positives and their negatives; a negative that is the positive itself does not count.

    Returns:
        float[B]; the gradient of `table` is sparse.
    """
    positive, negative = contrast.positive, contrast.negative
    hit = negative == positive[:, None] if contrast.consumed is None else contrast.consumed
    if negative.ndim == 2:
        rows = torch.cat([positive[:, None], negative], dim=1)
        logits = dot_rows(table, x, rows + first_row if first_row else rows)
        right, wrong = logits[:, 0], logits[:, 1:]
        if contrast.negative_log is not None:
            wrong = wrong - contrast.negative_log
        wrong = wrong.masked_fill(hit, -torch.inf)
    else:
        right = dot_rows(table, x, positive[:, None] + first_row).squeeze(1)
        ones = torch.arange(len(negative) + 1, device=x.device)
        wrong = x @ mean_rows(table, negative + first_row, ones).T
        if contrast.negative_log is not None:
            wrong -= contrast.negative_log  # in place, here and below: B x S numbers are the bulk of a step
        wrong.masked_fill_(hit, -torch.inf)
    if contrast.positive_log is not None:
        right = right - contrast.positive_log
    return torch.logsumexp(torch.cat([right[:, None], wrong], dim=1), dim=1) - right
