"""How much a figure that rests on n seeds counts beside one that rests on none: `share_of`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def share_of(seeds: NDArray[np.integer] | int, half: float) -> NDArray[np.float64]:
    """n / (n + half): float64, same shape as seeds; 0 seeds count nothing, `half` of them one half."""
    n = np.asarray(seeds, np.float64)
    return np.asarray(n / np.maximum(n + half, 1e-300))
