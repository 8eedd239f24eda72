"""What the treatment multiplies into the ranker's pctr: the look-alike score, or for a check the true interest.

A weighting learns from clicks (`observe`), once a step brings its crowds up to date (`refresh`), and scores users
against live items, NaN where it knows nothing: such an item counts with the mean (`kinfolk.lookalike.rerank`).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kinfolk.bundle import Bundle
from kinfolk.lookalike.clusters_many import kmeans_many
from kinfolk.lookalike.score import score_users
from kinfolk.lookalike.weights import Snapshot
from kinfolk.simulate.shown import Shown
from kinfolk.simulate.world import World

MOST_SEEDS = 2000
"""The newest clickers of an item that are clustered."""
_ITERATIONS = 5  # a warm start needs few

Rows = NDArray[np.int64]


class Weighting(Protocol):
    """What the treatment needs to know."""

    def observe(self, shown: Shown) -> None:
        """Impressions of both arms."""

    def refresh(self, live: Rows) -> None:
        """Make everything observed count."""

    def scores(self, users: Rows, live: Rows) -> NDArray[np.float64]:
        """float64[users, live], NaN for unknown."""


class Lookalike:
    """Seeds -> clusters -> scores with kinfolk's own kernels; user vectors as of the end of the warm-up.

    Args:
        bundle: a model of the warm-up's log; its user rows are the world's.
        n_items: of the world.
        seed: of the clustering.
    """

    def __init__(self, bundle: Bundle, n_items: int, seed: int = 0) -> None:
        self._weights, self._seed = bundle.weights, seed
        self._users = np.ascontiguousarray(bundle.lookalike, np.float32)
        self._queries = bundle.weights.queries(self._users)
        k, h = bundle.weights.config.k, bundle.weights.config.h
        self._seeds: list[Rows] = [np.zeros(0, np.int64)] * n_items  # newest last
        self._dirty = np.zeros(n_items, bool)
        self._centroids = np.zeros((n_items, k, h), np.float32)
        self._sizes = np.zeros((n_items, k), np.float32)
        self._overall = np.zeros((n_items, h), np.float32)

    def observe(self, shown: Shown) -> None:
        """Clickers become seeds; one who clicks again moves to the front."""
        item, user = shown.item[shown.clicked], shown.user[shown.clicked]
        if not len(item):
            return
        order = np.argsort(item, kind="stable")
        items, first = np.unique(item[order], return_index=True)
        for i, new in zip(items.tolist(), np.split(user[order], first[1:]), strict=True):
            self._seeds[i] = _newest(np.concatenate([self._seeds[i], new]))
        self._dirty[items] = True

    def refresh(self, live: Rows) -> None:
        """Cluster live items whose seeds changed, from where their centroids were."""
        changed = live[self._dirty[live]]
        if not len(changed):
            return
        seeds = [self._seeds[i] for i in changed.tolist()]
        offsets = np.concatenate([[0], np.cumsum([len(s) for s in seeds])]).astype(np.int64)
        found = kmeans_many(
            self._users,
            offsets,
            self._weights.config.k,
            seed=self._seed,
            rows=np.concatenate(seeds),
            keys=changed,
            iterations=_ITERATIONS,
            start=self._centroids[changed],
            threads=1,
        )
        crowds = self._weights.crowds(found.centroids, found.sizes, np.diff(offsets))
        self._centroids[changed] = crowds.centroids
        self._sizes[changed] = crowds.sizes
        self._overall[changed] = crowds.global_embedding
        self._dirty[changed] = False

    def scores(self, users: Rows, live: Rows) -> NDArray[np.float64]:
        """NaN for an item without a seed."""
        out = np.full((len(users), len(live)), np.nan)
        known = np.flatnonzero(self._sizes[live].any(axis=1))
        if len(known) and len(users):
            rows = live[known]
            sizes = self._sizes[rows]
            crowds = Snapshot(self._centroids[rows], sizes, self._overall[rows], sizes.sum(axis=1).astype(np.int64))
            out[:, known] = score_users(self._weights.index(crowds), self._users[users], self._queries[users])
        return out


class Truth:
    """The true interest of every user in every item: no method can know it; whoever weighs with it must win."""

    def __init__(self, world: World) -> None:
        self._world = world

    def observe(self, shown: Shown) -> None:
        """It knows already."""

    def refresh(self, live: Rows) -> None:
        """It knows already."""

    def scores(self, users: Rows, live: Rows) -> NDArray[np.float64]:
        """Between the world's background and 1."""
        return np.asarray(self._world.interest(users[:, None], live[None]), np.float64)


def _newest(users: Rows) -> Rows:
    """Each user once, at the place of their last click; the last `MOST_SEEDS` of them."""
    last = len(users) - 1 - np.unique(users[::-1], return_index=True)[1]
    return users[np.sort(last)][-MOST_SEEDS:]
