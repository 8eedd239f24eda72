from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from kinfolk.errors import OptionError
from kinfolk.evaluate.intervals import bootstrap, compare, detectable, paired_differences


def test_interval_of_a_mean_is_close_to_the_normal_one():
    x = np.random.default_rng(0).normal(3.0, 2.0, 400)
    got = bootstrap(x)
    half = 1.96 * x.std() / 20
    assert got.mean == pytest.approx(x.mean())
    assert got.low == pytest.approx(x.mean() - half, abs=0.05)
    assert got.high == pytest.approx(x.mean() + half, abs=0.05)
    assert got == bootstrap(x)
    assert got != bootstrap(x, seed=2)


def test_nan_is_left_out_and_few_units_have_no_interval():
    got = bootstrap([1.0, math.nan, 3.0])
    assert (got.mean, got.count) == (2.0, 2)
    assert math.isnan(got.low)
    assert not got.excludes_zero
    assert math.isnan(bootstrap([]).mean)


def test_units_of_one_cluster_are_drawn_together():
    clusters = np.repeat(np.arange(10), 50)
    x = np.random.default_rng(1).normal(size=10)[clusters]  # 500 units that are worth ten
    alone, together = bootstrap(x), bootstrap(x, clusters=clusters)
    assert together.mean == pytest.approx(alone.mean)
    assert together.high - together.low > 3 * (alone.high - alone.low)


def frame() -> pl.DataFrame:
    """Two training seeds; item 3 is missing for b, item 2 has no value."""
    rows = []
    for seed, shift in ((0, -0.1), (1, 0.1)):
        for item in range(4):
            for n in (10, 30):
                base = item / 10
                rows.append({"item": item, "n": n, "seed": seed, "method": "a", "auc": base + 0.2 + shift})
                if item != 3:
                    rows.append(
                        {"item": item, "n": n, "seed": seed, "method": "b", "auc": math.nan if item == 2 else base}
                    )
    return pl.DataFrame(rows)


def test_differences_are_paired_and_averaged_over_training_seeds():
    got = paired_differences(frame(), "a", "b", "auc")
    assert got["item"].to_list() == [0, 0, 1, 1]
    assert got["difference"].to_numpy() == pytest.approx([0.2] * 4)


def test_pooling_over_n_counts_every_item_once():
    rows = [{"item": i, "n": n, "method": "b", "auc": 0.0} for i in range(4) for n in (10, 30, 100)]
    rows += [{"item": i, "n": n, "method": "a", "auc": float(i)} for i in range(4) for n in (10, 30, 100)]
    table = pl.DataFrame(rows).filter(~((pl.col("item") == 0) & (pl.col("n") > 10)))
    got = compare(table, "a", "b", "auc")
    assert (got.mean, got.count) == (1.5, 4)
    assert got.low < 1.5 < got.high
    assert got.detectable == pytest.approx(detectable([0.0, 1.0, 2.0, 3.0]))


def test_least_detectable_difference_has_the_power_it_names():
    rng = np.random.default_rng(3)
    spread = rng.normal(size=(3000, 50))
    true = detectable(rng.normal(size=100_000)) * math.sqrt(100_000 / 50)
    z = (spread + true).mean(1) / (spread.std(1, ddof=1) / math.sqrt(50))
    assert (z > 1.96).mean() == pytest.approx(0.8, abs=0.03)


def test_an_unknown_method_is_named():
    with pytest.raises(OptionError, match="'c'"):
        paired_differences(frame(), "a", "c", "auc")


def test_pairs_or_clusters_count_alike():
    """One cluster of nine pairs at +1, two of one pair at -1 each."""
    rows = [
        {"h": h, "user": u, "method": m, "x": d if m == "a" else 0.0}
        for h, size, d in ((0, 9, 1.0), (1, 1, -1.0), (2, 1, -1.0))
        for u in range(size)
        for m in ("a", "b")
    ]
    scores = pl.DataFrame(rows)
    even = compare(scores, "a", "b", "x", unit=("h", "user"), cluster="h")
    every = compare(scores, "a", "b", "x", unit=("h", "user"), cluster="h", even=False)
    assert even.mean == pytest.approx(-1 / 3)
    assert every.mean == pytest.approx(7 / 11)
    assert every.low <= every.mean <= every.high
    # sums less mean times size, over the mean size: 9 (1 - 7/11), and twice -1 - 7/11
    parts = np.array([9 * 4 / 11, -18 / 11, -18 / 11]) / (11 / 3)
    assert every.detectable == pytest.approx(detectable(parts))
