"""What every registered method promises, on a world of two groups that share nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from kinfolk.baselines import registry
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.errors import DataError

NAMES = registry.names("all")
LOOKS_AT_NOBODY = {  # neither features nor histories: they cannot tell the groups apart
    "random", "activity", "recent_activity", "popularity", "recency_popularity", "newest", "trend",
}  # fmt: skip
NEEDS_KNOWN_ITEM = {"youtube_dnn"}
NEEDS_HISTORY = {
    n for n in NAMES if n.startswith(("als_", "svd_", "dnn_", "item_knn")) or n in {"lr_als", "youtube_dnn"}
}
NEEDS_FIELDS = {"lr_fields"}
NEEDS_CLICKS = {"ralm", "ralm_average"}  # stage 2 has nothing to learn from without, and says so
# standardised over the candidates scored together, as they say
COMPARES_CANDIDATES = {"als_mean_cosine_z_log_recency", "als_mean_cosine_z_trend"}

# a candidate's score may differ in the last bits with the shape of a batch; MLPs carry that through 100 steps
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture(autouse=True)
def one_thread():
    """Toy matrices: threads that wait for each other on a busy machine cost more than they do.

    Set before every test: the OpenMP runtime is shared, and numba's parallel loops raise its number of threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fit_on():
    """(name, world) -> the method, fitted once on what was seen before T1."""
    shared, made = {}, {}

    def get(name, world):
        if (name, id(world)) not in made:
            share = shared.setdefault(id(world), Shared())
            method = made[name, id(world)] = registry.make(name, 0, window=300.0, tau=100.0, shared=share)
            method.fit(world.seen)
        return made[name, id(world)]

    return get


@pytest.fixture(scope="module")
def fitted(fit_on, checkerboard):
    """name -> the method, fitted once on the checkerboard."""
    return lambda name: fit_on(name, checkerboard)


def everybody(world) -> np.ndarray:
    return np.arange(world.log.n_users, dtype=np.int32)


def take(candidates: Candidates, rows: list[int]) -> Candidates:
    at = np.array(rows, np.int64)
    return Candidates(candidates.item[at], candidates.seeds.take(at), candidates.times.take(at), candidates.rng[at])


def one(seeds, item: int = -1) -> Candidates:
    return Candidates.one(item, np.array(seeds, np.int32), 1000.0 + np.arange(len(seeds)), (5, 6))


def seeds_for(name: str) -> int:
    """Whitening 64 dimensions, of which one tells the groups apart, leaves noise of sqrt(63 / seeds) on it."""
    return 100 if "lda" in name or "fold_in" in name else 20


def check(scores, users: int, candidates: int) -> None:
    assert scores.shape == (users, candidates)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", NAMES)
def test_score_is_finite_float32_of_users_by_candidates(name, fitted, checkerboard):
    users = everybody(checkerboard)
    method = fitted(name)
    assert method.name == name
    assert isinstance(method.fresh, bool)
    check(method.score(users, checkerboard.candidates(), checkerboard.later), len(users), 2)
    check(method.score(users[:0], checkerboard.candidates(), checkerboard.later), 0, 2)
    check(method.score(users, take(checkerboard.candidates(), []), checkerboard.later), len(users), 0)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in COMPARES_CANDIDATES])
def test_a_batch_of_candidates_equals_one_by_one(name, fitted, checkerboard):
    users, both = everybody(checkerboard), checkerboard.candidates()
    together = fitted(name).score(users, both, checkerboard.later)
    apart = np.hstack([fitted(name).score(users, take(both, [c]), checkerboard.later) for c in range(2)])
    np.testing.assert_allclose(together, apart, **TOLERANCE)
    swapped = fitted(name).score(users, take(both, [1, 0]), checkerboard.later)
    np.testing.assert_allclose(together[:, ::-1], swapped, **TOLERANCE)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "random"])  # which draws in the order of the users
def test_the_order_of_users_does_not_matter(name, fitted, checkerboard):
    users, both = everybody(checkerboard), checkerboard.candidates()
    order = np.random.default_rng(0).permutation(len(users))
    straight = fitted(name).score(users, both, checkerboard.later)
    shuffled = fitted(name).score(users[order], both, checkerboard.later)
    np.testing.assert_allclose(straight[order], shuffled, **TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_scoring_and_fitting_again_give_the_same(name, fitted, checkerboard):
    users, both = everybody(checkerboard), checkerboard.candidates()
    first = fitted(name).score(users, both, checkerboard.later)
    np.testing.assert_array_equal(first, fitted(name).score(users, both, checkerboard.later))
    again = registry.make(name, 0, window=300.0, tau=100.0)
    again.fit(checkerboard.log.view(500.0))
    again.fit(checkerboard.seen)
    np.testing.assert_allclose(first, again.score(users, both, checkerboard.later), **TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "seeds", [[3], [301], [3, 301], [], list(range(300))], ids=["one", "cold", "mixed", "none", "all"]
)
def test_odd_seeds_are_scored(name, seeds, fitted, checkerboard):
    users = np.array([3, 4, 170, 302], np.int32)
    check(fitted(name).score(users, one(seeds), checkerboard.later), 4, 1)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in NEEDS_FIELDS])
def test_a_log_without_fields_is_scored(name, fit_on, no_fields):
    users = everybody(no_fields)
    scores = fit_on(name, no_fields).score(users, no_fields.candidates(), no_fields.later)
    check(scores, len(users), 2)


@pytest.mark.parametrize("name", sorted(NEEDS_CLICKS))
def test_what_needs_clicks_refuses_a_log_without(name, fit_on, no_clicks):
    with pytest.raises(DataError, match="train on a longer log"):
        fit_on(name, no_clicks)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in NEEDS_HISTORY | NEEDS_CLICKS])
def test_a_log_without_clicks_is_scored(name, fit_on, no_clicks):
    users = everybody(no_clicks)
    scores = fit_on(name, no_clicks).score(users, no_clicks.candidates(), no_clicks.later)
    check(scores, len(users), 2)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in LOOKS_AT_NOBODY])
def test_unseen_users_of_the_seeds_group_rank_above_the_others(name, fitted, checkerboard):
    known = name in NEEDS_KNOWN_ITEM
    candidates = checkerboard.candidates((3, 33) if known else (60, 61), seeds_for(name))
    users = np.concatenate([checkerboard.group(g)[100:] for g in range(2)])
    scores = fitted(name).score(users, candidates, checkerboard.seen if known else checkerboard.later)
    for c in range(2):
        assert roc_auc_score(users // 150 == c, scores[:, c]) > 0.9


@pytest.mark.parametrize("name", [n for n in NAMES if n not in LOOKS_AT_NOBODY | NEEDS_FIELDS | NEEDS_KNOWN_ITEM])
def test_history_alone_is_enough(name, fit_on, no_fields):
    users = np.concatenate([no_fields.group(g)[100:] for g in range(2)])
    scores = fit_on(name, no_fields).score(users, no_fields.candidates(n=seeds_for(name)), no_fields.later)
    for c in range(2):
        assert roc_auc_score(users // 150 == c, scores[:, c]) > 0.9
