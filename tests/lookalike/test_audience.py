"""Audiences: every rule of `select` against a few lines of Python, `score_all` against the scorer of users."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinfolk.errors import DataError, OptionError, TooFewSeedsError
from kinfolk.lookalike.audience import expand, score_all, select
from kinfolk.lookalike.index import Index
from kinfolk.lookalike.score import score_users
from kinfolk.testing.counts import examples

Array = NDArray[np.float32]
H = 10


def one_candidate(seed: int, k: int = 6, **options: float) -> Index:
    rng = np.random.default_rng(seed)
    valid = np.arange(k)[None] < rng.integers(1, k + 1)
    return Index.build(
        rng.standard_normal((1, k, H)).astype(np.float32), rng.integers(1, 500, (1, k)), valid,
        rng.standard_normal((1, H)).astype(np.float32), **options,
    )  # fmt: skip


def people(n: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, H)).astype(np.float32), (rng.standard_normal((H, H)) / 4).astype(np.float32)


@settings(deadline=None, max_examples=examples(200))
@given(
    values=st.lists(st.integers(-4, 4), min_size=1, max_size=50),
    rule=st.sampled_from(["size", "percent", "min_score", "reach"]),
    include_seeds=st.booleans(),
    data=st.data(),
)
def test_select_is_brute_force(values: list[int], rule: str, include_seeds: bool, data: st.DataObject) -> None:
    scores = np.array(values, np.float32) / 4
    users = st.lists(st.integers(-1, len(values) - 1), max_size=12)
    seeds, exclude = data.draw(users), data.draw(users)
    option = {
        "size": st.integers(1, 60),
        "percent": st.sampled_from([0.5, 1, 10, 33.3, 50, 99.9, 100]),
        "min_score": st.sampled_from([-2.0, -0.25, 0.0, 0.5, 2.0]),
        "reach": st.sampled_from(["narrow", "balanced", "broad"]),
    }[rule]
    value = data.draw(option)
    found = select(
        scores,
        exclude=np.array(exclude, np.int64),
        seeds=np.array(seeds, np.int64),
        include_seeds=include_seeds,
        **{rule: value},  # type: ignore[arg-type]  # one rule by name
    )

    pool = [u for u in range(len(values)) if u not in exclude and (include_seeds or u not in seeds)]
    pool.sort(key=lambda u: (-scores[u], u))
    if rule == "min_score":
        expected = [u for u in pool if scores[u] >= value]
    elif rule == "size":
        expected = pool[:value]
    else:
        percent = {"narrow": 1, "balanced": 5, "broad": 10}.get(value, value)
        expected = pool[: max(math.floor(len(pool) * percent / 100 + 1e-9), 1)]
    assert found.rows.tolist() == expected
    assert np.array_equal(found.scores, scores[expected])
    assert found.n_eligible == len(pool)
    assert found.seeds_used == len({s for s in seeds if s >= 0})
    assert found.seeds_unknown == seeds.count(-1)
    for size, least in found.reach:
        assert least == scores[pool[size - 1]]
    assert [size for size, _ in found.reach] == sorted(
        {s for s in (1, 2, 5, 10, 20) if s < len(pool)} | {len(pool)} - {0}
    )


def test_percent_is_of_the_eligible_users() -> None:
    scores = np.arange(1000, dtype=np.float32)
    found = select(scores, percent=1, seeds=np.arange(100, 300), exclude=np.arange(900, 1000))
    assert found.rows.tolist() == list(range(899, 892, -1))
    assert found.n_eligible == 700


def test_a_point_of_the_reach_curve_is_the_score_that_gives_its_size() -> None:
    scores = np.random.default_rng(0).permutation(5000).astype(np.float32) / 5000
    curve = select(scores, size=1).reach
    assert [size for size, _ in curve] == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    for size, least in curve:
        assert len(select(scores, min_score=least)) == size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing given"),
        ({"size": 5, "percent": 1}, "size and percent"),
        ({"min_score": 0.1, "reach": "broad"}, "min_score and reach"),
        ({"size": 0}, "size is 0"),
        ({"percent": 0}, "percent is 0"),
        ({"percent": 100.1}, "percent is 100.1"),
        ({"percent": float("nan")}, "percent is nan"),
        ({"min_score": float("inf")}, "min_score is inf"),
        ({"reach": "wide"}, "wide"),
        ({"size": 1, "include_seeds": True}, "include_seeds"),
    ],
)
def test_contradictory_or_senseless_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        select(np.zeros(10, np.float32), **options)  # type: ignore[arg-type]  # wrong on purpose


def test_rows_beyond_the_users_and_scores_that_are_no_numbers_are_refused() -> None:
    scores = np.zeros(10, np.float32)
    with pytest.raises(DataError, match="seeds holds rows"):
        select(scores, size=1, seeds=np.array([10]))
    with pytest.raises(DataError, match="exclude holds rows"):
        select(scores, size=1, exclude=np.array([-2]))
    scores[4] = np.nan
    with pytest.raises(DataError, match="NaN"):
        select(scores, size=1)


def test_no_one_is_left_when_everyone_is_a_seed() -> None:
    found = select(np.zeros(4, np.float32), reach="broad", seeds=np.arange(4))
    assert len(found) == 0
    assert found.reach == ()


@pytest.mark.parametrize("options", [{}, {"temperature": 4.0, "size_aware": True}, {"temperature": 30.0}])
@pytest.mark.parametrize(("n", "block"), [(1, 10), (64, 64), (333, 100), (333, 1000)])
def test_scores_of_all_users_are_those_of_the_scorer(n: int, block: int, options: dict[str, float]) -> None:
    users, W_l = people(n, seed=n)
    users[n // 2] = 0
    index = one_candidate(seed=block, **options)
    expected = score_users(index, users, users @ W_l.T)[:, 0]
    for threads in (1, 2):
        found = score_all(users, W_l, index, block=block, threads=threads)
        np.testing.assert_allclose(found, expected, atol=5e-6)


def test_users_may_be_mapped_from_a_file(tmp_path: Path) -> None:
    users, W_l = people(200, seed=1)
    np.save(tmp_path / "users.npy", users)
    mapped = np.load(tmp_path / "users.npy", mmap_mode="r")
    index = one_candidate(seed=2)
    assert np.array_equal(score_all(mapped, W_l, index, block=64), score_all(users, W_l, index))


def test_bad_matrices_are_refused() -> None:
    users, W_l = people(30, seed=1)
    index = one_candidate(seed=0)
    for E, W in ((users[:, 1:], W_l), (users, W_l[1:])):
        with pytest.raises(OptionError, match="users have shape"):
            score_all(E, W, index)
    with pytest.raises(OptionError, match="block"):
        score_all(users, W_l, index, block=0)
    with pytest.raises(OptionError, match="2 candidates"):
        score_all(users, W_l, index.take(np.array([0, 0])))
    users[23, 4] = np.inf
    with pytest.raises(DataError, match="user row 23"):
        score_all(users, W_l, index, block=10)


def test_expand_never_returns_a_seed_unless_asked() -> None:
    users, W_l = people(400, seed=3)
    index = one_candidate(seed=4)
    scores = score_all(users, W_l, index)
    seeds = np.concatenate([np.argsort(-scores)[:20], [-1, -1]])  # the best users are the seeds themselves
    found = expand(index, users, W_l, seeds=seeds, size=30)
    assert not set(found.rows.tolist()) & set(seeds.tolist())
    assert (found.seeds_used, found.seeds_unknown, found.n_eligible) == (20, 2, 380)
    with_them = expand(index, users, W_l, seeds=seeds, size=30, include_seeds=True)
    assert set(seeds[:20].tolist()) <= set(with_them.rows.tolist())
    without = expand(index, users, W_l, seeds=seeds, size=30, include_seeds=True, exclude=seeds[:5])
    assert not set(without.rows.tolist()) & set(seeds[:5].tolist())


def test_too_few_seeds_are_refused() -> None:
    users, W_l = people(50, seed=3)
    index = one_candidate(seed=4)
    few = np.array([1, 1, 1, 2, -1, -1, -1, -1, -1, -1, -1, -1])
    with pytest.raises(TooFewSeedsError, match="2 of 12 seeds"):
        expand(index, users, W_l, seeds=few, size=3)
    assert len(expand(index, users, W_l, seeds=few, size=3, min_seeds=2)) == 3
