from __future__ import annotations

import numpy as np
import pytest

from kinfolk.baselines.lsh_nearest import OUTSIDE, LshNearest
from kinfolk.errors import OptionError


def test_the_score_is_the_best_cosine_among_the_seeds_that_share_a_bucket(checkerboard):
    method = LshNearest(tables=3, bits=4, max_seeds=8)
    method.fit(checkerboard.seen)
    users, candidates = np.arange(304, dtype=np.int32), checkerboard.candidates()
    scores = method.score(users, candidates, checkerboard.later)
    x = method.vectors.rows(users, checkerboard.seen)
    bucket = method.buckets(x)
    for c in range(2):
        seeds = np.asarray(candidates.seeds[c])[-8:]
        for u in range(0, 304, 5):
            met = [float(x[u] @ x[s]) for s in seeds if (bucket[u] == bucket[s]).any()]
            want = max(met) if met and x[u].any() else OUTSIDE
            assert abs(scores[u, c] - want) < 1e-5
    assert (scores == OUTSIDE).any()
    assert (scores > OUTSIDE).any()


def test_a_bit_agrees_with_probability_1_minus_angle_over_pi():
    method = LshNearest(tables=4000, bits=1)
    rng = np.random.default_rng(0)
    method.planes = rng.standard_normal((2, 4000)).astype(np.float32)
    angle = 1.0
    bits = method.buckets(np.array([[1, 0], [np.cos(angle), np.sin(angle)]], np.float32))
    p = 1 - angle / np.pi
    assert abs((bits[0] == bits[1]).mean() - p) < 4 * np.sqrt(p * (1 - p) / 4000)


def test_impossible_options_are_refused():
    with pytest.raises(OptionError, match="bits"):
        LshNearest(bits=63)
