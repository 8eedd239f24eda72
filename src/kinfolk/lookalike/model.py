"""Stage 2 of RALM: seeds' clusters and a target user -> score (KDD 2019, eq. 2 and 9 to 11).

`LookalikeModel` scores blocks: C candidates (their clusters) against B users. One fully connected layer with ReLU,
shared by both towers, maps the universal embedding x in R^m to the look-alike embedding E in R^h.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinfolk.lookalike.attention import GlobalAttention, LocalAttention, OrderedAttention, masked_softmax
from kinfolk.lookalike.config import LookalikeConfig
from kinfolk.lookalike.own_crowd import own_crowd
from kinfolk.lookalike.weights import EPSILON
from kinfolk.nn.product import product
from kinfolk.nn.segment_mean import segment_mean
from kinfolk.nn.unit import unit
from kinfolk.nn.weighted_sum import weighted_sum


class LookalikeModel(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: LookalikeConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.Linear(config.m, config.h)
        self.activation = nn.PReLU() if config.activation == "prelu" else nn.ReLU()
        self.dropout = nn.Dropout(config.dropout)
        self.local = LocalAttention(config.h, config.learned_temperature, config.local_gain)
        self.global_ = (
            GlobalAttention(config.h, config.attention_size)
            if config.global_attention == "lin"
            else OrderedAttention(config.h, config.k)
        )
        scale = 2.3 if config.learned_scale else 0.0  # exp(2.3) = 10: cosines of +-0.1 then move the odds by e
        self.log_scale = nn.Parameter(torch.tensor(scale), requires_grad=config.learned_scale)
        self.bias = nn.Parameter(torch.tensor(0.0), requires_grad=config.learned_scale)

    def transform(self, x: Float[Tensor, "*n m"]) -> Float[Tensor, "*n h"]:
        """Look-alike embeddings E of universal embeddings x: the layer both towers share."""
        out: Tensor = self.activation(product(self._input(x), self.layer.weight, self.layer.bias))
        return out

    def means(self, x: Float[Tensor, "n m"], offsets: Int[Tensor, s1]) -> Float[Tensor, "s h"]:
        """Means of T(x) over segments x[offsets[s]:offsets[s + 1]], 0 for an empty one."""
        if self.config.activation == "relu":
            return segment_mean(product(self._input(x), self.layer.weight), offsets, relu=True, bias=self.layer.bias)
        return segment_mean(self.transform(x), offsets)

    def _input(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(unit(x) if self.config.unit_input else x)
        return out

    @torch.no_grad()
    def centre(self, x: Float[Tensor, "n m"]) -> None:
        """Start at the average: E = x - the mean of these, linear, with attentions that weigh all seeds the same."""
        nn.init.eye_(self.layer.weight)
        mean = (unit(x) if self.config.unit_input else x).mean(0)
        self.layer.bias.copy_(-(self.layer.weight @ mean))
        assert isinstance(self.activation, nn.PReLU)  # the configuration sees to it
        self.activation.weight.fill_(1.0)
        self.global_.start_even()

    def score(
        self,
        clusters: Float[Tensor, "c k h"],
        sizes: Float[Tensor, "c k"],
        users: Float[Tensor, "b h"],
    ) -> Float[Tensor, "c b"]:
        """Eq. 2 for every candidate and user: `alpha cos(E_u, E_global) + beta cos(E_u, E_local)`.

        Args:
            clusters: means of transformed seeds.
            sizes: seeds in each cluster, 0 for padding.
            users: transformed target users E_u.
        """
        valid = sizes > 0
        if self.config.pooling == "average":
            share = sizes / sizes.sum(-1, keepdim=True).clamp_min(1.0)
            return self._similarity(users, torch.einsum("ck,ckh->ch", share, clusters))
        from_size = torch.log(sizes.clamp_min(1.0)) if self.config.size_aware else torch.zeros_like(sizes)
        total = torch.zeros(len(clusters), len(users), dtype=users.dtype, device=users.device)
        if self.config.alpha:
            weights = self.global_(clusters, from_size, valid)
            total = total + self.config.alpha * self._similarity(users, torch.einsum("ck,ckh->ch", weights, clusters))
        if self.config.beta:
            logits = self.local.logits(clusters, users) + from_size[:, None]
            weights = masked_softmax(logits, valid[:, None].expand(logits.shape))
            total = total + self.config.beta * self._local_similarity(users, clusters, weights)
        return total

    def score_pairs(
        self,
        clusters: Float[Tensor, "c k h"],
        sizes: Float[Tensor, "c k"],
        users: Float[Tensor, "b h"],
        mine: Int[Tensor, " b"],
    ) -> Float[Tensor, " b"]:
        """`score` of each user against one crowd alone, `mine` (int64, a row of clusters); arguments as there."""
        valid = sizes > 0
        if self.config.pooling == "average":
            share = sizes / sizes.sum(-1, keepdim=True).clamp_min(1.0)
            return self._along(users, weighted_sum(share, clusters).index_select(0, mine))
        from_size = torch.log(sizes.clamp_min(1.0)) if self.config.size_aware else torch.zeros_like(sizes)
        total = torch.zeros(len(users), dtype=users.dtype, device=users.device)
        if self.config.alpha:
            crowd = weighted_sum(self.global_(clusters, from_size, valid), clusters)
            total = total + self.config.alpha * self._along(users, crowd.index_select(0, mine))
        if self.config.beta:
            queries = self.local.queries(users)
            crowd = own_crowd(clusters, queries, mine, from_size, valid, self.local.temperature)
            total = total + self.config.beta * self._along(users, crowd)
        return total

    def logit(self, score: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Log-odds of a click; its sigmoid is the `probability`. Ranks as `score` does."""
        return torch.exp(self.log_scale) * score + self.bias

    def _similarity(self, users: Tensor, crowd: Tensor) -> Tensor:
        """users [b, h], crowd [c, h] -> [c, b]."""
        if self.config.similarity == "dot":
            return crowd @ users.T
        return unit(crowd) @ unit(users).T

    def _along(self, users: Tensor, crowd: Tensor) -> Tensor:
        """users [b, h], crowd [b, h] -> [b]."""
        if self.config.similarity == "dot":
            return (users * crowd).sum(1)
        return (unit(users) * unit(crowd)).sum(1)

    def _local_similarity(self, users: Tensor, clusters: Tensor, weights: Tensor) -> Tensor:
        """cos(E_u, sum_j w_j E_s[j]) from k dot products and the Gram matrix, without an h-wide sum for each pair."""
        if self.config.similarity == "dot":
            return torch.einsum("cbk,ckh,bh->cb", weights, clusters, users)
        along = torch.einsum("ckh,bh->cbk", clusters, unit(users))
        gram = clusters @ clusters.transpose(1, 2)
        square = torch.einsum("cbk,cbk->cb", weights @ gram, weights)
        return (weights * along).sum(-1) / torch.sqrt(square.clamp_min(0.0) + EPSILON**2)
