"""How much a user's score can be at most, for every candidate, from bytes instead of floats: `fill_bounds`.

Whoever knows the n-th best exact score needs to compute only those whose bound reaches it, and gets the same result.

**The bound.** For one pair let c_j be the centroids, û = E_u/|E_u|, v = W_l E_u, M the length of the longest c_j, and
let the exact scorer arrive, in float32, at weights w̃_j and products ã_j = c_j·û. From the bytes come a_j with
|a_j - ã_j| ≤ ρ_j = `radius`, and logits that differ from the exact scorer's by at most

    δ_j = |τ| min(2, e_j (1 - th_j² + 0.77 e_j)) + rounding,    e_j = |v| ρ_j,  th_j = tanh(approximate v·c_j),

because the slope of tanh is 1 - tanh² and that changes by at most 4/(3√3) < 0.77 a unit. So, but for a common factor,
which cancels, w̃_j lies between w_j e^-δ_j and w_j e^δ_j, and with g_j = δ_j + δ_j² ≥ e^δ_j - 1 (δ_j ≤ 1.5)

    |w̃_j - w_j| ≤ w_j g_j.

The cosine is N/D, N = Σ w̃_j ã_j, D = |Σ w̃_j c_j|. For any vector z with |z| ≤ 1, D ≥ Σ w̃_j p_j with p_j = c_j·z. Take
t = max(0, Σ w_j a_j / Σ w_j p_j). Then Σ w_j (a_j - t p_j) ≤ 0, and

    N - t D ≤ Σ w̃_j (ã_j - t p_j) ≤ Σ w_j ((1 + g_j) ρ_j + g_j |a_j - t p_j|) =: K,
    D ≥ Σ w_j (p_j - g_j |p_j|) =: L,

so that N/D ≤ t + K/L where L > 0. A negative β turns the signs of û. Rounding: with W = Σ w_j (1 + g_j) and ω = (h +
4k + 64) 2⁻²³ the exact scorer's N is off by at most ωWM and its D² by ω(WM)²; p_j may add 4ωWM to D. Where that
leaves nothing of D, or g_j is too large to be bounded, the bound is infinite. What is linear in û is off by its
radius, the sum of all parts by ω times their sizes. A weight that float32 takes for 0 is less than e⁻⁷⁰ of the
largest, far below ω.

z is the direction of Σ_j e^bias_j c_j, what E_local would be if the user did not count: it is known beforehand. That of
Σ w_j c_j itself, by the Gram matrix, makes D all but exact, and costs more than the exact scores that it saves.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.codes import AHEAD, BIAS, LOCAL, LOW, OFFSET, RADIUS, SIZE, STEP, largest_code
from kinfolk.lookalike.curves import exp, tanh
from kinfolk.lookalike.dots import F32
from kinfolk.lookalike.lanes import LANES, fetching_lane_dots, lane_dots

I16 = NDArray[np.int16]
U8 = NDArray[np.uint8]

_REASSOCIATE = {"reassoc", "nsz", "contract"}
_ZERO, _ONE, _TWO, _FOUR, _HALF = (np.float32(x) for x in (0, 1, 2, 4, 0.5))
_CURVE = np.float32(0.77)
_ALMOST_ONE = np.float32(1.00001)
_TOO_FAR, _ENDLESS = np.float32(1.5), np.float32(1e20)
_INFINITE = np.float32(np.inf)


def coded(vectors: F32, centre: F32) -> tuple[I16, F32]:
    """Users' vectors for `fill_bounds`.

    Args:
        vectors: float32[U, h].
        centre: float32[2, h] of the `Codes`.

    Returns:
        codes int16[U, d], d = h rounded up to even, and facts float32[U, 5]: their step, step times their sum, the
        vector's length, rounded up, and its products with both centres.
    """
    count, h = vectors.shape
    exact = vectors.astype(np.float64)
    step = np.abs(exact).max(axis=1, initial=0) / largest_code(h)
    step[step == 0] = 1
    codes = np.zeros((count, h + h % 2), np.int16)
    codes[:, :h] = np.rint(exact / step[:, None])
    length = np.sqrt(np.einsum("uh,uh->u", exact, exact)) * (1 + 1e-6)
    with np.errstate(over="ignore"):  # an infinite length makes bounds infinite
        facts = np.column_stack([step, step * codes.sum(axis=1), length, exact @ centre.T]).astype(np.float32)
    return codes, facts


@numba.njit(nogil=True, cache=True)
def fill_bounds(
    codes: U8,
    facts: F32,
    longest: F32,
    parts: F32,
    temperature: float,
    h: int,
    units: I16,
    units_facts: F32,
    queries: I16,
    queries_facts: F32,
    lo: int,
    hi: int,
    out: F32,
) -> None:
    """Upper bounds of the float32 scores of U users against the candidates of tiles lo to hi.

    Args:
        codes, facts, longest: the arrays of `Codes`.
        parts: their `whole`.
        temperature: of the local logits.
        h: width of the vectors.
        units, units_facts, queries, queries_facts: û and v of the users, `coded`.
        lo, hi: tiles.
        out: float32[U, C], written for these candidates; infinite where there is no bound.
    """
    k = codes.shape[1] - 1
    with_unit, with_query = np.empty((k + 1, LANES), np.int32), np.empty((k + 1, LANES), np.int32)
    a, th, w = np.empty((k, LANES), np.float32), np.empty((k, LANES), np.float32), np.empty((k, LANES), np.float32)
    g, local = np.empty((k, LANES), np.float32), np.empty(LANES, np.float32)
    omega = np.float32((h + 4 * k + 64) * 2.0**-23)
    sign = -_ONE if parts[:, LOCAL].min() < _ZERO else _ONE
    for tile in range(lo, hi):
        first, size = tile * LANES, min(LANES, out.shape[1] - tile * LANES)
        for u in range(len(units)):
            for j in range(k + 1):
                part, x, y = codes[tile, j], units[u], queries[u]
                if u == 0:
                    fetching_lane_dots(part, x, y, with_unit[j], with_query[j])  # type: ignore[call-arg]
                else:
                    lane_dots(part, x, y, with_unit[j], with_query[j])  # type: ignore[call-arg]
            _dequantised(with_unit[:k], facts[tile], units_facts[u], sign, a)
            _dequantised(with_query[:k], facts[tile], queries_facts[u], _ONE, th)
            tanh(th.reshape(k * LANES))
            _weights(th, facts[tile], queries_facts[u, 2], np.float32(temperature), w, g)
            exp(w.reshape(k * LANES))
            _largest_cosine(w, g, a, facts[tile], longest[tile], omega, local)
            step, total, near = units_facts[u, 0], units_facts[u, 1], units_facts[u, 4]
            for i in range(size):
                middle = near + facts[tile, LOW, k, i] * total + facts[tile, STEP, k, i] * (step * with_unit[k, i])
                off = facts[tile, RADIUS, k, i] * _ALMOST_ONE
                whole = middle + off + parts[tile, OFFSET, i] + omega * parts[tile, SIZE, i]
                bound = whole + abs(parts[tile, LOCAL, i]) * local[i]
                out[u, first + i] = bound if bound == bound else _INFINITE


@numba.njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _dequantised(sums: NDArray[np.int32], facts: F32, vector: F32, sign: np.float32, out: F32) -> None:
    """Products of a vector with centroids from whole-number sums int32[k, LANES]; out float32[k, LANES]."""
    step, total, near = sign * vector[0], sign * vector[1], sign * vector[3]
    for j in range(out.shape[0]):
        for i in range(LANES):
            out[j, i] = near + facts[LOW, j, i] * total + facts[STEP, j, i] * (step * np.float32(sums[j, i]))


@numba.njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _weights(th: F32, facts: F32, length: np.float32, temperature: np.float32, w: F32, g: F32) -> None:
    """Logits less their largest into w, g_j of the bound into g; all float32[k, LANES], th the tanh of the products."""
    size = abs(temperature)
    slack = np.float32((size + 24) * 2e-6)
    most = np.full(LANES, -_INFINITE, np.float32)
    for j in range(th.shape[0]):
        for i in range(LANES):
            e = length * facts[RADIUS, j, i]
            delta = size * min(_TWO, e * (_ALMOST_ONE - th[j, i] * th[j, i] + _CURVE * e)) + slack
            g[j, i] = delta + delta * delta if delta <= _TOO_FAR else _ENDLESS
            logit = temperature * th[j, i] + facts[BIAS, j, i]
            w[j, i] = logit
            most[i] = max(most[i], logit)
    for j in range(th.shape[0]):
        for i in range(LANES):
            w[j, i] -= most[i]


@numba.njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _largest_cosine(w: F32, g: F32, a: F32, facts: F32, longest: F32, omega: np.float32, out: F32) -> None:
    """The bound t + K/L of the local cosine into out float32[LANES]; w, g, a float32[k, LANES], facts of the tile."""
    reach, ahead = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    over, less = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    total = np.zeros(LANES, np.float32)
    for j in range(w.shape[0]):
        for i in range(LANES):
            p = facts[AHEAD, j, i]
            reach[i] += w[j, i] * a[j, i]
            ahead[i] += w[j, i] * p
            less[i] += w[j, i] * g[j, i] * abs(p)
            total[i] += w[j, i] * (_ONE + g[j, i])
    for i in range(LANES):
        reach[i] = max(reach[i] / ahead[i], _ZERO)
    for j in range(w.shape[0]):
        for i in range(LANES):
            gap = a[j, i] - reach[i] * facts[AHEAD, j, i]
            over[i] += w[j, i] * ((_ONE + g[j, i]) * facts[RADIUS, j, i] + g[j, i] * abs(gap))
    for i in range(LANES):
        rounding = omega * total[i] * longest[i]
        least = ahead[i] - less[i] - _FOUR * rounding
        lost = rounding * total[i] * longest[i] / (least * least)
        cosine = (reach[i] + (over[i] + (_ONE + _FOUR * reach[i]) * rounding) / least) / np.sqrt(_ONE - lost)
        fine = least > _ZERO and lost < _HALF and cosine < _FOUR
        out[i] = cosine if fine else (_ZERO if longest[i] == _ZERO else _INFINITE)
