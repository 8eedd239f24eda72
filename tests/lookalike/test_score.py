"""Fused scores against the plain formula in float64, and the exact best few against a sort."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike.index import Index
from kinfolk.lookalike.score import score_pairs, score_user, score_users, top_candidates
from kinfolk.lookalike.topk import top
from kinfolk.testing.counts import examples

Array = NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """C candidates as a refresher would hand them over, users and the projection of the local attention."""

    centroids: Array
    sizes: NDArray[np.int64]
    valid: NDArray[np.bool_]
    global_embedding: Array
    users: Array
    W_l: Array

    @property
    def projected(self) -> Array:
        return self.users @ self.W_l.T

    def index(self, **options: float) -> Index:
        return Index.build(self.centroids, self.sizes, self.valid, self.global_embedding, **options)


def world(seed: int, C: int = 23, k: int = 7, h: int = 12, U: int = 18, relu: bool = False) -> World:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Array:
        x = rng.standard_normal(shape).astype(np.float32)
        return np.maximum(x, 0) if relu else x

    valid = rng.random((C, k)) < 0.7
    valid[: C // 2] = True
    return World(
        draw(C, k, h), rng.integers(1, 100_000, (C, k)), valid, draw(C, h), draw(U, h),
        (rng.standard_normal((h, h)) / h).astype(np.float32),
    )  # fmt: skip


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b / (max(np.linalg.norm(a), 1e-8) * max(np.linalg.norm(b), 1e-8)))


def score_plain(
    w: World, alpha: float = 0.3, beta: float = 0.7, temperature: float = 1.0, size_aware: bool = False
) -> NDArray[np.float64]:
    """Equations 2, 9 and 10 as they are written, float64[U, C]."""
    out = np.zeros((len(w.users), len(w.centroids)))
    for u, E_u in enumerate(w.users.astype(np.float64)):
        for c in range(len(w.centroids)):
            E_s = w.centroids[c, w.valid[c]].astype(np.float64)
            s = temperature * np.tanh(E_s @ (w.W_l.astype(np.float64) @ E_u))
            if size_aware:
                s += np.log(w.sizes[c, w.valid[c]])
            weights = np.exp(s - s.max()) if len(s) else s
            E_local = (weights / weights.sum()) @ E_s if len(s) else np.zeros(len(E_u))
            out[u, c] = alpha * cosine(E_u, w.global_embedding[c].astype(np.float64)) + beta * cosine(E_u, E_local)
    return out


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.0, "beta": 1.0},
        {"alpha": 1.0, "beta": 0.0},
        {"temperature": 5.0},
        {"temperature": -3.0},
        {"temperature": 60.0},
        {"size_aware": True},
        {"temperature": 0.0, "size_aware": True},
        {"temperature": 20.0, "size_aware": True, "alpha": -0.5},
    ],
)
def test_scores_are_those_of_the_plain_formula(options: dict[str, float], relu: bool) -> None:
    w = world(seed=1, relu=relu)
    found = score_users(w.index(**options), w.users, w.projected)
    np.testing.assert_allclose(found, score_plain(w, **options), atol=1e-5)  # type: ignore[arg-type]  # mixed options


@settings(deadline=None, max_examples=examples(40))
@given(
    C=st.integers(1, 9), k=st.integers(1, 23), h=st.integers(1, 40), U=st.integers(1, 40), seed=st.integers(0, 2**32)
)
def test_scores_are_right_in_any_shape(C: int, k: int, h: int, U: int, seed: int) -> None:
    w = world(seed, C, k, h, U, relu=True)
    np.testing.assert_allclose(score_users(w.index(), w.users, w.projected), score_plain(w), atol=1e-5)


def test_large_projections_saturate_and_small_ones_vanish() -> None:
    w = world(seed=2)
    for scale in (1e-6, 1e4):
        extreme = replace(w, W_l=w.W_l * np.float32(scale))
        found = score_users(extreme.index(), extreme.users, extreme.projected)
        np.testing.assert_allclose(found, score_plain(extreme), atol=1e-5)


def test_temperature_zero_with_sizes_is_the_mean_of_the_seeds() -> None:
    w = world(seed=3)
    index = w.index(alpha=0.0, beta=1.0, temperature=0.0, size_aware=True)
    share = np.where(w.valid, w.sizes, 0)
    mean = np.einsum("ck,ckh->ch", share / np.maximum(share.sum(axis=1, keepdims=True), 1), w.centroids)
    expected = [[cosine(u.astype(np.float64), m) for m in mean] for u in w.users]
    np.testing.assert_allclose(score_users(index, w.users, w.projected), expected, atol=1e-5)


@settings(deadline=None, max_examples=examples(30))
@given(seed=st.integers(0, 2**32), size_aware=st.booleans())
def test_order_of_clusters_and_content_of_padding_change_nothing(seed: int, size_aware: bool) -> None:
    w = world(seed, C=6)
    rng = np.random.default_rng(seed)
    before = score_users(w.index(size_aware=size_aware), w.users, w.projected)

    order = np.argsort(rng.random(w.valid.shape), axis=1)
    shuffled = replace(
        w,
        centroids=np.take_along_axis(w.centroids, order[:, :, None], 1),
        sizes=np.take_along_axis(w.sizes, order, 1),
        valid=np.take_along_axis(w.valid, order, 1),
    )
    after = score_users(shuffled.index(size_aware=size_aware), w.users, w.projected)
    np.testing.assert_allclose(after, before, atol=2e-6)

    junk = np.where(w.valid[:, :, None], w.centroids, np.float32(np.nan))
    same = score_users(replace(w, centroids=junk).index(size_aware=size_aware), w.users, w.projected)
    assert np.array_equal(same, before)

    more = replace(
        w,
        centroids=np.concatenate([w.centroids, rng.standard_normal((6, 3, 12)).astype(np.float32)], axis=1),
        sizes=np.concatenate([w.sizes, np.full((6, 3), 10**6)], axis=1),
        valid=np.concatenate([w.valid, np.zeros((6, 3), bool)], axis=1),
    )
    padded = score_users(more.index(size_aware=size_aware), w.users, w.projected)
    np.testing.assert_allclose(padded, before, atol=2e-6)


def test_zero_vectors_have_cosine_zero() -> None:
    w = world(seed=5)
    w.users[3] = 0
    w.centroids[4] = 0
    w.global_embedding[4] = 0
    w.valid[6] = False
    found = score_users(w.index(), w.users, w.projected)
    assert (found[3] == 0).all()
    assert (found[:, 4] == 0).all()
    np.testing.assert_allclose(found, score_plain(w), atol=1e-5)


def test_a_batch_gives_the_same_bits_as_one_by_one() -> None:
    w = world(seed=6, C=70, U=21)
    index, V = w.index(), w.projected
    batch = score_users(index, w.users, V)
    assert np.array_equal(batch, score_users(index, w.users, V, threads=3))
    for u in range(len(w.users)):
        rows, scores = score_user(index, w.users[u], V[u])
        assert np.array_equal(np.sort(rows), np.arange(70))
        assert np.array_equal(scores, batch[u, rows])
    some = np.array([69, 3, 3, 20])
    assert np.array_equal(score_users(index.take(some), w.users, V), batch[:, some])
    user, candidate = np.divmod(np.random.default_rng(0).permutation(batch.size), 70)
    assert np.array_equal(score_pairs(index, w.users, V, user, candidate, threads=2), batch[user, candidate])


@settings(deadline=None, max_examples=examples(60))
@given(values=st.lists(st.integers(-3, 3), max_size=60), count=st.integers(0, 70))
def test_the_best_few_are_those_of_a_stable_sort(values: list[int], count: int) -> None:
    scores = np.array(values, np.float32) / 3
    assert np.array_equal(top(scores, count), np.argsort(-scores, kind="stable")[:count])


@settings(deadline=None, max_examples=examples(25))
@given(seed=st.integers(0, 2**32), n=st.integers(0, 50), U=st.integers(0, 40), threads=st.integers(1, 2))
def test_top_candidates_are_those_of_a_sort_with_ties_by_row(seed: int, n: int, U: int, threads: int) -> None:
    w = world(seed, C=12, U=U)
    again = np.random.default_rng(seed).integers(0, 12, 40)  # candidates repeat, so that scores tie
    index = w.index().take(again)
    rows, scores = top_candidates(index, w.users, w.projected, n, threads=threads)
    everything = score_users(index, w.users, w.projected)
    expected = np.argsort(-everything, axis=1, kind="stable")[:, :n]
    assert np.array_equal(rows, expected)
    assert np.array_equal(scores, np.take_along_axis(everything, expected, 1))
    for u in range(U):
        assert np.array_equal(score_user(index, w.users[u], w.projected[u], top=n, threads=threads)[0], rows[u])


def test_an_index_without_candidates_scores_no_one() -> None:
    w = world(seed=7)
    none = w.index().take(np.zeros(0, np.int64))
    assert score_users(none, w.users, w.projected, threads=2).shape == (len(w.users), 0)
    assert top_candidates(none, w.users, w.projected, 5)[0].shape == (len(w.users), 0)
    assert len(score_user(none, w.users[0], w.projected[0], top=5)[0]) == 0


def test_valid_clusters_are_stored_first_in_their_order() -> None:
    w = world(seed=8)
    index = w.index()
    for c in range(len(index)):
        n = index.n_valid[c]
        assert np.array_equal(index.centroids[c, :n], w.centroids[c, w.valid[c]])
        assert np.array_equal(index.sizes[c, :n], w.sizes[c, w.valid[c]])
        assert not index.centroids[c, n:].any()
        assert not index.sizes[c, n:].any()


def test_bad_input_is_refused() -> None:
    w = world(seed=9)
    index, V = w.index(), w.projected
    with pytest.raises(OptionError, match="do not belong together"):
        Index.build(w.centroids, w.sizes[:, 1:], w.valid, w.global_embedding)
    with pytest.raises(OptionError, match="temperature"):
        w.index(temperature=float("nan"))
    for name in ("centroids", "global_embedding"):
        broken = getattr(w, name).copy()
        broken[0] = np.inf
        with pytest.raises(DataError):
            replace(w, **{name: broken}).index()
    with pytest.raises(OptionError, match="users have shape"):
        score_users(index, w.users[:, 1:], V[:, 1:])
    with pytest.raises(OptionError, match="users have shape"):
        score_users(index, w.users, V[1:])
    with pytest.raises(DataError, match="NaN"):
        score_user(index, np.full(12, np.nan, np.float32), V[0])
    with pytest.raises(OptionError, match="best -1"):
        score_user(index, w.users[0], V[0], top=-1)
    with pytest.raises(OptionError, match="best -1"):
        top_candidates(index, w.users, V, -1)
    for user, candidate in (([18], [0]), ([0], [23]), ([-1], [0]), ([0, 1], [0])):
        with pytest.raises(OptionError):
            score_pairs(index, w.users, V, np.array(user), np.array(candidate))
