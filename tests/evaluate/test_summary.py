from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from kinfolk.errors import OptionError
from kinfolk.evaluate.intervals import bootstrap
from kinfolk.evaluate.summary import (
    cells,
    interval,
    pooled,
    strongest,
    summarise,
    summarise_feed,
    summarise_impressions,
    summarise_new_item,
    summarise_table1,
)

METHODS = {"ours": 0.05, "peer": 0.0, "weak": -0.1, "ORACLE_x": 0.3}


@pytest.fixture(scope="module")
def scores() -> pl.DataFrame:
    """30 items, two n, two training seeds, warm and all."""
    rng = np.random.default_rng(0)
    rows = []
    for item in range(30):
        for n in (10, 30):
            level = rng.normal(0.7, 0.05)
            for method, lift in METHODS.items():
                for seed in (0, 1):
                    value = level + lift + rng.normal(0, 0.005)
                    both = {
                        "eauc": value,
                        "auc": value + 0.01,
                        "sauc": value,
                        "prec_100": 0.1,
                        "recall_1": 0.2,
                        "lift_1": 20.0,
                    }
                    key = {
                        "item": item,
                        "n": n,
                        "seed": seed,
                        "method": method,
                        "main": item < 20,
                        "common": item >= 10,
                    }
                    rows += [{**key, **both, "group": group} for group in ("warm", "all")]
    return pl.DataFrame(rows)


def test_a_table_is_mean_and_interval_of_units_averaged_over_seeds(scores):
    table = summarise_new_item(scores, reference="peer")
    assert table["method"].to_list() == ["ORACLE_x", "ours", "peer", "weak"] * 2
    row = table.filter((pl.col("n") == 10) & (pl.col("method") == "ours")).row(0, named=True)
    kept = scores.filter(
        (pl.col("n") == 10) & (pl.col("method") == "ours") & pl.col("main") & (pl.col("group") == "warm")
    )
    per_item = kept.group_by("item").agg(pl.col("eauc").mean()).sort("item")["eauc"].to_numpy()
    expected = bootstrap(per_item)
    assert row["count"] == 20
    assert (row["eauc"], row["eauc_low"], row["eauc_high"]) == (expected.mean, expected.low, expected.high)
    assert row["eauc_difference"] == pytest.approx(0.05, abs=0.005)
    assert 0.04 < row["eauc_difference_low"] < row["eauc_difference_high"] < 0.06
    assert 0 < row["eauc_detectable"] < 0.01  # pairing takes the spread between items out
    reference = table.filter(pl.col("method") == "peer")
    assert reference["eauc_difference"].null_count() == reference.height


def test_the_sample_of_candidates_is_kept_apart(scores):
    assert set(summarise_new_item(scores, sample="common")["count"]) == {20}
    with pytest.raises(OptionError, match="no rows"):
        summarise_new_item(scores, group="cold")
    with pytest.raises(OptionError, match="'nobody'"):
        summarise_new_item(scores, reference="nobody")


def test_pooled_differences_over_n(scores):
    table = pooled(scores, "peer", methods=["ours"])
    assert table["n"].to_list() == [10, 30, None]
    assert table["candidates"].to_list() == [20, 20, 20]
    assert (table["low"] > 0).all()
    assert set(pooled(scores, "peer")["method"]) == {"ours", "weak", "ORACLE_x"}


def test_the_strongest_is_never_an_oracle(scores):
    assert strongest(scores) == "ours"
    assert strongest(scores, exclude=["ours"]) == "peer"
    with pytest.raises(OptionError, match="exclude fewer"):
        strongest(scores, exclude=list(METHODS))


def test_feed_intervals_draw_snapshots():
    rng = np.random.default_rng(1)
    rows = []
    for h0 in range(8):
        level = rng.normal(0.5, 0.1)
        for user in range(40):
            rows.append({"n": 30, "h0": float(h0), "user": user, "method": "a", "prec_10": level, "auc": level})
    days = pl.DataFrame(rows).with_columns(prec_50=pl.col("auc"), pauc=pl.lit(math.nan))
    table = summarise_feed(days, reference="a")
    expected = bootstrap(days["prec_10"].to_numpy(), clusters=days["h0"].to_numpy())
    assert table["prec_10"][0] == pytest.approx(expected.mean)
    assert table["prec_10_high"][0] - table["prec_10_low"][0] == pytest.approx(expected.high - expected.low)
    assert math.isnan(table["pauc"][0])
    assert summarise_impressions(days.select("n", "h0", "user", "method", "auc"))["count"].to_list() == [320]


def test_table1_has_no_n():
    users = pl.DataFrame(
        {"user": [0, 1, 2, 3] * 2, "method": ["a"] * 4 + ["b"] * 4, "auc": [0.5, 0.6, 0.7, 0.8, 0.4, 0.5, 0.6, 0.7]}
    ).with_columns(prec_10=pl.col("auc"), prec_50=pl.col("auc"))
    table = summarise_table1(users, reference="b")
    assert "n" not in table.columns
    assert table["method"].to_list() == ["a", "b"]
    assert table["auc_difference"][0] == pytest.approx(0.1)


def test_markdown_has_a_row_a_method_and_escapes_bars(scores):
    table = summarise(scores.with_columns(pl.col("method").replace("weak", "we|ak")), ["eauc"], by=())
    text = cells(table, ["eauc"], "Title").markdown()
    lines = text.strip().split("\n")
    assert lines[0] == "### Title"
    assert lines[2] == "| method | eAUC |"
    assert len(lines) == 4 + len(METHODS)
    assert "we\\|ak" in text


@pytest.mark.parametrize(
    ("values", "signed", "text"),
    [
        ((0.71249, 0.69, 0.7311), False, "0.712 [0.690, 0.731]"),
        ((0.02, -0.01, 0.05), True, "+0.020 [-0.010, +0.050]"),
        ((12.345, math.nan, math.nan), False, "12.3"),
        ((math.nan, 1.0, 2.0), False, "–"),
        ((None, None, None), False, "–"),
    ],
)
def test_intervals_as_text(values, signed, text):
    assert interval(*values, signed=signed) == text
