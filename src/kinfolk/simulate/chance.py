"""Random numbers that belong to what they decide: the same user, item and moment draw the same in every run.

So two arms, or two runs that differ in one setting, see the same luck wherever they do the same (common random
numbers), and what differs between them is the setting. A hash (splitmix64) in place of a generator's state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN, _A, _B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def uniform(seed: int, purpose: int, *keys: ArrayLike) -> NDArray[np.float64]:
    """Numbers strictly between 0 and 1, one for each combination of `keys` (whole numbers, broadcast together).

    Args:
        seed, purpose: what tells worlds, and uses within a world, apart.
        keys: int arrays that broadcast; the result has their common shape.
    """
    with np.errstate(over="ignore"):
        state = _mix(np.asarray(seed % 2**63, np.uint64) * _GOLDEN + np.uint64(purpose))
        for key in keys:
            state = _mix((state ^ np.asarray(key).astype(np.uint64)) + _GOLDEN)
    return np.asarray(((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * _A
    z = (z ^ (z >> np.uint64(27))) * _B
    return np.asarray(z ^ (z >> np.uint64(31)))
