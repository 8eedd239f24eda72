from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.bundle import Bundle
from kinfolk.errors import BundleError
from kinfolk.expansion import expand
from kinfolk.lookalike.background import PENALTY, RIDGE, SHARE, Background
from kinfolk.lookalike.blend import learn_background
from kinfolk.lookalike.score import score_pairs, score_users, top_candidates
from kinfolk.training import train


@pytest.fixture(scope="module")
def told_apart(small_log, tiny_preset):
    return train(small_log, preset=replace(tiny_preset, discriminant=True), seed=1)


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-8)


def without(weights):
    return type(weights)(weights.config, {k: v for k, v in weights.arrays.items() if not k.startswith("background")})


def written_out(background, crowd, users):
    """D of the users, float64[U]: the module's formula, one number after the other."""
    mu, sigma = background.mean.astype(float), background.covariance.astype(float)
    mean = crowd.astype(float).mean(0)
    ridge = PENALTY / len(crowd) + RIDGE * np.trace(sigma) / len(mu)
    d = np.linalg.inv(sigma + ridge * np.eye(len(mu))) @ (mean / background.norm - mu)
    z = (unit(users) - mu) @ d / np.sqrt(d @ sigma @ d)
    towards = mean / np.linalg.norm(mean)
    return towards @ mu + np.sqrt(towards @ sigma @ towards) * z


@pytest.mark.parametrize("n", [3, 60])
def test_a_score_is_a_mixture_of_ralm_and_the_discriminant(told_apart, n):
    w, e = told_apart.weights, np.asarray(told_apart.lookalike)
    crowd = w.snapshot(e[:n], seed=0)
    ralm = score_users(without(w).index(crowd), e, w.queries(e))[:, 0]
    expected = (1 - SHARE) * ralm + SHARE * written_out(w.background, e[:n], e)
    np.testing.assert_allclose(score_users(w.index(crowd), e, w.queries(e))[:, 0], expected, atol=2e-5)
    assert np.ptp(expected) > 0


def test_every_way_to_score_knows_it(told_apart):
    w, e = told_apart.weights, np.asarray(told_apart.lookalike)
    crowds = w.snapshots(e, np.arange(80), np.array([0, 5, 40, 80]), seed=0)
    index, q = w.index(crowds), w.queries(e)
    scores = score_users(index, e, q)
    user, candidate = np.divmod(np.arange(3 * len(e)), 3)
    np.testing.assert_array_equal(score_pairs(index, e, q, user, candidate), scores.ravel())
    rows, best = top_candidates(index, e, q, 3)
    np.testing.assert_array_equal(best, np.take_along_axis(scores, rows, 1))
    single = w.snapshot(e[:40], seed=0)
    found = expand(told_apart, told_apart.user_ids[:40], size=len(e), include_seeds=True)
    np.testing.assert_allclose(found.scores, score_users(w.index(single), e, q)[found.audience.rows, 0], atol=1e-5)


def test_it_tells_a_crowd_apart_by_what_is_rare():
    """Everybody varies along the first axis, the crowd differs along both: with many seeds the second counts."""
    rng = np.random.default_rng(0)
    everyone = np.c_[rng.normal(0, 1, 4000), rng.normal(0, 0.1, 4000), np.full(4000, 2.0)].astype(np.float32)
    crowd = everyone[:500] + np.array([0.15, 0.15, 0], np.float32)
    background = Background.of(everyone)
    means = np.repeat(crowd.mean(0)[None], 3, axis=0)
    few, some, many = background.fold(means, np.array([5, 500, 50_000])).vector
    assert many[1] > 10 * abs(many[0])
    assert many[1] / many[0] > 1.5 * some[1] / some[0] > 3 * few[1] / few[0]


@pytest.mark.parametrize("most", [3, 50, 10**6])
def test_a_background_is_of_those_who_clicked_last(told_apart, small_log, most):
    view = small_log.view(told_apart.provenance.trained_until)
    last = list(dict.fromkeys(view.pairs.user[::-1].tolist()))[:most]
    found = learn_background(told_apart.represented, told_apart.weights, view, most)
    expected = Background.of(np.asarray(told_apart.lookalike)[np.sort(last)])
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-5)
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-5)


def test_it_is_kept_and_a_damaged_one_is_refused(told_apart, tmp_path):
    told_apart.save(tmp_path / "copy")
    kept = Bundle.load(tmp_path / "copy").weights.background
    np.testing.assert_array_equal(kept.covariance, told_apart.weights.background.covariance)
    half = replace(told_apart.weights.background, covariance=np.zeros((2, 2), np.float32))
    with pytest.raises(BundleError, match="background_covariance"):
        told_apart.weights.with_background(half).check()


def test_a_model_with_average_has_none(small_log, tiny_preset):
    shape = replace(tiny_preset.lookalike, pooling="average")
    made = train(small_log, preset=replace(tiny_preset, lookalike=shape, discriminant=True), seed=1)
    assert made.weights.background is None


def test_seeds_that_are_all_alike_or_nothing_give_a_finite_score():
    e = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    folded = Background.of(e).fold(np.array([[0.0, 0, 0, 0], e[0]]), np.array([1, 1]))
    assert np.isfinite(folded.vector).all()
    assert np.isfinite(folded.offset).all()
