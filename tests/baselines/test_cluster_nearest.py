from __future__ import annotations

import numpy as np

from kinfolk.baselines.cluster_nearest import ClusterNearest


def test_the_score_is_the_best_cosine_to_a_seed_centroid_plus_the_share_of_seeds_in_the_own_cluster(checkerboard):
    method = ClusterNearest(clusters=6, share_weight=0.5)
    method.fit(checkerboard.seen)
    users, candidates = np.arange(304, dtype=np.int32), checkerboard.candidates()
    scores = method.score(users, candidates, checkerboard.later)
    x = method.vectors.rows(users, checkerboard.seen).astype(np.float64)
    home = ((x[:, None] - method.centroids[None]) ** 2).sum(-1).argmin(1)
    for c in range(2):
        seeds = np.asarray(candidates.seeds[c])
        sums = {h: x[seeds[home[seeds] == h]].sum(0) for h in set(home[seeds])}
        for u in range(0, 300, 13):
            cosine = max(x[u] @ s / np.linalg.norm(s) for s in sums.values())
            assert abs(scores[u, c] - cosine - 0.5 * (home[seeds] == home[u]).mean()) < 1e-4
        assert (scores[300:, c] == 0).all()


def test_more_clusters_than_users_is_fine(checkerboard):
    method = ClusterNearest(clusters=1000)
    method.fit(checkerboard.seen)
    assert np.isfinite(method.score(np.arange(9, dtype=np.int32), checkerboard.candidates(), checkerboard.later)).all()
