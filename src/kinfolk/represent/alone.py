"""One user -> x_u without torch: what `UserEncoder` computes, for a request that embeds a single user.

A batch of one costs torch some forty dispatches for a few thousand products; here it is one loop over the looked-up
rows and a handful of small matrix products, a tenth of the time. Equal to the encoder's answer up to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinfolk.nn import rows

if TYPE_CHECKING:
    from torch import Tensor

    from kinfolk.represent.encoder import UserEncoder

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Alone:
    """The arrays of an encoder, shared with it; made by `Alone.of`.

    Args:
        table: float32[V, m] rows of all lookup fields; None without such fields.
        numbers: (float32[m, c], float32[m]) of the continuous fields; None without them.
        merge: (float32[m, a], float32[a], float32[m]) of the attention merge layer: first layer, second layer, the
            vector of a user without any field; None where fields are put side by side.
        layers: (float32[out, in], float32[out]) of the MLP.
        latent: the factors float32[D + 2, f], the field of their history, its first row in `table`, and their share of
            the squared length; None where there are none.
        activity: float32[3], as in the encoder; None where it is no factor.
    """

    table: F32 | None
    numbers: tuple[F32, F32] | None
    merge: tuple[F32, F32, F32] | None
    layers: tuple[tuple[F32, F32], ...]
    latent: tuple[F32, int, int, float] | None
    activity: F32 | None

    @classmethod
    def of(cls, encoder: UserEncoder) -> Alone | None:
        """Of a trained encoder; None where its numbers are not float32 in this machine's own memory."""
        import torch
        from torch import nn

        if any(p.device.type != "cpu" or p.dtype != torch.float32 for p in encoder.parameters()):
            return None
        merge, numbers = encoder.merge, encoder.numbers
        return cls(
            None if encoder.fields is None else _array(encoder.fields.weight),
            None if numbers is None else (_array(numbers.weight), _array(numbers.bias)),
            None
            if merge is None
            else (_array(merge.hidden.weight).T, _array(merge.weight.weight)[0], _array(merge.nothing)),
            tuple((_array(f.weight), _array(f.bias)) for f in encoder.mlp if isinstance(f, nn.Linear)),
            None
            if encoder.factors is None
            else (_array(encoder.factors), *encoder.history_rows, encoder.config.factors_share),
            None if encoder.activity is None else _array(encoder.activity),
        )

    def __call__(
        self, index: NDArray[np.int32], offsets: NDArray[np.int64], numbers: F32, has: bool
    ) -> tuple[F32, F32]:
        """Embed one user; arguments as in `UserBatch` with B = 1.

        Args:
            index: int32[values], rows of the table.
            offsets: int64[n + 1] of the n lookup fields.
            numbers: float32[c]. has: whether the user has any number.

        Returns:
            x float32[m], and the weight of every field float32[fields], empty where fields are put side by side.
        """
        n = len(offsets) - 1
        out_of = self.numbers[0].shape[0] if self.table is None and self.numbers is not None else 0
        width = out_of if self.table is None else self.table.shape[1]
        H = np.zeros((n + (self.numbers is not None), width), np.float32)
        present = np.zeros(len(H), np.bool_)
        if self.table is not None:
            rows.sum_rows(self.table, index, offsets, True, H[:n], 0, n)
            present[:n] = np.diff(offsets) > 0
        if self.numbers is not None and has:
            H[n] = self.numbers[0] @ numbers + self.numbers[1]
            present[n] = True
        weights = np.zeros(0, np.float32)
        if self.merge is None:
            x = H.ravel()
        else:
            hidden, last, x = self.merge
            weights = np.zeros(len(H), np.float32)
            if present.any():
                logits = np.tanh(H[present] @ hidden) @ last
                share = np.exp(logits - logits.max())
                weights[present] = share / share.sum()
                x = weights @ H
        for i, (matrix, bias) in enumerate(self.layers):
            x = matrix @ (x if i == 0 else np.maximum(x, 0)) + bias
        if self.latent is not None:
            factors, field, first, share = self.latent
            clicked = index[offsets[field] : offsets[field + 1]] - first
            own = _unit(factors[clicked].sum(axis=0))
            if self.activity is not None:
                own = np.append(own, self._active(len(clicked)))
            x = np.concatenate([_unit(x) * (1 - share) ** 0.5, own * share**0.5])
        return np.asarray(x, np.float32), weights

    def _active(self, length: int) -> float:
        """The last factor of a user whose history is so long."""
        assert self.activity is not None  # it is a factor
        mean, scale, most = self.activity.tolist()
        return min(max((math.log1p(length) - mean) * scale, -most), most) if length else 0.0


def _unit(x: F32) -> F32:
    return np.asarray(x / max(float(np.linalg.norm(x)), 1e-6), np.float32)


def _array(t: Tensor) -> F32:
    return np.asarray(t.detach().numpy())
