"""Candidates in bytes, laid out for a fast first look: `Codes`, a quarter of the memory that float32 takes.

A cluster's centroid c is stored as centre + low + step · code, with one byte a component and one centre for all, as
crowds of one model point much the same way. `radius` says how far any product with c may lie from the product that the
exact scorer computes. 32 candidates form a tile, whose numbers lie side by side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.lanes import LANES

F32 = NDArray[np.float32]

LOW, STEP, RADIUS, AHEAD, BIAS = range(5)
"""What `Codes.facts` holds of a cluster."""
OFFSET, LOCAL, SIZE = range(3)
"""What `Codes.whole` holds of a candidate."""

_LEAST, _MOST = 1e-12, 1e15  # lengths between which no square leaves float32
_ULP = 2.0**-23
_TINY = 1e-300


@dataclass(frozen=True)
class Codes:
    """C candidates of k clusters in T = ⌈C / 32⌉ tiles; d is the width h, rounded up to an even number.

    Args:
        bytes: uint8[T, k + 1, d / 2, 32, 2]; row k is `Index.linear`.
        facts: float32[T, 5, k + 1, 32]: low, step, radius, the product with the direction of the candidate's centroids
            added up with weights e^bias, the bias of the local logit.
        whole: float32[T, 3, 32]: the offset, the weight of the local cosine, and how large a score can be in all.
        longest: float32[T, 32], the length of the longest centroid; infinite where lengths or their squares leave
            float32, which no bound covers.
        centre: float32[2, h], of the clusters and of `Index.linear`.
    """

    bytes: NDArray[np.uint8]
    facts: F32
    whole: F32
    longest: F32
    centre: F32

    @classmethod
    def build(cls, centroids: F32, linear: F32, bias: F32, offset: F32, local: F32) -> Codes:
        """From what an `Index` holds: centroids float32[C, k, h], linear float32[C, h], bias float32[C, k], offset and
        local float32[C], the latter of one sign."""
        count, k, h = centroids.shape
        tiles = -(-count // LANES)
        made = cls(
            np.zeros((tiles, k + 1, -(-h // 2), LANES, 2), np.uint8),
            np.zeros((tiles, 5, k + 1, LANES), np.float32),
            np.zeros((tiles, 3, LANES), np.float32),
            np.zeros((tiles, LANES), np.float32),
            np.zeros((2, h), np.float32),
        )
        exact = linear.astype(np.float64)
        size = np.sqrt(np.einsum("ch,ch->c", exact, exact)) + np.abs(offset) + np.abs(local)
        for row, values in ((OFFSET, offset), (LOCAL, local), (SIZE, size * (1 + 1e-6))):
            filled = np.zeros(tiles * LANES, np.float32)
            filled[:count] = values
            made.whole[:, row] = filled.reshape(tiles, LANES)
        _find_centre(centroids, linear, made.centre)
        lost = math.sqrt(h) / (2 * largest_code(h)), rounding_of_products(h)
        _encode(centroids, linear, bias, made.centre, lost, made.bytes, made.facts, made.longest)
        return made


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _find_centre(centroids: F32, linear: F32, centre: F32) -> None:
    """The means of the clusters that are there and of the linear parts, without those out of float32's reach."""
    sums, counts = np.zeros(centre.shape), np.zeros(2)
    for c in range(len(centroids)):
        for j in range(centroids.shape[1]):
            square = (centroids[c, j] * centroids[c, j]).sum()
            if _LEAST**2 < square < _MOST**2:
                sums[0] += centroids[c, j]
                counts[0] += 1
        sums[1] += linear[c]
        counts[1] += 1
    for row in range(2):
        centre[row] = sums[row] / max(counts[row], 1)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _encode(
    centroids: F32,
    linear: F32,
    bias: F32,
    centre: F32,
    lost: tuple[float, float],
    codes: NDArray[np.uint8],
    facts: F32,
    longest: F32,
) -> None:
    """Fill codes, facts and longest; lost: shares of |c - centre| and of |c| + |centre| that products may be off by."""
    count, k, h = centroids.shape
    mean = np.empty(h)
    x = np.empty((k + 1, h), np.float32)
    gap = np.empty(h)
    far = math.sqrt(max((centre[0] ** 2).sum(), (centre[1] ** 2).sum()))
    for c in range(count):
        tile, lane = c // LANES, c % LANES
        x[:k], x[k] = centroids[c], linear[c]
        most, mean[:] = 0.0, 0.0
        for j in range(k):
            square, share = 0.0, math.exp(bias[c, j])
            for t in range(h):
                square += np.float64(x[j, t]) ** 2
                mean[t] += share * x[j, t]
            most = max(most, math.sqrt(square))
        longest[tile, lane] = most
        if most > _MOST or 0 < most < _LEAST:
            longest[tile, lane] = np.inf
            continue
        size = max(math.sqrt((mean * mean).sum()), _TINY)
        for j in range(k + 1):
            square, away, miss, ahead = 0.0, 0.0, 0.0, 0.0
            for t in range(h):
                value = np.float64(x[j, t])
                gap[t] = value - centre[j // k, t]
                square += value**2
                away += gap[t] ** 2
                ahead += value * mean[t]
            low = np.float32(gap.min())
            step = np.float32((gap.max() - low) / 255)
            step = step if step > 0 else np.float32(1)
            for t in range(h):
                code = min(max(math.floor((gap[t] - low) / step + 0.5), 0.0), 255.0)
                codes[tile, j, t // 2, lane, t % 2] = np.uint8(code)
                miss += (gap[t] - (np.float64(low) + code * np.float64(step))) ** 2
            off = math.sqrt(miss)
            off += lost[0] * (math.sqrt(away) + off) + lost[1] * (math.sqrt(square) + far + off)
            facts[tile, LOW, j, lane], facts[tile, STEP, j, lane] = low, step
            facts[tile, RADIUS, j, lane] = 1.0001 * off
            facts[tile, AHEAD, j, lane] = ahead / size
            facts[tile, BIAS, j, lane] = bias[c, j] if j < k else 0


def largest_code(h: int) -> int:
    """The largest int16 a vector of width h is coded with, so that a sum of products with bytes stays in int32.

    A component is then off by at most half a step, a vector x by at most √h / 2 steps: |x| √h / (2 largest).
    """
    return min(2**15 - 1, (2**31 - 1) // (255 * max(h, 1)))


def rounding_of_products(h: int) -> float:
    """How far float32 may put a product x · c off, as a share of |x|(|c| + |centre|).

    Two parts: the exact scorer's sum of h products (h units of 2⁻²⁴ in any order); putting the products with centre,
    low and step together (low may be as long as c - centre in every component, hence √h).
    """
    return float((h + 8 * math.sqrt(h) + 64) * _ULP)
