"""k-means of one set and of many: scikit-learn as oracle, and what must hold for any points."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike import seeding
from kinfolk.lookalike.clusters import Clustering, kmeans
from kinfolk.lookalike.clusters_many import Clusterings, kmeans_many
from kinfolk.testing.counts import examples

Points = NDArray[np.float32]


def blobs(n: int, d: int, groups: int, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    centres = 4 * rng.standard_normal((groups, d))
    return (centres[rng.integers(0, groups, n)] + rng.standard_normal((n, d))).astype(np.float32)


def assert_sound(points: Points, result: Clustering, k: int) -> None:
    """What the docstring of Clustering promises, recomputed in float64."""
    x = points.astype(np.float64)
    assert result.sizes.sum() == len(x)
    assert np.array_equal(result.sizes, np.bincount(result.assignment, minlength=k))
    assert np.array_equal(result.valid, result.sizes > 0)
    assert np.array_equal(result.valid, np.sort(result.valid)[::-1])
    assert not result.centroids[~result.valid].any()
    for j in np.flatnonzero(result.valid):
        mean = x[result.assignment == j].mean(axis=0)
        np.testing.assert_allclose(result.centroids[j], mean, rtol=1e-5, atol=1e-5 * max(np.abs(x).max(), 1e-30))
    inertia = ((x - result.centroids[result.assignment]) ** 2).sum()
    np.testing.assert_allclose(result.inertia, inertia, rtol=1e-4, atol=1e-8 * (x**2).sum())


def same(a: Clustering, b: Clustering) -> bool:
    parts = ("centroids", "sizes", "assignment", "inertia", "valid")
    return all(np.array_equal(getattr(a, p), getattr(b, p)) for p in parts)


def one_of(many: Clusterings, c: int, offsets: NDArray[np.int64]) -> Clustering:
    part = slice(offsets[c], offsets[c + 1])
    return Clustering(many.centroids[c], many.sizes[c], many.assignment[part], many.inertia[c], many.valid[c])


@pytest.mark.parametrize(("n", "d", "k", "groups"), [(3000, 16, 20, 40), (2000, 16, 20, 20), (2000, 8, 5, 3)])
def test_inertia_is_within_one_percent_of_scikit_learn(n: int, d: int, k: int, groups: int) -> None:
    points = blobs(n, d, groups, seed=n)
    ours = [kmeans(points, k, seed=s, iterations=100).inertia for s in range(8)]
    theirs = KMeans(k, n_init=4, max_iter=100, random_state=0).fit(points).inertia_
    assert min(ours) <= 1.01 * theirs


@pytest.mark.parametrize("groups", [1, 3, 60])  # with 20 groups a run finds all or not: a coin, for either
def test_one_run_is_typically_as_good_as_one_of_scikit_learn(groups: int) -> None:
    points = blobs(2000, 16, groups, seed=groups)
    ours = [kmeans(points, 20, seed=s).inertia for s in range(9)]
    theirs = [KMeans(20, n_init=1, max_iter=25, random_state=s).fit(points).inertia_ for s in range(9)]
    assert np.median(ours) <= 1.01 * np.median(theirs)


def test_lloyd_steps_are_those_of_scikit_learn_from_the_same_start() -> None:
    points = blobs(2000, 12, 8, seed=5)
    ours = kmeans(points, 10, seed=0, start=points[:10], iterations=300, tolerance=0)
    theirs = KMeans(10, init=points[:10], n_init=1, max_iter=300, tol=0, algorithm="lloyd").fit(points)
    assert np.array_equal(ours.assignment, theirs.labels_)
    np.testing.assert_allclose(ours.centroids, theirs.cluster_centers_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.inertia, theirs.inertia_, rtol=1e-5)


def test_many_is_within_one_percent_of_scikit_learn_summed_over_candidates() -> None:
    offsets = np.cumsum([0, 30, 400, 150, 90, 700])
    points = blobs(offsets[-1], 10, 30, seed=3)
    ours = np.min([kmeans_many(points, offsets, 8, seed=s, iterations=100).inertia for s in range(10)], axis=0)
    theirs = [KMeans(8, n_init=4, max_iter=100, random_state=0).fit(points[a:b]).inertia_ for a, b in pairwise(offsets)]
    assert ours.sum() <= 1.01 * np.sum(theirs)


@settings(deadline=None, max_examples=examples(60))
@given(
    n=st.integers(1, 60),
    d=st.integers(1, 9),
    k=st.integers(1, 12),
    distinct=st.integers(1, 60),
    offset=st.sampled_from([0.0, 1.0, 1000.0]),
    seed=st.integers(-(2**63), 2**64),
)
def test_clusters_are_sound_whatever_the_points(
    n: int, d: int, k: int, distinct: int, offset: float, seed: int
) -> None:
    rng = np.random.default_rng(seed % 2**32)
    places = rng.standard_normal((distinct, d)).astype(np.float32) + np.float32(offset)
    points = places[rng.integers(0, distinct, n)]
    one = kmeans(points, k, seed=seed)
    many = kmeans_many(points, np.array([0, n]), k, seed=seed)
    for result in (one, one_of(many, 0, np.array([0, n]))):
        assert_sound(points, result, k)
        expected = n if n <= k else min(k, len(np.unique(points, axis=0)))
        assert result.valid.sum() == expected


@pytest.mark.parametrize("places", [1, 2, 7])
def test_duplicates_fill_as_many_clusters_as_there_are_places(places: int) -> None:
    points = np.repeat(blobs(places, 6, places, seed=places) + 100, 50, axis=0)
    result = kmeans(points, 10, seed=4)
    assert result.valid.sum() == places
    assert result.inertia == 0
    assert {tuple(c) for c in result.centroids[result.valid]} == {tuple(p) for p in points}
    assert (result.sizes[result.valid] == 50).all()


@pytest.mark.parametrize("n", [1, 4, 6])
def test_no_more_points_than_clusters_keeps_every_point(n: int) -> None:
    points = blobs(n, 5, 2, seed=n)
    result = kmeans(points, 6, seed=0)
    assert np.array_equal(result.centroids[:n], points)
    assert np.array_equal(result.assignment, np.arange(n))
    assert result.valid.tolist() == [True] * n + [False] * (6 - n)
    assert result.inertia == 0


def test_no_points_at_all_is_all_padding() -> None:
    empty = np.zeros((0, 4), np.float32)
    assert not kmeans(empty, 3, seed=0).valid.any()
    many = kmeans_many(empty, np.array([0, 0, 0]), 3, seed=0)
    assert many.valid.shape == (2, 3)
    assert not many.valid.any()
    assert len(kmeans_many(empty, np.array([0]), 3, seed=0)) == 0


def test_an_empty_cluster_is_given_the_farthest_point() -> None:
    points = np.array([[0], [0.1], [0.2], [9]], np.float32)
    far_off = np.array([[0.1], [-50], [-60]], np.float32)
    result = kmeans(points, 3, seed=0, start=far_off, iterations=1)
    assert result.valid.all()
    assert result.sizes[result.assignment[3]] == 1


def test_threads_change_nothing_and_the_seed_does() -> None:
    points = blobs(20_000, 6, 9, seed=1)
    alone, together = (kmeans(points, 12, seed=7, threads=t, iterations=4) for t in (1, 3))
    assert same(alone, together)
    assert not same(alone, kmeans(points, 12, seed=8, iterations=4))


@settings(deadline=None, max_examples=examples(25))
@given(sizes=st.lists(st.integers(0, 80), min_size=1, max_size=12), seed=st.integers(0, 2**32), data=st.data())
def test_a_candidate_is_clustered_the_same_alone_and_among_others(
    sizes: list[int], seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    vectors = blobs(50, 4, 5, seed=0)
    rows = rng.integers(0, 50, offsets[-1])
    keys = rng.integers(-(2**62), 2**62, len(sizes))
    many = kmeans_many(vectors, offsets, 5, seed=seed, rows=rows, keys=keys, threads=2)
    copied = kmeans_many(vectors[rows], offsets, 5, seed=seed, keys=keys, threads=1)
    c = data.draw(st.integers(0, len(sizes) - 1))
    part = slice(offsets[c], offsets[c + 1])
    alone = kmeans_many(
        vectors, np.array([0, sizes[c]]), 5, seed=seed, rows=rows[part], keys=keys[c : c + 1], threads=1
    )
    assert same(one_of(many, c, offsets), one_of(alone, 0, np.array([0, sizes[c]])))
    assert same(one_of(many, c, offsets), one_of(copied, c, offsets))


def test_candidates_with_the_same_points_differ_by_key() -> None:
    points = blobs(300, 6, 1, seed=2)
    twice = np.concatenate([points, points])
    offsets = np.array([0, 300, 600])
    by_position = kmeans_many(twice, offsets, 8, seed=0)
    same_key = kmeans_many(twice, offsets, 8, seed=0, keys=np.array([5, 5]))
    assert not np.array_equal(by_position.centroids[0], by_position.centroids[1])
    assert np.array_equal(same_key.centroids[0], same_key.centroids[1])


def test_a_warm_start_stays_where_it_converged_and_fills_rows_of_zeros() -> None:
    points = blobs(1500, 8, 6, seed=9)
    offsets = np.array([0, 500, 1500])
    done = kmeans_many(points, offsets, 6, seed=0, iterations=200, tolerance=0)
    again = kmeans_many(points, offsets, 6, seed=99, start=done.centroids, iterations=1)
    np.testing.assert_allclose(again.centroids, done.centroids, atol=1e-5)
    one = kmeans(points[:500], 6, seed=99, start=done.centroids[0], iterations=1)
    np.testing.assert_allclose(one.centroids, done.centroids[0], atol=1e-5)
    holed = done.centroids.copy()
    holed[:, 3] = 0
    filled = kmeans_many(points, offsets, 6, seed=0, start=holed)
    assert filled.valid.all()
    assert (filled.inertia <= 1.5 * done.inertia).all()
    assert holed[:, 3].sum() == 0  # the caller's array is left alone


def test_a_sample_serves_nearly_as_well_and_everyone_is_assigned() -> None:
    points = blobs(6000, 6, 10, seed=4)
    whole = min(kmeans(points, 10, seed=s).inertia for s in range(3))
    for limit in (600, 5999):
        runs = [kmeans(points, 10, seed=s, sample_limit=limit) for s in range(5)]
        assert_sound(points, runs[0], 10)
        assert min(r.inertia for r in runs) <= 1.1 * whole
    many = kmeans_many(points, np.array([0, 6000]), 10, seed=0, sample_limit=600)
    assert_sound(points, one_of(many, 0, np.array([0, 6000])), 10)


@pytest.mark.parametrize("n", [1500, 4000, 30_000])
def test_a_large_set_is_clustered_on_larger_and_larger_samples_as_well_as_at_once(n: int) -> None:
    points, k = blobs(n, 6, 3, seed=n), 2
    theirs = KMeans(k, n_init=3, max_iter=300, random_state=0).fit(points).inertia_
    for seed in range(3):
        one = kmeans(points, k, seed=seed)
        many = one_of(kmeans_many(points, np.array([0, n]), k, seed=seed), 0, np.array([0, n]))
        for result in (one, many):
            assert_sound(points, result, k)
            assert result.inertia <= 1.005 * theirs


@pytest.mark.parametrize(("n", "sizes"), [(999, [999]), (20_000, [512, 1250, 5000, 20_000]), (4000, [512, 4000])])
def test_samples_grow_by_four_up_to_everybody(n: int, sizes: list[int]) -> None:
    found = [seeding.first_sample(n, 2, n)]
    while found[-1] < n:
        found.append(seeding.next_sample(found[-1], n, n))
    assert found == sizes
    assert seeding.next_sample(512, 20_000, 1000) == 20_000  # the limit leaves no larger sample


@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e20, 1.1e15])
@pytest.mark.parametrize("at", range(0, 3000, 599))
def test_a_point_that_is_no_number_is_found_in_a_large_set_whether_a_sample_holds_it_or_not(
    bad: float, at: int
) -> None:
    points = blobs(3000, 3, 2, seed=0)
    points[at, 1] = bad
    with pytest.raises(DataError, match=f"point {at + 20} "):
        kmeans_many(
            points, np.array([0, 20, 3020]), 2, seed=0, rows=np.concatenate([np.arange(1, 21), np.arange(3000)])
        )


def test_large_points_are_clustered_up_to_the_limit() -> None:
    points = blobs(3000, 3, 2, seed=0) * np.float32(1e13)
    large = kmeans_many(points, np.array([0, 3000]), 2, seed=0)
    assert_sound(points, one_of(large, 0, np.array([0, 3000])), 2)


def test_far_from_the_origin_neighbours_are_still_told_apart() -> None:
    near = blobs(2000, 4, 6, seed=8)
    moved = near + np.float32(2048)
    ours = min(kmeans(moved, 6, seed=s, iterations=100).inertia for s in range(5))
    assert ours <= 1.01 * KMeans(6, n_init=5, random_state=0).fit(near).inertia_


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e20])
def test_points_that_are_no_numbers_are_refused(bad: float) -> None:
    points = blobs(40, 3, 2, seed=0)
    points[17, 1] = bad
    with pytest.raises(DataError, match="point 17"):
        kmeans(points, 4, seed=0)
    with pytest.raises(DataError, match="point 17"):
        kmeans_many(points, np.array([0, 10, 40]), 4, seed=0)
    unused = np.arange(17)
    assert kmeans_many(points, np.array([0, 17]), 4, seed=0, rows=unused).valid.all()


def test_options_that_make_no_sense_are_refused() -> None:
    points = blobs(20, 3, 2, seed=0)
    offsets = np.array([0, 20])
    for options in ({"iterations": 0}, {"sample_limit": 0}, {"start": points[:3]}, {"threads": 0}):
        with pytest.raises(OptionError):
            kmeans(points, 4, seed=0, **options)  # type: ignore[arg-type]  # wrong on purpose
    for k in (0, -1):
        with pytest.raises(OptionError, match="k is"):
            kmeans(points, k, seed=0)
    with pytest.raises(DataError):
        kmeans(points, 4, seed=0, start=np.full((4, 3), np.nan, np.float32))
    for wrong in (np.array([0, 19]), np.array([1, 20]), np.array([0, 30, 20])):
        with pytest.raises(OptionError, match="offsets"):
            kmeans_many(points, wrong, 4, seed=0)
    with pytest.raises(OptionError, match="keys"):
        kmeans_many(points, offsets, 4, seed=0, keys=np.arange(2))
    for outside in (-1, 20):
        with pytest.raises(DataError, match="rows reach"):
            kmeans_many(points, np.array([0, 2]), 4, seed=0, rows=np.array([0, outside]))


def test_sets_whose_clusters_run_empty_are_still_assigned_and_counted() -> None:
    # More places to fill than the start finds useful: two far groups of equal points, and starts that share a place.
    x = np.repeat(np.array([[0, 0], [10, 0], [10, 1]], np.float32), 1000, axis=0)
    start = np.array([[5, 5], [5, 5.5], [100, 100]], np.float32)
    for iterations in (1, 2, 25):
        found = kmeans(x, 3, seed=0, start=start, iterations=iterations)
        assert (found.assignment >= 0).all()
        np.testing.assert_array_equal(np.bincount(found.assignment, minlength=3), found.sizes)
        for j in np.flatnonzero(found.valid):
            np.testing.assert_allclose(found.centroids[j], x[found.assignment == j].mean(axis=0), rtol=1e-5, atol=1e-6)
