"""All lookups of all fields in one pass over one table: `FieldEmbedding`.

Every categorical, multivalent or history field owns a stretch of rows of one table; a user's fields are bags of rows,
one bag a field, so that a batch costs one loop over its values whatever the number of fields. A field with one value is
a bag of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from kinfolk.data.vocabulary import UNKNOWN
from kinfolk.nn.attention_merge import AttentionMerge
from kinfolk.nn.lookup import has_kernels, mean_rows, shared_bags, shared_sum
from kinfolk.nn.weighted_sum import weighted_sum


class FieldEmbedding(nn.Module):
    """Vectors of the values of several fields.

    Args:
        sizes: number of codes of every field (missing and unknown included); code c of field i is row `starts[i] + c`.
        embedding_size: m.
        std: standard deviation of the initial values. Unknown values start at zero: until training meets one, it says
            nothing.
    """

    def __init__(self, sizes: Sequence[int], embedding_size: int, std: float) -> None:
        super().__init__()
        self.starts = tuple(accumulate(sizes, initial=0))[:-1]
        self.weight = nn.Parameter(torch.randn(sum(sizes), embedding_size) * std)
        with torch.no_grad():
            for start in self.starts:
                self.weight[start : start + UNKNOWN + 1] = 0

    def forward(self, index: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of every field's values.

        Args:
            index: int32[values], rows of the table.
            offsets: int64[B · n + 1]; bag b · n + i holds the values of field i of user b. An empty bag is a missing
                field.

        Returns:
            H float[B, n, m], 0 where missing, and present bool[B, n].
        """
        n = len(self.starts)
        H = mean_rows(self.weight, index, offsets)
        return H.view(-1, n, H.shape[1]), (offsets.diff() > 0).view(-1, n)

    def merged(
        self, merge: AttentionMerge, index: Tensor, offsets: Tensor, beside: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """What `merge` makes of all fields; on a CPU without a vector for each user's.

        A field with one value is that value's row, whose logit is computed once in a batch however many users have it;
        only fields of several values have vectors of their own.

        Args:
            merge: the merge layer.
            index, offsets: as `forward` takes them.
            beside: vectors float[B, j, m] of further fields and bool[B, j] where they are present.

        Returns:
            M float[B, m] and w float[B, n + j], as `merge` gives them.
        """
        if not has_kernels(self.weight):
            H, present = self(index, offsets)
            if beside is not None:
                H, present = torch.cat([H, beside[0]], dim=1), torch.cat([present, beside[1]], dim=1)
            merged: tuple[Tensor, Tensor] = merge(H, present)
            return merged
        n = len(self.starts)
        present = (offsets.diff() > 0).view(-1, n)
        left, starts, place = shared_bags(index, offsets, len(self.weight))
        if not len(left):  # nobody has a value: one vector, that no weight falls on, stands for all
            left, starts = index.new_zeros(1), offsets.new_tensor([0, 1])
        H = mean_rows(self.weight, left, starts)
        logits = merge.logits(H).index_select(0, place).view(-1, n)
        place = place.view(-1, n)
        if beside is None:
            w, nothing = merge.weights(logits, present)
            return shared_sum(H, place, w) + nothing, w
        vectors, there = beside
        logits = torch.cat([logits, merge.logits(vectors)], dim=1)
        w, nothing = merge.weights(logits, torch.cat([present, there], dim=1))
        return shared_sum(H, place, w[:, :n]) + weighted_sum(w[:, n:], vectors) + nothing, w
