"""Local and global attention over a candidate's clusters (RALM, KDD 2019, eq. 9 and 10; repaired shapes).

Neither output depends on the order of the clusters or on padding. Rows are vectors.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


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

    def own_logits(self, clusters: Float[Tensor, "b k h"], users: Float[Tensor, "b 1 h"]) -> Float[Tensor, "b k"]:
        """Attention logits of each crowd's clusters for the user beside it: W_l E_u first, one vector a user."""
        queries = users @ self.weight.T
        return self.temperature * torch.tanh((clusters @ queries.transpose(1, 2)).squeeze(-1))


class GlobalAttention(nn.Module):
    """Eq. 10 as the self-attention of Lin et al. 2017: `g_j = w_c . tanh(W_g E_s[j])`, weights = softmax(g)."""

    def __init__(self, h: int, a: int) -> None:
        super().__init__()
        self.inner = nn.Linear(h, a, bias=False)
        self.outer = nn.Linear(a, 1, bias=False)

    def logits(self, clusters: Float[Tensor, "c k h"]) -> Float[Tensor, "c k"]:
        """Attention logits of every cluster."""
        out: Tensor = self.outer(torch.tanh(self.inner(clusters)))
        return out.squeeze(-1)
