"""Products of sixteen vectors side by side are those of numpy, for every number of vectors and any width."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from kinfolk.lookalike.tiles import LANES, centre, fetching_products, lay, pack, pack_all, products, weighted


@pytest.mark.parametrize("d", [1, 7, 8, 20, 128])
def test_a_tile_holds_the_vectors_side_by_side(d: int) -> None:
    rng = np.random.default_rng(d)
    vectors, middle = rng.standard_normal((50, d), np.float32), rng.standard_normal(d, np.float32)
    rows = rng.permutation(50)[:20]
    tile = np.empty((d, LANES), np.float32)
    assert pack(vectors, rows, 0, middle, tile) == LANES
    np.testing.assert_array_equal(tile, (vectors[rows[:LANES]] - middle).T)
    assert pack(vectors, rows, LANES, middle, tile) == 4
    np.testing.assert_array_equal(tile[:, :4], (vectors[rows[LANES:]] - middle).T)
    np.testing.assert_array_equal(tile[:, 4:], np.repeat(tile[:, 3:4], LANES - 4, axis=1))


@pytest.mark.parametrize("d", [1, 7, 8, 20, 128])
def test_vectors_that_lie_together_are_laid_out_as_they_are(d: int) -> None:
    vectors = np.random.default_rng(d).standard_normal((LANES, d), np.float32)
    tile = np.empty((d, LANES), np.float32)
    lay(vectors, tile)
    np.testing.assert_array_equal(tile, vectors.T)


@pytest.mark.parametrize("k", [1, 2, 20])
def test_weighted_sums_are_those_of_numpy_lane_by_lane(k: int) -> None:
    @numba.njit
    def call(weights, along, across, out):  # type: ignore[no-untyped-def]
        weighted(weights, along, across, out)

    w, x, y = np.random.default_rng(k).standard_normal((3, k, LANES), np.float32)
    out = np.empty((3, LANES), np.float32)
    call(w.reshape(-1), x.reshape(-1), y.reshape(-1), out)
    expected = [w.sum(axis=0), (w * x).sum(axis=0), (w * y).sum(axis=0)]
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("d", [1, 7, 128])
@pytest.mark.parametrize("count", [*range(1, 15), 20, 41])
def test_products_are_those_of_matrices_and_nothing_else_is_written(d: int, count: int) -> None:
    rng = np.random.default_rng(count)
    tile, vectors = rng.standard_normal((d, LANES), np.float32), rng.standard_normal((count + 1, d), np.float32)
    out = np.full((count + 1, LANES), np.float32(7))
    products(tile, vectors, count, out)
    np.testing.assert_allclose(out[:count], vectors[:count].astype(np.float64) @ tile, rtol=1e-5, atol=1e-4)
    assert (out[count] == 7).all()
    again = np.full_like(out, 7)
    for row in (0, 3, 10**6):  # what is fetched, and be it nobody's, changes nothing
        fetching_products(tile, vectors, count, again, np.zeros((20, d), np.float32), row)
        np.testing.assert_array_equal(again, out)


def test_a_product_has_the_same_bits_in_whatever_company_and_with_itself_as_its_squared_length() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((LANES + 3, 128), np.float32)
    tiles, squares = pack_all(vectors, np.arange(len(vectors)), np.zeros(128, np.float32))
    assert tiles.shape == (2, 128, LANES)
    assert squares.shape == (2 * LANES,)
    many, one = np.empty((len(vectors), LANES), np.float32), np.empty((1, LANES), np.float32)
    products(tiles[0], vectors, len(vectors), many)
    for j in range(len(vectors)):
        products(tiles[0], vectors[j : j + 1], 1, one)
        np.testing.assert_array_equal(one[0], many[j])
    np.testing.assert_array_equal(np.diagonal(many[:LANES]), squares[:LANES])


def test_the_centre_is_the_mean_of_few_and_near_it_for_many() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((5000, 3), np.float32) + np.float32(10)
    few = np.arange(200)
    np.testing.assert_allclose(centre(vectors, few), vectors[:200].mean(axis=0), rtol=1e-6)
    assert np.abs(centre(vectors, np.arange(5000)) - 10).max() < 0.3
