"""Intervals over seeds and units, against plain resampling and SciPy."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from kinfolk.reproduce.spread import cells, compared, matrices, over_both, over_seeds, percent, shown


def test_both_seeds_and_units_are_drawn():
    rng = np.random.default_rng(0)
    of_seed, of_unit = rng.normal(0, 1.0, (6, 1)), rng.normal(0, 0.5, (1, 80))
    values = 3 + of_seed + of_unit
    i = over_both(values)
    assert i.mean == pytest.approx(values.mean())
    assert i.count == 80
    slow = []
    for _ in range(3000):
        some = values[rng.integers(0, 6, 6)][:, rng.integers(0, 80, 80)]
        slow.append(some.mean())
    np.testing.assert_allclose([i.low, i.high], np.percentile(slow, [2.5, 97.5]), atol=0.12)
    alone = over_both(values.mean(0, keepdims=True))
    assert alone.high - alone.low < 0.5 * (i.high - i.low), "without other trainings it looks surer than it is"


def test_what_is_missing_is_left_out():
    values = np.array([[1.0, np.nan, 3.0, 2.0], [2.0, np.nan, np.nan, 2.0]])
    i = over_both(values)
    assert (i.mean, i.count) == (2.0, 3)
    assert i.low <= 2.0 <= i.high
    assert np.isnan(over_both(values[:, :2]).low), "no interval from one unit"
    assert over_both(np.full((2, 4), np.nan)).count == 0


def test_students_interval_over_seeds():
    x = [0.7, 0.71, 0.74, 0.69, np.nan]
    i = over_seeds(x)
    want = stats.t.interval(0.95, 3, np.mean(x[:4]), stats.sem(x[:4]))
    np.testing.assert_allclose([i.low, i.high], want)
    assert np.isnan(over_seeds([0.7]).low)
    assert not over_seeds([0.7]).excludes_zero


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    ease = rng.random(50)
    return pl.DataFrame(
        [
            {"variant": v, "seed": s, "user": 7 * u, "auc": ease[u] + plus + 0.001 * s}
            for v, plus in (("a", 0.0), ("b", 0.05))
            for s in (0, 1, 2)
            for u in rng.permutation(50).tolist()
        ]
    )


def test_variants_are_paired_unit_by_unit(rows):
    table = compared(rows, ["auc"], "user", {"a": None, "b": "a"})
    a, b = table.to_dicts()
    assert (a["seeds"], a["units"], a["auc_difference"]) == (3, 50, None)
    assert b["auc_difference"] == pytest.approx(0.05)
    assert b["auc_difference_high"] - b["auc_difference_low"] < 1e-6, "what both have in common falls out"
    assert b["auc_high"] - b["auc_low"] > 0.05
    assert a["auc_sd"] == pytest.approx(0.001)
    found = matrices(rows, "auc", "user")
    assert found["a"].shape == (3, 50)
    assert found["b"][2, 4] == rows.filter(variant="b", seed=2, user=28)["auc"][0]
    text = cells(table, ["auc"])
    assert text.columns == ("variant", "AUC", "Δ AUC", "sd of AUC over seeds")
    assert text.rows[1][2] == "+0.0500 [+0.0500, +0.0500]"
    assert text.rows[0][2] == "–"


def test_several_rows_of_a_unit_are_averaged():
    rows = pl.DataFrame({"variant": ["a"] * 3, "seed": [0] * 3, "item": [1, 1, 2], "eauc": [0.5, 0.7, float("nan")]})
    np.testing.assert_array_equal(matrices(rows, "eauc", "item")["a"], [[0.6, np.nan]])


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ((None,), "–"),
        ((float("nan"), 0.1, 0.2), "–"),
        ((0.5, None, None), "0.5000"),
        ((1234.5, 1000.0, 2000.0), "1,234 [1,000, 2,000]"),
    ],
)
def test_numbers_as_text(given, want):
    assert shown(*given) == want


def test_relative_differences_are_told_in_per_cent():
    assert percent(0.0017, -0.0021, 0.0054) == "+0.17 [-0.21, +0.54]"
    assert percent(-0.5, float("nan"), float("nan")) == "-50.00"
    assert percent(float("nan"), 0.1, 0.2) == "–"
