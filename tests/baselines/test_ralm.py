"""A model that scores as of now compares users, seeds and everybody of the same moment (decision 10)."""

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.baselines.method import Candidates
from kinfolk.baselines.ralm import ON_LINE, BundleMethod, Ralm, among_new_items
from kinfolk.lookalike.activity import Active, bonus
from kinfolk.lookalike.blend import learn_background, view_co_clicks
from kinfolk.lookalike.score import score_users
from kinfolk.presets import with_pooling
from kinfolk.training import train


@pytest.fixture(scope="module")
def bundle(small_log, tiny_preset):
    middle = float(np.quantile(small_log.events.time, 0.6))
    return train(small_log, preset=replace(tiny_preset, discriminant=True), until=middle, seed=1)


@pytest.mark.parametrize("pooling", ["average", "attention"])
def test_seeds_are_pooled_as_the_preset_says_unless_told_otherwise(tiny_preset, pooling):
    chosen = with_pooling(tiny_preset, pooling)
    assert Ralm(name="x", seed=0, preset=chosen).preset == chosen
    for told in ("average", "attention"):
        assert Ralm(name="x", seed=0, preset=chosen, pooling=told).preset.lookalike.pooling == told


@pytest.mark.parametrize("fresh", [True, False])
def test_everybody_is_of_the_moment_that_users_and_seeds_are_of(small_log, bundle, fresh):
    method = BundleMethod(bundle, fresh=fresh)
    method.fit(small_log.view(bundle.provenance.trained_until))
    later = small_log.view(float(small_log.events.time[-1]))
    users, seeds = np.arange(40, dtype=np.int32), np.arange(50, 90, dtype=np.int32)
    candidates = Candidates.one(3, seeds, np.arange(40.0), rng=(0, 3, 40))
    e, crowd, rows, offsets = method.vectors(users, candidates, later)
    weights = method.weights
    assert weights.background is not None
    if fresh:
        renewed = weights.with_background(learn_background(method.represented, weights, later, ON_LINE))
        assert not np.allclose(renewed.background.mean, weights.background.mean, atol=1e-4)
        weights = renewed
    index = weights.index(weights.snapshots(crowd, rows, offsets, seed=method.seed))
    seen = later if fresh else small_log.view(bundle.provenance.trained_until)
    shared = view_co_clicks(method.represented.features.schema, seen, users, candidates.seeds)
    want = score_users(index, e, weights.queries(e)) + weights.co_click * shared
    np.testing.assert_allclose(method.score(users, candidates, later), want, atol=1e-5)


@pytest.mark.parametrize("fresh", [True, False])
def test_activity_counts_where_it_is_let_in_and_both_rows_are_scored_once(small_log, bundle, fresh, monkeypatch):
    method = BundleMethod(bundle, fresh=fresh)
    method.fit(small_log.view(bundle.provenance.trained_until))
    later = small_log.view(float(small_log.events.time[-1]))
    users, seeds = np.arange(40, dtype=np.int32), np.arange(50, 90, dtype=np.int32)
    candidates = Candidates.one(3, seeds, np.arange(40.0), rng=(0, 3, 40))
    method.weights = method.weights.with_activity(Active(0.5, 2.0))
    without = method.score(users, candidates, later)[:, 0]
    seen = later if fresh else small_log.view(bundle.provenance.trained_until)
    lengths = seen.history(users, 200).lengths
    asked = []
    original = BundleMethod.score
    monkeypatch.setattr(BundleMethod, "score", lambda self, *a: asked.append(a) or original(self, *a))
    rows = {m.name: m.score(users, candidates, later)[:, 0] for m in among_new_items(method)}
    assert len(asked) == 1
    assert list(rows) == ["kinfolk", "kinfolk_reach"]
    more = bonus(lengths, Active(0.5, 2.0), "reach")
    np.testing.assert_allclose(rows["kinfolk"], without, atol=1e-6)
    np.testing.assert_allclose(rows["kinfolk_reach"], without + more, atol=1e-5)
    assert np.ptp(more) > 0
    method.activity = "reach"
    np.testing.assert_allclose(method.score(users, candidates, later)[:, 0], without + more, atol=1e-5)
