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
from kinfolk.nn.mlp import mlp
from kinfolk.represent.batch import UserBatch
from kinfolk.schema import Continuous, Schema


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the encoder.

    Args:
        embedding_size: m, length of every field's vector and of x_u.
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

    def __post_init__(self) -> None:
        if self.merge not in ("attention", "concat"):
            raise OptionError(f"merge is {self.merge!r}", "use 'attention' or 'concat'")
        if min(self.embedding_size, self.attention_size, *self.hidden, 1) < 1:
            raise OptionError("a layer of the encoder has no width", "give every size a value of at least 1")
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

    def __init__(self, schema: Schema, config: EncoderConfig, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.schema, self.config, m = schema, config, config.embedding_size
        lookups, numbers = lookup_fields(schema), number_fields(schema)
        self.field_names = (*lookups, *(("numbers",) if numbers else ()))
        if not self.field_names:
            raise OptionError("the schema has no field that describes a user", "declare a user field or a history")
        self.fields = FieldEmbedding([sizes[name] for name in lookups], m, config.init_std) if lookups else None
        self.numbers = nn.Linear(len(numbers), m) if numbers else None
        self.merge = AttentionMerge(m, config.attention_size) if config.merge == "attention" else None
        self.mlp = mlp(m if self.merge else m * len(self.field_names), config.hidden, m, config.dropout)

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
        H, present = self.lookups(batch)
        if self.merge is None:
            if return_weights:
                raise OptionError(
                    "merge='concat' has no field weights", "use merge='attention' to have users explained"
                )
            x: Tensor = self.mlp(H.flatten(1))
            return x
        M, w = self.merge(H, present)
        x = self.mlp(M)
        return (x, w) if return_weights else x

    def lookups(self, batch: UserBatch) -> tuple[Tensor, Tensor]:
        """H float[B, n, m] and present bool[B, n]."""
        H: list[Tensor] = []
        present: list[Tensor] = []
        if self.fields is not None:
            looked_up, some = self.fields(batch.index, batch.offsets)
            H.append(looked_up)
            present.append(some)
        if self.numbers is not None:
            some = batch.has_numbers[:, None]
            H.append((self.numbers(batch.numbers) * some)[:, None])
            present.append(some)
        return (H[0], present[0]) if len(H) == 1 else (torch.cat(H, dim=1), torch.cat(present, dim=1))
