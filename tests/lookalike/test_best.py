"""The best candidates by way of bounds: the same rows and bits as scoring everything, whatever the numbers."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinfolk.lookalike.background import Folded
from kinfolk.lookalike.bounds import coded, fill_bounds
from kinfolk.lookalike.codes import Codes, largest_code
from kinfolk.lookalike.index import Index
from kinfolk.lookalike.lanes import LANES, lane_dots
from kinfolk.lookalike.score import score_user, score_users, top_candidates, unit
from kinfolk.lookalike.topk import top
from kinfolk.testing.counts import examples

Array = NDArray[np.float32]
OPTIONS: list[dict[str, float]] = [
    {},
    {"alpha": 0.0, "beta": 1.0},
    {"alpha": 1.0, "beta": 0.0},
    {"alpha": -0.5, "beta": 0.7, "temperature": 20.0, "size_aware": True},
    {"beta": -0.7},
    {"temperature": 0.0, "size_aware": True},
    {"temperature": -3.0},
    {"temperature": 60.0},
    {"temperature": 2e4},
    {"share": 0.5},
    {"share": 0.9, "beta": -0.7},
]


def index_of(centroids: Array, seed: int, share: float = 0.0, **options: float) -> Index:
    """Random sizes, a third of the clusters missing in half of the candidates; up to `share` of a score is linear."""
    rng = np.random.default_rng(seed)
    C, k, h = centroids.shape
    valid = rng.random((C, k)) < 0.67
    valid[: C // 2] = True
    part = Folded(share * rng.random(C), share * rng.normal(size=(C, h)), share * rng.normal(size=C))
    sizes = rng.integers(1, 10**6, (C, k))
    return Index.build(centroids, sizes, valid, centroids.mean(axis=1), folded=part if share else None, **options)


def draw(seed: int, *shape: int, relu: bool = True) -> Array:
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return np.maximum(x, 0) if relu else x


def check(index: Index, users: Array, projected: Array, n: int) -> None:
    """The best n of every user, and bounds that no score exceeds."""
    every = score_users(index, users, projected)
    expected = np.argsort(-every, axis=1, kind="stable")[:, :n]
    rows, scores = top_candidates(index, users, projected, n)
    assert np.array_equal(rows, expected)
    assert np.array_equal(scores, np.take_along_axis(every, expected, 1))
    bounds = bounds_of(index, users, projected)
    assert (bounds >= every).all()


def bounds_of(index: Index, users: Array, projected: Array) -> Array:
    c, out = index.codes, np.empty((len(users), len(index)), np.float32)
    people = (*coded(unit(users), c.centre), *coded(projected, c.centre))
    width = index.centroids.shape[2]
    tables = c.bytes, c.facts, c.longest, c.whole, float(index.temperature), width
    fill_bounds(*tables, *people, 0, len(c.bytes), out)
    return out


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_the_best_are_those_of_scoring_everything(options: dict[str, float], relu: bool) -> None:
    index = index_of(draw(0, 400, 7, 12, relu=relu), seed=1, **options)
    users = draw(2, 20, 12, relu=relu)
    check(index, users, users @ draw(3, 12, 12, relu=False) / 4, n=20)


@settings(deadline=None, max_examples=examples(40))
@given(
    C=st.integers(256, 420),
    k=st.integers(1, 23),
    h=st.integers(1, 40),
    n=st.integers(1, 50),
    seed=st.integers(0, 2**32),
)
def test_the_best_are_right_in_any_shape(C: int, k: int, h: int, n: int, seed: int) -> None:
    index = index_of(draw(seed, C, k, h), seed)
    users = draw(seed + 1, 3, h)
    check(index, users, users @ draw(seed + 2, h, h, relu=False), n)


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e-6, 1e3, 1e8, 1e16])
@pytest.mark.parametrize("which", ["centroids", "users", "projected", "one centroid"])
def test_tiny_and_huge_numbers(which: str, scale: float) -> None:
    centroids, users, W_l = draw(4, 300, 5, 12), draw(5, 6, 12), draw(6, 12, 12, relu=False)
    projected = users @ W_l
    size = np.float32(scale)
    centroids[7, 2] *= size if which == "one centroid" else 1
    index = index_of(centroids * size if which == "centroids" else centroids, seed=0)
    check(
        index, users * size if which == "users" else users, projected * size if which == "projected" else projected, 15
    )


def test_candidates_that_tie_come_by_row() -> None:
    some = index_of(draw(7, 12, 5, 12), seed=0)
    index = some.take(np.random.default_rng(8).integers(0, 12, 500))
    users = draw(9, 5, 12)
    check(index, users, users, n=60)


def test_zero_vectors_and_crowds_that_all_look_alike() -> None:
    centroids = 1 + draw(10, 300, 5, 12) * np.float32(1e-3)
    users = draw(11, 4, 12)
    users[1] = 0
    check(index_of(centroids, seed=0), users, users, n=10)
    centroids[::3] = 0
    check(index_of(centroids, seed=0), users, users, n=10)
    check(index_of(np.zeros_like(centroids), seed=0), users, users, n=10)


@pytest.mark.parametrize("C", [1, 31, 300])
def test_as_many_as_there_are_and_more(C: int) -> None:
    index, users = index_of(draw(12, C, 5, 12), seed=0), draw(13, 3, 12)
    for n in (0, 1, C - 1, C, C + 5):
        rows, scores = top_candidates(index, users, users, n)
        every = score_users(index, users, users)
        assert np.array_equal(rows, np.argsort(-every, axis=1, kind="stable")[:, :n])
        assert scores.shape == (3, min(n, C))


def test_threads_change_nothing() -> None:
    index, users = index_of(draw(14, 700, 5, 12), seed=0), draw(15, 40, 12)
    alone = top_candidates(index, users, users, 20)
    for found in (top_candidates(index, users, users, 20, threads=3),):
        assert np.array_equal(found[0], alone[0])
        assert np.array_equal(found[1], alone[1])
    for u in range(5):
        rows, scores = score_user(index, users[u], users[u], 20, threads=2)
        assert np.array_equal(rows, alone[0][u])
        assert np.array_equal(scores, alone[1][u])


def test_few_candidates_are_scored_exactly() -> None:
    """What the bounds are for: on crowds that differ they leave a small part."""
    index, users = index_of(draw(16, 4000, 10, 64), seed=0), draw(17, 8, 64)
    projected = users @ draw(18, 64, 64, relu=False) / 16
    level = top_candidates(index, users, projected, 20)[1][:, -1:]
    assert (bounds_of(index, users, projected) >= level).mean() < 0.03


def test_codes_stand_for_the_centroids() -> None:
    index = index_of(draw(19, 70, 4, 9), seed=0)
    c = Codes.build(index.centroids, index.linear, index.bias, index.offset, index.local)
    assert c.bytes.shape == (-(-70 // LANES), 5, 5, LANES, 2)
    flat = c.bytes.transpose(0, 3, 1, 2, 4).reshape(-1, 5, 10)[:70, :, :9]
    low, step, radius = (c.facts.transpose(1, 0, 3, 2)[f].reshape(-1, 5)[:70] for f in range(3))
    for j in range(5):
        exact = index.centroids[:, j] if j < 4 else index.linear
        stands_for = c.centre[j // 4] + low[:, j, None] + step[:, j, None] * flat[:, j]
        assert (np.linalg.norm(exact - stands_for, axis=1) <= radius[:, j]).all()
        assert (np.abs(exact - stands_for) <= 0.501 * step[:, j, None] + 1e-6).all()


@numba.njit
def _sums(codes: NDArray[np.uint8], x: NDArray[np.int16], y: NDArray[np.int16]) -> NDArray[np.int32]:
    out = np.empty((2, LANES), np.int32)
    lane_dots(codes, x, y, out[0], out[1])
    return out


@pytest.mark.parametrize("pairs", [0, 1, 3, 64])
def test_lane_dots_are_whole_number_products(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    codes = rng.integers(0, 256, (pairs, LANES, 2), dtype=np.uint8)
    x, y = rng.integers(-(2**15) + 1, 2**15, (2, 2 * pairs)).astype(np.int16)
    expected = [np.einsum("tlp,tp->l", codes.astype(np.int64), v.reshape(-1, 2).astype(np.int64)) for v in (x, y)]
    assert np.array_equal(_sums(codes, x, y), expected)


@pytest.mark.parametrize("h", [1, 128, 257, 1000, 100_000])
def test_no_sum_of_products_leaves_int32(h: int) -> None:
    assert 0 < largest_code(h) * 255 * h < 2**31
    assert largest_code(h) < 2**15


@settings(deadline=None, max_examples=examples(20))
@given(seed=st.integers(0, 2**32), count=st.integers(990, 1500), levels=st.integers(1, 2000))
def test_many_best_are_those_of_a_stable_sort(seed: int, count: int, levels: int) -> None:
    scores = np.random.default_rng(seed).integers(-levels, levels, 1400).astype(np.float32)
    assert np.array_equal(top(scores, count), np.argsort(-scores, kind="stable")[:count])
