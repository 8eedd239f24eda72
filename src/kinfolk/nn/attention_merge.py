"""The attention merge layer of RALM's first stage: fields in, one vector a user and the weight of every field out.

Liu et al., KDD 2019, arXiv 1906.05022, section 4.2. Their eq. 5 prints shapes that do not give one weight a field; used
here:

    U = tanh(H W1)          W1: [m, a]    U: [n, a]
    w = softmax(U w2)       w2: [a]       w: [n]     over the fields that have a value
    M = Σ_i w_i H_i                       M: [m]
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kinfolk.nn.weighted_sum import weighted_sum


class AttentionMerge(nn.Module):
    """Weigh a user's fields and add them up.

    Args:
        embedding_size: m, length of every field's vector.
        attention_size: a, width of the hidden layer that gives the weights.
    """

    def __init__(self, embedding_size: int, attention_size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(embedding_size, attention_size, bias=False)
        self.weight = nn.Linear(attention_size, 1, bias=False)
        self.nothing = nn.Parameter(torch.randn(embedding_size) * embedding_size**-0.5)

    def logits(self, H: Tensor) -> Tensor:
        """float[...] of vectors float[..., m]: U w2, but for a constant; the softmax of these are the weights."""
        # tanh(x) = 2 sigmoid(2x) - 1, which torch computes several times faster; the -1 moves all fields alike
        scaled: Tensor = 2 * self.weight(torch.sigmoid(2 * self.hidden(H))).squeeze(-1)
        return scaled

    def weights(self, logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of fields.

        Args:
            logits: float[B, n].
            present: bool[B, n], False where a user has no value in a field.

        Returns:
            w float[B, n] and what of M no field says, float[B, m]: `nothing` where a user has none, else 0.
        """
        some = present.any(dim=1, keepdim=True)
        logits = logits.masked_fill(~present & some, -torch.inf)  # a row of -inf alone would be NaN
        return torch.softmax(logits, dim=1) * some, (~some) * self.nothing

    def forward(self, H: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Merge the fields.

        Args:
            H: float[B, n, m], a vector a field, finite where absent too.
            present: bool[B, n], False where a user has no value in a field.

        Returns:
            M float[B, m] and w float[B, n]. w is 0 for absent fields and sums to 1, except that a user without any
            field has w = 0 and the learned vector `nothing` for M.
        """
        w, nothing = self.weights(self.logits(H), present)
        return weighted_sum(w, H) + nothing, w
