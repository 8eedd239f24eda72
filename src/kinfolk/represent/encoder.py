"""The user encoder of RALM's first stage: fields -> universal user embedding x_u.

Liu et al., KDD 2019, arXiv 1906.05022, section 4.2: every field becomes a vector of one length, the attention merge
layer weighs and adds them, an MLP with a linear last layer gives x_u. `merge="concat"` puts the fields side by side
instead and is the user tower of Covington et al., "Deep Neural Networks for YouTube Recommendations", RecSys 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, overload

import torch
from torch import Tensor, nn

from kinfolk.errors import OptionError
from kinfolk.nn.attention_merge import AttentionMerge
from kinfolk.nn.field_embedding import FieldEmbedding
from kinfolk.nn.lookup import mean_rows
from kinfolk.nn.mlp import mlp
from kinfolk.nn.unit import unit
from kinfolk.represent.batch import UserBatch
from kinfolk.schema import Continuous, Schema


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the encoder.

    Args:
        embedding_size: m, length of x_u, and of every field's vector where there are no factors.
        factors: f, how many of the m are a linear path beside the fields: latent factors of the items in the (first)
            history, see `kinfolk.represent.factors`. Fields' vectors and the output of the MLP are of length m - f.
        factors_share: of the squared length of x_u, which then is 1 (a little more or less with `activity`).
        activity: the last of the factors is how much the user has clicked: the logarithm of the length of the (first)
            history, standardised over users; 0 for who has none.
        attention_size: a, width of the hidden layer that weighs the fields.
        hidden: widths of the hidden layers of the MLP.
        merge: "attention" weighs and adds the fields, "concat" puts them side by side.
        dropout: share of hidden activations of the MLP dropped in training.
        init_std: standard deviation of the initial embeddings.
    """

    embedding_size: int = 128
    attention_size: int = 64
    hidden: tuple[int, ...] = (128,)
    merge: Literal["attention", "concat"] = "attention"
    dropout: float = 0.0
    init_std: float = 0.05
    factors: int = 0
    factors_share: float = 0.25
    activity: bool = False

    def __post_init__(self) -> None:
        if self.merge not in ("attention", "concat"):
            raise OptionError(f"merge is {self.merge!r}", "use 'attention' or 'concat'")
        if min(self.embedding_size, self.attention_size, *self.hidden, 1) < 1:
            raise OptionError("a layer of the encoder has no width", "give every size a value of at least 1")
        if not 0 <= self.factors < self.embedding_size or not 0 < self.factors_share < 1:
            raise OptionError(
                f"factors is {self.factors} of {self.embedding_size}, their share {self.factors_share}",
                "use fewer factors than the embedding is long, and a share between 0 and 1",
            )
        if self.activity and self.factors < 2:
            raise OptionError(f"activity is one of the factors, of which there are {self.factors}", "use at least 2")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout is {self.dropout}", "use a share from 0 up to, not including, 1")


def lookup_fields(schema: Schema) -> tuple[str, ...]:
    """Names of the fields that are looked up, in the order of the table: user table, context, histories."""
    return tuple(f.name for f in schema.user_fields() if not isinstance(f, Continuous))


def number_fields(schema: Schema) -> tuple[str, ...]:
    """Names of the continuous fields, which together are one field."""
    return tuple(f.name for f in schema.user if isinstance(f, Continuous))


class UserEncoder(nn.Module):
    """Fields of users -> x.

    Args:
        schema: which fields there are.
        config: shape of the encoder.
        sizes: number of codes of every lookup field, by name (`UserFeatures.sizes`).

    `field_names` names the columns of the field weights: the lookup fields, then "numbers" if there are continuous
    fields.
    """

    factors: Tensor | None
    activity: Tensor | None

    def __init__(self, schema: Schema, config: EncoderConfig, sizes: Mapping[str, int]) -> None:
        super().__init__()
        n_factors = config.factors if schema.history else 0
        self.schema, self.config = schema, config
        self.deep_size = m = config.embedding_size - n_factors
        lookups, numbers = lookup_fields(schema), number_fields(schema)
        self.field_names = (*lookups, *(("numbers",) if numbers else ()))
        if not self.field_names:
            raise OptionError("the schema has no field that describes a user", "declare a user field or a history")
        self.fields = FieldEmbedding([sizes[name] for name in lookups], m, config.init_std) if lookups else None
        self.numbers = nn.Linear(len(numbers), m) if numbers else None
        self.merge = AttentionMerge(m, config.attention_size) if config.merge == "attention" else None
        self.mlp = mlp(m if self.merge else m * len(self.field_names), config.hidden, m, config.dropout)
        active = config.activity and n_factors > 0
        self.register_buffer("activity", torch.zeros(3) if active else None)
        latent = n_factors - active
        self.register_buffer("factors", torch.zeros(sizes[schema.history[0].name], latent) if n_factors else None)
        if n_factors:
            history = schema.history[0].name
            field = lookups.index(history)
            self.history_rows = field, sum(sizes[name] for name in lookups[:field])

    @overload
    def forward(self, batch: UserBatch, return_weights: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, batch: UserBatch, return_weights: Literal[True]) -> tuple[Tensor, Tensor]: ...

    def forward(self, batch: UserBatch, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Embed users.

        Args:
            batch: B users.
            return_weights: also return how much each field counted for each user.

        Returns:
            x float[B, m]; with `return_weights` also w float[B, n], n = len(field_names), rows summing to 1 (0 for a
            user without any field).

        Raises:
            OptionError: weights are asked of an encoder with merge="concat", which has none.
        """
        if self.merge is None and return_weights:
            raise OptionError("merge='concat' has no field weights", "use merge='attention' to have users explained")
        x, w = self._deep(batch)
        if self.factors is not None:
            share = self.config.factors_share
            x = torch.cat([unit(x) * (1 - share) ** 0.5, self.latent(batch) * share**0.5], dim=1)
        if return_weights:
            assert w is not None  # of the merge layer
            return x, w
        return x

    def deep(self, batch: UserBatch) -> Tensor:
        """float[B, m - f]: what the fields say, before it is scaled and put beside the factors."""
        return self._deep(batch)[0]

    def latent(self, batch: UserBatch) -> Tensor:
        """float[B, f]: the sum of the factors of each user's history, of length one, 0 where nothing is known of it.

        With `activity` the last column says how long the history is.
        """
        assert self.factors is not None  # asked of an encoder that has them
        field, first = self.history_rows
        ends = batch.offsets[field + 1 :: batch.n_lookups]
        starts = batch.offsets[field :: batch.n_lookups][: len(ends)]
        offsets = torch.cat([starts.new_zeros(1), (ends - starts).cumsum(0)])
        at = torch.arange(int(offsets[-1]), device=starts.device)
        at = at + torch.repeat_interleave(starts - offsets[:-1], ends - starts)
        out = unit(mean_rows(self.factors, batch.index[at] - first, offsets))
        if self.activity is None:
            return out
        lengths = (offsets[1:] - offsets[:-1]).to(out.dtype)
        mean, scale, most = self.activity
        active = ((torch.log1p(lengths) - mean) * scale).clamp(-most, most) * (lengths > 0)
        return torch.cat([out, active[:, None]], dim=1)

    def _deep(self, batch: UserBatch) -> tuple[Tensor, Tensor | None]:
        M, w = self.merged(batch)
        return self.mlp(M), w

    def merged(self, batch: UserBatch) -> tuple[Tensor, Tensor | None]:
        """What the MLP reads: M float[B, m] and weights float[B, n], or all fields side by side and None."""
        if self.merge is None:
            return self.lookups(batch)[0].flatten(1), None
        beside = self._numbers(batch)
        if self.fields is None:
            assert beside is not None  # there is a field
            merged: tuple[Tensor, Tensor] = self.merge(*beside)
            return merged
        return self.fields.merged(self.merge, batch.index, batch.offsets, beside)

    def lookups(self, batch: UserBatch) -> tuple[Tensor, Tensor]:
        """H float[B, n, m] and present bool[B, n]."""
        looked_up = [] if self.fields is None else [self.fields(batch.index, batch.offsets)]
        beside = self._numbers(batch)
        H, present = zip(*looked_up, *([] if beside is None else [beside]), strict=True)
        return (H[0], present[0]) if len(H) == 1 else (torch.cat(H, dim=1), torch.cat(present, dim=1))

    def _numbers(self, batch: UserBatch) -> tuple[Tensor, Tensor] | None:
        """float[B, 1, m] of all continuous fields, and bool[B, 1] where they are present; None: there are none."""
        if self.numbers is None:
            return None
        there = batch.has_numbers[:, None]
        return (self.numbers(batch.numbers) * there)[:, None], there
