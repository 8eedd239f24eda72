"""The look-alike score in a click-rate ranker's list: `reranked` (Liu et al., KDD 2019, section 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def reranked(pctr: F64, score: F64, lam: float) -> F64:
    """float64[..., C]: pctr · (1 + lam · score), by which a list is ordered anew.

    An item without a score, for it has no seeds yet, counts with the mean of the list's: with its pctr alone it would
    be passed by whatever has a score above 0, and new items would never be shown (decision 6). A list without any
    score keeps its pctr.

    Args:
        pctr: float64[..., C], predicted click rates.
        score: float64[..., C], eq. 2; NaN where there is none.
        lam: weight of the score.
    """
    there = ~np.isnan(score)
    count = there.sum(axis=-1, keepdims=True)
    mean = np.where(there, score, 0.0).sum(axis=-1, keepdims=True) / np.maximum(count, 1)
    with np.errstate(over="ignore"):
        return np.asarray(pctr * (1 + lam * np.where(there, score, mean)))
