"""What a user's activity counts for in an audience."""

import numpy as np
import pytest

from kinfolk.errors import OptionError
from kinfolk.lookalike.activity import DOSES, Active, bonus

ACTIVE = Active(unit=2.0, mean=np.log(8.0))


def test_interest_is_blind_to_it_and_reach_sees_it():
    lengths = np.array([0, 7, 63])
    assert not bonus(lengths, ACTIVE, "interest").any()
    expected = DOSES["reach"] * 2 * np.log([1 / 8, 1, 8])
    np.testing.assert_allclose(bonus(lengths, ACTIVE, "reach"), expected, atol=1e-6)
    assert expected[2] > 0


def test_a_model_that_knows_nothing_of_it_gives_none():
    assert not bonus(np.array([0, 7, 63]), None, "reach").any()


def test_another_choice_is_refused_with_those_there_are():
    with pytest.raises(OptionError, match="activity is 'much'"):
        bonus(np.array([1]), None, "much")
