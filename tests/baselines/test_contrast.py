from __future__ import annotations

import numpy as np

from kinfolk.baselines.contrast import Trained, contrast
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.user_features import FeatureSource


def one(seeds, rng=(1, 2)):
    return Candidates.one(5, np.array(seeds, np.int32), np.arange(len(seeds), dtype=float), rng)


def test_seeds_come_first_and_no_seed_is_among_the_others():
    sample = contrast(one(range(10)), 0, np.arange(50), negatives=20)
    assert sample.users[:10].tolist() == list(range(10))
    assert sample.labels.tolist() == [1] * 10 + [0] * 20
    others = sample.users[10:]
    assert others.min() >= 10
    assert len(set(others)) == 20


def test_all_others_are_taken_where_there_are_few():
    sample = contrast(one([0, 3]), 0, np.arange(5), negatives=100)
    assert sorted(sample.users[2:]) == [1, 2, 4]


def test_the_newest_seeds_are_kept_but_no_seed_becomes_a_negative():
    sample = contrast(one(range(10)), 0, np.arange(12), negatives=100, max_seeds=3)
    assert sample.users.tolist()[:3] == [7, 8, 9]
    assert sorted(sample.users[3:]) == [10, 11]


def test_the_draw_depends_on_the_candidates_numbers_alone():
    a, b, c = (contrast(one([0], rng), 0, np.arange(1000), 10).users.tolist() for rng in ((1, 2), (1, 2), (1, 3)))
    assert a == b
    assert a != c


def test_a_class_is_missing():
    assert not contrast(one([]), 0, np.arange(5), 3).usable
    assert not contrast(one(range(5)), 0, np.arange(5), 3).usable
    assert contrast(one([1]), 0, np.arange(5), 3).usable


def test_models_are_kept_for_the_same_candidates_and_view(checkerboard):
    kept, calls = Trained(FeatureSource(), 10, 10), []
    view, candidates = checkerboard.seen, one([1])
    kept.fit(view)

    def train(candidates, row, view):
        calls.append((candidates, row, view))
        return "model"

    for v, c in ((view, candidates), (view, candidates), (checkerboard.later, candidates), (view, one([1]))):
        assert kept.each(c, v, train) == ["model"]
    assert len(calls) == 3
    kept.fit(view)
    kept.each(candidates, view, train)
    assert calls[-1] == (candidates, 0, view)
    assert len(calls) == 4


def test_seeds_are_seen_without_their_click_on_the_candidate(checkerboard):
    view = checkerboard.seen
    pairs = view.pairs
    item = int(pairs.item[0])
    seeds = np.unique(pairs.user[pairs.item == item]).astype(np.int32)
    candidates = Candidates.one(item, seeds, np.zeros(len(seeds)), (1, 2))
    kept = Trained(FeatureSource(), 10, 10)
    kept.fit(view)
    sample = kept.sample(candidates, 0)
    assert sample.n_seeds == min(len(seeds), 10)
    got = kept.features(sample, candidates, 0, view)
    assert (got != kept.source.rows(sample.users, view, item)).nnz == 0
    assert (got != kept.source.rows(sample.users, view)).nnz > 0
