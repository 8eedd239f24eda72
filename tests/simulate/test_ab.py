import numpy as np
import polars as pl
import pytest

from kinfolk.errors import OptionError
from kinfolk.simulate.ab import Plan, quick, relative, run, summary
from kinfolk.simulate.chart import draw
from kinfolk.simulate.measure import TITLES
from kinfolk.simulate.world import WorldConfig


@pytest.fixture(scope="module")
def played():
    told = []
    plan = Plan(WorldConfig(seed=5, users=1500, warm_up_hours=36, hours=3), worlds=2, lams=(1.0,), truth=5.0)
    rows = run(plan, lambda done, total, note: told.append((done, total, note)))
    return rows, told


def test_every_world_run_and_metric_has_a_row(played):
    rows, _ = played
    assert rows["world"].unique().to_list() == [5, 6]
    assert rows.group_by("world", "weighting", "lam").len().height == 2 * 3
    assert set(rows["metric"]) == set(TITLES)
    assert not rows.select(pl.col("control", "treatment", "untreated").is_nan().any()).row(0)[1]


def test_untreated_is_the_same_users_without_a_weight(played):
    rows, _ = played
    alone = rows.filter(weighting="none")
    np.testing.assert_array_equal(alone["treatment"], alone["untreated"])
    for kind in ("look-alike", "truth"):
        np.testing.assert_array_equal(rows.filter(weighting=kind)["untreated"], alone["treatment"])
        assert (rows.filter(weighting=kind)["treatment"].to_numpy() != alone["treatment"].to_numpy()).any()


def test_the_summary_pairs_worlds(played):
    rows, _ = played
    found = summary(rows)
    one = found.row(by_predicate=(pl.col("weighting") == "truth") & (pl.col("metric") == "ctr"), named=True)
    part = rows.filter(weighting="truth", metric="ctr")
    assert one["same_users"] == pytest.approx((part["treatment"] / part["untreated"] - 1).mean())
    assert one["arms"] == pytest.approx((part["treatment"] / part["control"] - 1).mean())
    assert one["same_users"] > 0
    assert np.isnan(one["same_users_low"])  # two worlds make no interval


def test_progress_rises_to_its_end(played):
    _, told = played
    done = [d for d, _, _ in told]
    assert done == sorted(done)
    assert done[-1] == told[-1][1]
    assert told[0][2] == "world 1 of 2: warm-up"


def test_a_plot_of_the_differences_is_drawn(played, tmp_path):
    rows, _ = played
    draw(summary(rows), tmp_path / "ab.svg")
    assert "<svg" in (tmp_path / "ab.svg").read_text()


def test_an_interval_over_worlds_is_student_s_and_covers():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        theirs = rng.uniform(1, 2, 10)
        found = relative(theirs * (1.1 + 0.05 * rng.standard_normal(10)), theirs)
        inside += found.low <= 0.1 <= found.high
    assert inside / 2000 == pytest.approx(0.95, abs=0.02)


def test_a_figure_that_no_world_has_is_none():
    row = {"world": 0, "weighting": "none", "lam": 0.0, "metric": "new_read"}
    none = float("nan")
    found = summary(pl.DataFrame([{**row, "control": none, "treatment": none, "untreated": none}]))
    assert found.select(pl.col("control", "treatment", "arms", "same_users").is_nan()).row(0) == (True,) * 4


def test_worlds_without_a_figure_are_left_out():
    found = relative(np.array([1.1, np.nan, 2.0, 1.0, 1.2]), np.array([1.0, 1.0, 0.0, 1.0, 1.0]))
    assert found.count == 3
    assert found.mean == pytest.approx(0.1)
    assert np.isnan(relative(np.array([1.0]), np.array([0.0])).mean)


@pytest.mark.parametrize(
    "change", [{"worlds": 0}, {"lams": ()}, {"lams": (-1.0,)}, {"truth": float("inf")}, {"preset": "best"}]
)
def test_a_plan_that_cannot_be_is_refused(change):
    with pytest.raises(OptionError):
        Plan(**change)


def test_the_quick_preset_is_kinfolk_s_own_but_small():
    assert quick().lookalike.h < 128
    assert quick().episodes is not None
