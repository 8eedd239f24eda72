import numpy as np
from scipy.stats import kstest

from kinfolk.simulate.chance import uniform


def test_numbers_are_even_and_independent_of_their_neighbours():
    x = uniform(7, 1, np.arange(300)[:, None], np.arange(300))
    assert x.shape == (300, 300)
    assert x.min() > 0
    assert x.max() < 1
    assert kstest(x.ravel(), "uniform").pvalue > 0.001
    beside = [np.corrcoef(x[1:].ravel(), x[:-1].ravel()), np.corrcoef(x[:, 1:].ravel(), x[:, :-1].ravel())]
    assert max(abs(c[0, 1]) for c in beside) < 0.02


def test_a_number_belongs_to_its_keys_and_to_nothing_else():
    users, items = np.array([5, 9, 2]), np.array([1, 1, 8])
    together = uniform(1, 2, users, items, 40)
    np.testing.assert_array_equal(together[[2, 0]], uniform(1, 2, users[[2, 0]], items[[2, 0]], 40))
    others = [uniform(2, 2, users, items, 40), uniform(1, 3, users, items, 40), uniform(1, 2, users, items, 41)]
    others.append(uniform(1, 2, items, users, 40))
    assert not any((other == together).any() for other in others)
