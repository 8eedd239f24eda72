"""What the encoder reads: the fields of a batch of users, jagged, as torch tensors (`UserBatch`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class UserBatch:
    """B users with n lookup fields and c numbers.

    Args:
        index: int32[values], rows of the encoder's table.
        offsets: int64[B · n + 1]; bag b · n + i is field i of user b; offsets[0] = 0.
        numbers: float32[B, c], scaled; the training mean where missing.
        has_numbers: bool[B], whether a user has any number.
        n_lookups: n.
    """

    index: Tensor
    offsets: Tensor
    numbers: Tensor
    has_numbers: Tensor
    n_lookups: int

    def __len__(self) -> int:
        return len(self.has_numbers)

    def part(self, first: int, last: int) -> UserBatch:
        """Users [first, last), as views where possible."""
        n = self.n_lookups
        offsets = self.offsets[first * n : last * n + 1]
        start, end = int(offsets[0]), int(offsets[-1])
        return UserBatch(
            self.index[start:end], offsets - start, self.numbers[first:last], self.has_numbers[first:last], n
        )

    def to(self, device: torch.device | str) -> UserBatch:
        """The same batch on another device."""
        return UserBatch(
            self.index.to(device),
            self.offsets.to(device),
            self.numbers.to(device),
            self.has_numbers.to(device),
            self.n_lookups,
        )
