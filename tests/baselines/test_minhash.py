from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from kinfolk.baselines.minhash import MinHash, share_band


def band_keys(sets, bands, rows, seed):
    return MinHash(sets.shape[1], bands, rows, seed).keys(sets)


def csr(sets, size=100):
    offsets = np.cumsum([0, *(len(s) for s in sets)])
    columns = np.array([c for s in sets for c in sorted(s)], np.int32)
    return sp.csr_matrix((np.ones(len(columns), np.float32), columns, offsets), shape=(len(sets), size))


@pytest.mark.parametrize(("common", "rows"), [(5, 1), (5, 2), (15, 2), (0, 1)])
def test_a_band_is_shared_with_the_probability_of_the_formula(common, rows):
    a = set(range(20))
    b = set(range(20 - common, 40 - common))
    j = len(a & b) / len(a | b)
    bands = 4000
    keys = band_keys(csr([a, b]), bands, rows, seed=1)
    shared = (keys[0] == keys[1]).mean()
    p = j**rows
    assert abs(shared - p) <= 4 * np.sqrt(p * (1 - p) / bands)


def test_equal_sets_share_every_band_and_empty_ones_none():
    keys = band_keys(csr([{1, 2}, {1, 2}, set(), set()]), 8, 2, seed=0)
    assert (keys[0] == keys[1]).all()
    assert not keys[2:].any()
    assert share_band(keys, keys[2:]).tolist() == [False] * 4
    assert share_band(keys, keys[:1]).tolist() == [True, True, False, False]


def test_share_band_is_the_plain_double_loop():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 8, (40, 3)).astype(np.uint64), rng.integers(0, 8, (3, 3)).astype(np.uint64)
    want = [any(x[i] == y[i] != 0 for y in b for i in range(3)) for x in a]
    assert share_band(a, b).tolist() == want
    assert not share_band(a, b[:0]).any()


def test_keys_are_those_of_the_definition():
    sets = [{1, 5, 9}, set(), {3}, set(range(40))]
    rng = np.random.default_rng([7, 100])
    orders = [[rng.integers(1, 2**63, size=100, dtype=np.uint64) for _ in range(2)] for _ in range(5)]
    want = np.zeros((4, 5), np.uint64)
    with np.errstate(over="ignore"):
        for i, features in enumerate(sets):
            for band in range(5):
                for order in orders[band] if features else []:
                    least = min(order[f] for f in features)
                    want[i, band] = (want[i, band] ^ least) * np.uint64(0x9E3779B97F4A7C15)
    np.testing.assert_array_equal(band_keys(csr(sets), 5, 2, seed=7), want)


def test_a_key_depends_on_the_set_alone():
    sets = [{1, 5, 9}, {3}, {1, 5, 9, 20}]
    np.testing.assert_array_equal(band_keys(csr(sets), 4, 2, 3)[2], band_keys(csr(sets[2:]), 4, 2, 3)[0])
