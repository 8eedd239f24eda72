from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.baselines import user_graph
from kinfolk.baselines.user_graph import edges_of, nearest_neighbours
from kinfolk.baselines.vectors import to_unit
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import JaggedCodes
from kinfolk.errors import SchemaError


def points(n, d=8, seed=0):
    return to_unit(np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32))


def brute(x, k):
    cosine = (x @ x.T).astype(np.float64)
    np.fill_diagonal(cosine, -np.inf)
    graph = np.zeros_like(cosine)
    for row, best in enumerate(np.argsort(-cosine, axis=1)[:, :k]):
        good = best[cosine[row, best] > 0]
        graph[row, good] = cosine[row, good]
    return np.maximum(graph, graph.T)


def test_neighbours_are_the_nearest_in_both_directions():
    x = points(60)
    x[7] = 0
    graph = nearest_neighbours(x, 5, seed=0).toarray()
    np.testing.assert_allclose(graph, brute(x, 5), atol=1e-6)
    assert not graph[7].any()
    assert not graph.diagonal().any()


def test_search_in_cells_finds_nearly_all_of_them(monkeypatch):
    monkeypatch.setattr(user_graph, "EXACT", 100)
    rng = np.random.default_rng(1)
    x = to_unit((np.repeat(rng.normal(size=(20, 8)), 20, axis=0) + 0.3 * rng.normal(size=(400, 8))).astype(np.float32))
    got, want = nearest_neighbours(x, 5, seed=0).toarray() > 0, brute(x, 5) > 0
    assert (got & want).sum() / want.sum() > 0.9


def test_fewer_users_than_neighbours():
    assert nearest_neighbours(points(3), 10, seed=0).shape == (3, 3)
    assert nearest_neighbours(np.zeros((4, 2), np.float32), 10, seed=0).nnz == 0


def with_friends(world, friends):
    values = np.array(["u001", "u005", "nobody", "u000"])
    rows = [friends.get(u, []) for u in range(world.log.n_users)]
    users = {**world.log.users, "friends": JaggedCodes(Jagged.of(rows, np.int32), values)}
    return replace(world.log, users=users)


def test_edges_join_the_users_a_field_names(checkerboard):
    # codes: 1 is u001, 2 is u005, 3 is unknown, 4 is u000; repeats count once, oneself not at all
    log = with_friends(checkerboard, {0: [1, 3, 4], 1: [4], 9: [2, 2]})
    graph = edges_of(log, "friends")
    assert sorted(zip(*graph.nonzero(), strict=True)) == [(0, 1), (1, 0), (5, 9), (9, 5)]
    assert set(graph.data) == {1.0}


@pytest.mark.parametrize("field", ["team", "nothing"])
def test_a_field_that_holds_no_ids_is_refused(checkerboard, field):
    with pytest.raises(SchemaError, match=field):
        edges_of(checkerboard.log, field)
