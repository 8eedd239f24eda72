"""Asking for memory ahead changes nothing that is computed, whatever the rows' width and type."""

import numba
import numpy as np
import pytest

from kinfolk.data.prefetch import AHEAD, fetch_row


@numba.njit
def _sums(table, rows):
    out = np.zeros(len(rows), table.dtype)
    for i in range(len(rows)):
        if i + AHEAD < len(rows):
            fetch_row(table, rows[i + AHEAD])
        out[i] = table[rows[i]].sum()
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
@pytest.mark.parametrize("width", [0, 1, 16, 37, 128])
def test_rows_are_what_they_were(width, dtype):
    rng = np.random.default_rng(0)
    table = rng.integers(-50, 50, (500, width)).astype(dtype)
    rows = rng.integers(0, 500, 200)
    before = table.copy()
    assert np.array_equal(_sums(table, rows), table[rows].sum(axis=1, dtype=dtype))
    assert np.array_equal(table, before)
