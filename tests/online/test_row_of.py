"""Rows by key against a plain dict."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinfolk.online.row_of import RowOf

KEYS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=60)


@given(KEYS, KEYS)
def test_the_first_row_of_every_key(keys, asked):
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    found = RowOf(np.array(keys, np.uint64))(np.array(keys + asked, np.uint64))
    assert found.tolist() == [first.get(key, -1) for key in keys + asked]


def test_of_many_that_share_a_key_the_first_has_it():
    keys = np.tile(np.arange(500, dtype=np.uint64)[::-1], 9)
    np.testing.assert_array_equal(RowOf(keys)(keys[:500]), np.arange(500))
