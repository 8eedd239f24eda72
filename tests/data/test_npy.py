"""Plain arrays in files: what is written is read, and objects are neither written nor read."""

import numpy as np
import pytest

from kinfolk.data.npy import read_npy, write_npy

OBJECTS = np.array([{"a": 1}, None], object)


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(["a", "bc"]), np.zeros(0)])
def test_a_round_trip(tmp_path, array):
    write_npy(tmp_path / "a.npy", array)
    got = read_npy(tmp_path / "a.npy")
    assert got.dtype == array.dtype
    assert np.array_equal(got, array)


def test_objects_are_refused_both_ways(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        write_npy(tmp_path / "a.npy", OBJECTS)
    np.save(tmp_path / "b.npy", OBJECTS, allow_pickle=True)  # as somebody else might have
    with pytest.raises(ValueError, match="Python objects"):
        read_npy(tmp_path / "b.npy")
