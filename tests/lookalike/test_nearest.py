"""What is done for sixteen points at once is what numpy does for each of them."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from kinfolk.lookalike.nearest import CLOSE, lower, nearest
from kinfolk.lookalike.tiles import LANES


@pytest.mark.parametrize("k", [1, 2, 20])
def test_the_nearest_centroid_is_the_first_of_the_largest(k: int) -> None:
    @numba.njit
    def call(inner, offset, best, most):  # type: ignore[no-untyped-def]
        nearest(inner, offset, best, most)

    rng = np.random.default_rng(k)
    inner, offset = rng.integers(0, 4, (k, LANES)).astype(np.float32), rng.integers(0, 2, k).astype(np.float32)
    best, most = np.full(LANES, -1, np.int32), np.empty(LANES, np.float32)
    call(inner, offset, best, most)
    np.testing.assert_array_equal(best, (inner - offset[:, None]).argmax(axis=0))  # whole numbers: many ties
    np.testing.assert_array_equal(most, (inner - offset[:, None]).max(axis=0))


def test_a_further_place_lowers_distances_and_tells_which_are_too_small_for_a_product() -> None:
    @numba.njit
    def call(inner, row, squares, length, before, first, after, t, sums):  # type: ignore[no-untyped-def]
        return lower(inner, row, squares, length, before, first, after, t, sums)

    rng = np.random.default_rng(0)
    points, place = rng.standard_normal((2 * LANES, 8)), rng.standard_normal(8)
    points[LANES + 3] = place  # the same place, and one hardly apart
    points[LANES + 7] = place * (1 + 0.5 * CLOSE)
    squares, length = (points**2).sum(axis=1).astype(np.float32), np.float32((place**2).sum())
    before = rng.uniform(0, 20, 2 * LANES).astype(np.float32)
    inner = np.zeros((3, LANES), np.float32)
    inner[2] = points[LANES:] @ place
    after, sums = np.full((2, 2 * LANES), 7, np.float32), np.ones((2, LANES), np.float32)
    close = call(inner, 2, squares, length, before, LANES, after, 1, sums)
    expected = np.minimum(((points - place) ** 2).sum(axis=1), before)[LANES:]
    np.testing.assert_allclose(after[1, LANES:], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sums[1], 1 + after[1, LANES:], rtol=1e-6)
    assert close == 1 << 3 | 1 << 7
    assert (after[0] == 7).all()
    assert (after[1, :LANES] == 7).all()
    assert (sums[0] == 1).all()
