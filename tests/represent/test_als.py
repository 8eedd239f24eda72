from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from kinfolk.errors import DataError
from kinfolk.represent.als import Als, AlsConfig, HalfSweep, fit_als
from kinfolk.testing.counts import examples


def dense_sweep(clicks, other, alpha, reg):
    """Eq. 4 of the paper as it is printed, in float64, one row after the other."""
    y = other.astype(np.float64)
    out = np.zeros((len(clicks), y.shape[1]))
    for u, row in enumerate(clicks):
        confidence = np.diag(1 + alpha * row)
        out[u] = np.linalg.solve(y.T @ confidence @ y + reg * np.eye(y.shape[1]), y.T @ confidence @ row)
    return out


def objective(clicks, als: Als):
    x, y = als.users.astype(np.float64), als.items.astype(np.float64)
    confidence = 1 + als.config.alpha * clicks
    error = (confidence * (clicks - x @ y.T) ** 2).sum()
    return error + als.config.regularization * ((x**2).sum() + (y**2).sum())


def random_clicks(seed, n_users=60, n_items=40, density=0.15):
    return (np.random.default_rng(seed).random((n_users, n_items)) < density).astype(np.float64)


@settings(deadline=None, max_examples=examples(25))
@given(
    seed=st.integers(0, 10_000),
    density=st.sampled_from([0.02, 0.2, 0.9]),  # rows shorter and longer than the factors: both systems
    factors=st.sampled_from([1, 4, 16]),
    alpha=st.sampled_from([0.0, 1.0, 40.0]),
)
def test_half_a_sweep_is_the_dense_solution(seed, density, factors, alpha):
    clicks = random_clicks(seed, 30, 25, density)
    other = np.random.default_rng(seed + 1).normal(size=(25, factors)).astype(np.float32)
    ours = HalfSweep.given(other, AlsConfig(factors, 1, alpha, 0.5)).solve(sp.csr_matrix(clicks))
    np.testing.assert_allclose(ours, dense_sweep(clicks, other, alpha, 0.5), rtol=2e-4, atol=2e-5)


def test_a_row_of_thousands_of_clicks_is_the_dense_solution():
    clicks = random_clicks(0, 2, 5000, 0.8)
    other = np.random.default_rng(1).normal(size=(5000, 8)).astype(np.float32)
    ours = HalfSweep.given(other, AlsConfig(8)).solve(sp.csr_matrix(clicks))
    np.testing.assert_allclose(ours, dense_sweep(clicks, other, 10.0, 1.0), rtol=1e-4, atol=1e-6)


def test_every_sweep_lowers_the_objective():
    clicks = random_clicks(3)
    losses = [objective(clicks, fit_als(sp.csr_matrix(clicks), AlsConfig(8, n), seed=0)) for n in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]


def test_rows_without_clicks_are_zero_and_values_do_not_count():
    clicks = random_clicks(4)
    clicks[7] = 0
    once = fit_als(sp.csr_matrix(clicks), AlsConfig(8, 3), seed=0)
    assert not once.users[7].any()
    many = fit_als(sp.csr_matrix(5 * clicks), AlsConfig(8, 3), seed=0)
    np.testing.assert_array_equal(once.users, many.users)


def test_the_seed_decides():
    clicks = sp.csr_matrix(random_clicks(5))
    a, b, c = (fit_als(clicks, AlsConfig(8, 2), seed).users for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)


def test_two_blocks_of_taste_are_kept_apart():
    clicks = np.kron(np.eye(2), np.ones((10, 6)))
    als = fit_als(sp.csr_matrix(clicks), AlsConfig(4, 15), seed=0)
    score = als.users @ als.items.T
    assert (score[clicks == 1] > 0.9).all()
    assert (np.abs(score[clicks == 0]) < 0.1).all()


def test_no_click_at_all_is_refused():
    with pytest.raises(DataError, match="no clicks"):
        fit_als(sp.csr_matrix((4, 3)), AlsConfig(2, 1), seed=0)


def test_reaches_the_objective_of_implicit():
    peer_als = pytest.importorskip("implicit.cpu.als", reason="implicit is in the bench extra")
    clicks = random_clicks(6, 200, 80, 0.1)
    config = AlsConfig(16, 12)
    ours = fit_als(sp.csr_matrix(clicks), config, seed=0)
    with threadpool_limits(1, "blas"):  # else the peer warns of slowness
        peer = (
            peer_als.AlternatingLeastSquares(  # its alpha is the whole confidence of a click, ours what is added to 1
                factors=16, iterations=12, alpha=1 + config.alpha, regularization=1.0, random_state=0, num_threads=1
            )
        )
    peer.fit(sp.csr_matrix(clicks, dtype=np.float32), show_progress=False)
    theirs = Als(np.asarray(peer.user_factors), np.asarray(peer.item_factors), config)
    assert objective(clicks, ours) == pytest.approx(objective(clicks, theirs), rel=0.01)
