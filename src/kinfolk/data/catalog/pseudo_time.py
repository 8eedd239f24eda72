"""Moments for data that has only an order within each user: every user's list is spread over the same span.

A split in time then cuts each user's list in parts. A split by position would leave only the most active users in the
later part, and a running number over all users would split by user.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread(
    position: NDArray[np.integer], length: NDArray[np.integer], start: float, end: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """float64[n] in [start, end): entry `position` (int[n], from 0) of a list of `length` (int[n]) falls at a random
    moment of its share of the span; so the order in the list is kept and lists of one length do not fall together.
    """
    share = (position + rng.random(len(position))) / np.maximum(length, 1)
    moments: NDArray[np.float64] = np.minimum(start + (end - start) * share, np.nextafter(end, start))  # < end, rounded
    return moments
