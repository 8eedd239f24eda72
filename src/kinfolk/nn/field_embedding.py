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
from kinfolk.nn.lookup import mean_rows


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
