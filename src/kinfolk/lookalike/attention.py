"""Local and global attention over a candidate's clusters (RALM, KDD 2019, eq. 9 and 10; repaired shapes).

Neither output depends on the order of the clusters or on padding. Rows are vectors.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kinfolk.nn.product import product


def masked_softmax(logits: Float[Tensor, "*batch k"], valid: Bool[Tensor, "*batch k"]) -> Float[Tensor, "*batch k"]:
    """Softmax over the valid entries of the last axis; a row without any is all zeros, never NaN."""
    logits = logits.masked_fill(~valid, -torch.inf)
    peak = logits.amax(-1, keepdim=True).clamp_min(torch.finfo(logits.dtype).min)
    weights = torch.exp(logits - peak)
    return weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(logits.dtype).tiny)


class LocalAttention(nn.Module):
    """Eq. 9: `s_j = t * tanh(E_s[j] . W_l E_u)`, weights = softmax(s) over the valid clusters.

    Args:
        h: width of look-alike embeddings.
        learned_temperature: learn t > 0 (starting at 4); else t = 1 as in the paper, where tanh keeps every weight of
            20 clusters under 0.28.
        gain: scale of the initial W_l; near 0 every cluster starts with an equal (size-aware: its seeds') share, and
            the attention departs from the average only as far as data ask for it.
    """

    def __init__(self, h: int, learned_temperature: bool, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(h, h))
        nn.init.xavier_uniform_(self.weight, gain)
        start = torch.tensor(math.log(4.0) if learned_temperature else 0.0)
        self.log_temperature = nn.Parameter(start, requires_grad=learned_temperature)

    @property
    def temperature(self) -> Tensor:
        """Scalar t."""
        return self.log_temperature.exp()

    def logits(self, clusters: Float[Tensor, "c k h"], users: Float[Tensor, "b h"]) -> Float[Tensor, "c b k"]:
        """Attention logits of every cluster for every user: all candidates against all users."""
        keys = clusters @ self.weight
        return self.temperature * torch.tanh(torch.einsum("ckh,bh->cbk", keys, users))

    def queries(self, users: Float[Tensor, "b h"]) -> Float[Tensor, "b h"]:
        """W_l E_u: what clusters are compared with where every user has a crowd of their own (`own_crowd`)."""
        return users @ self.weight.T


class GlobalAttention(nn.Module):
    """Eq. 10 as the self-attention of Lin et al. 2017: `g_j = w_c . tanh(W_g E_s[j])`, weights = softmax(g)."""

    def __init__(self, h: int, a: int) -> None:
        super().__init__()
        self.inner = nn.Linear(h, a, bias=False)
        self.outer = nn.Linear(a, 1, bias=False)

    def forward(
        self, clusters: Float[Tensor, "c k h"], from_size: Float[Tensor, "c k"], valid: Bool[Tensor, "c k"]
    ) -> Float[Tensor, "c k"]:
        """Every cluster's weight; `from_size` is added to the logits."""
        logits: Tensor = self.outer(torch.tanh(product(clusters, self.inner.weight)))
        return masked_softmax(logits.squeeze(-1) + from_size, valid)

    @torch.no_grad()
    def start_even(self) -> None:
        """Before training every cluster weighs the same (size-aware: as its seeds)."""
        nn.init.zeros_(self.outer.weight)


class OrderedAttention(nn.Module):
    """Eq. 10 as `W_c softmax(tanh(E_s W_g) E_s^T) E_s`: each cluster attends to all, and a weight for each place adds
    them up. Which cluster has which place is the clustering's whim, so this is for comparison with `GlobalAttention`.
    """

    def __init__(self, h: int, k: int) -> None:
        super().__init__()
        self.inner = nn.Linear(h, h, bias=False)
        self.outer = nn.Linear(k, 1, bias=False)

    def forward(
        self, clusters: Float[Tensor, "c k h"], from_size: Float[Tensor, "c k"], valid: Bool[Tensor, "c k"]
    ) -> Float[Tensor, "c k"]:
        """Every cluster's weight, of any sign; `from_size` is added to the logits."""
        logits = torch.tanh(self.inner(clusters)) @ clusters.transpose(1, 2) + from_size[:, None]
        each = masked_softmax(logits, valid[:, None].expand(logits.shape))
        return ((self.outer.weight[0, : clusters.shape[1]] * valid)[:, None] @ each).squeeze(1)

    @torch.no_grad()
    def start_even(self) -> None:
        """Before training every cluster attends evenly (size-aware: by seeds), and every place counts the same."""
        nn.init.zeros_(self.inner.weight)
        self.outer.weight.fill_(1 / self.outer.in_features)
