"""tanh and exp written out: near the library's, exact where it matters, the same bits wherever a number stands."""

from __future__ import annotations

import numpy as np
import pytest

from kinfolk.lookalike.attend import PADDING
from kinfolk.lookalike.curves import exp, tanh


def test_tanh_is_within_its_error_of_the_librarys() -> None:
    x = np.concatenate([np.linspace(-12, 12, 200_001), [-1e30, 1e30, -np.inf, np.inf]]).astype(np.float32)
    found = x.copy()
    tanh(found)
    assert np.abs(found - np.tanh(x.astype(np.float64))).max() < 3e-7
    assert np.abs(found).max() <= 1
    small = np.float32([0.0, -0.0, 1e-20, -1e-20, 1e-4])
    found = small.copy()
    tanh(found)
    np.testing.assert_allclose(found, small, rtol=1e-7)
    assert np.signbit(found[1])


def test_exp_is_within_its_error_of_the_librarys() -> None:
    x = np.linspace(-87.2, 0, 200_001).astype(np.float32)
    found = x.copy()
    exp(found)
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=2e-7)
    assert found[-1] == 1


def test_what_is_not_there_has_no_weight() -> None:
    found = np.float32([PADDING, -88, -np.inf])
    exp(found)
    assert found.tolist() == [0, 0, 0]


@pytest.mark.parametrize("curve", [exp, tanh])
def test_nan_stays_nan(curve: object) -> None:
    for n in (1, 16, 37):
        found = np.full(n, np.nan, np.float32)
        curve(found)  # type: ignore[operator]  # a compiled function
        assert np.isnan(found).all()


@pytest.mark.parametrize("curve", [exp, tanh])
def test_the_same_bits_wherever_a_number_stands(curve: object) -> None:
    x = -np.random.default_rng(0).gamma(1.0, 4.0, 100).astype(np.float32)
    whole = x.copy()
    curve(whole)  # type: ignore[operator]
    for first in range(40):
        part = x[first : first + 23].copy()
        curve(part)  # type: ignore[operator]
        assert part.tobytes() == whole[first : first + 23].tobytes()
