"""Table 2: worlds with a log's rates, estimates on its impressions, and what is said of both."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from kinfolk.errors import ProtocolError
from kinfolk.reproduce.kept import Kept
from kinfolk.reproduce.table2 import by_lambda, findings, run
from kinfolk.simulate.ab import summary
from kinfolk.simulate.measure import TITLES


@pytest.fixture(scope="module")
def feed():
    """Two days longer than an item's life, so that rates can be fitted."""
    from kinfolk.data.synthetic import Config, load

    return load(Config(n_users=800, days=5, births_per_hour=2.0, seed=1))


@pytest.fixture(scope="module")
def terms(feed):
    from kinfolk.evaluate.protocol import defaults
    from kinfolk.reproduce.quick import few

    found = few(defaults("synthetic", feed))
    return replace(found, simulate_new=None, live_min=(3,), live_candidates=5, snapshots=4, first_offset=0.0)


@pytest.fixture(scope="module")
def outcome(feed, terms, tmp_path_factory):
    path = tmp_path_factory.mktemp("t2") / "r.parquet"
    steps = []
    made = run(feed, terms, (0,), dataset="synthetic", kept=Kept(path), quick=True, on_step=lambda *s: steps.append(s))
    return made, steps, path


def test_worlds_and_estimates_in_one_outcome(outcome):
    made, steps, _ = outcome
    assert [t.title.split(",")[0] for t in made.tables] == [
        "The same users", "Treated against others", "Off-policy: clicks an impression",
    ]  # fmt: skip
    assert {"", "off-policy"} == set(made.plots)
    assert steps[-1][:2] == (2, 2)
    assert made.figures["click_model"]["source"].to_list() == ["synthetic-one_taste-1"]
    assert "cannot" in " ".join(made.settings)


def test_estimates_come_with_their_diagnostics(outcome):
    found = outcome[0].figures["off_policy"]
    assert set(found["propensity"]) == {"shares", "shares and score"}
    assert found["policy"].unique(maintain_order=True).to_list() == [
        "λ = 0.5",
        "λ = 1",
        "λ = 2",
        "best 50%",
        "best 10%",
    ]
    assert (found["effective"] <= found["impressions"]).all()
    assert found["logged"].n_unique() == 1
    fitted = found.filter(pl.col("propensity") == "shares and score", pl.col("policy") == "λ = 1")
    assert fitted["mean_weight"][0] == pytest.approx(1, abs=0.05)


def test_nothing_is_played_twice(outcome, feed, terms):
    made, _, path = outcome
    kept = Kept(path, resume=True)
    again = run(feed, terms, (0,), dataset="synthetic", kept=kept, quick=True)
    assert kept.made == 0
    assert again.tables == made.tables
    assert again.findings == made.findings


def worlds(shift):
    rng = np.random.default_rng(0)
    rows = []
    for world in range(10):
        for kind, lam in (("none", 0.0), ("look-alike", 0.5), ("look-alike", 2.0), ("truth", 2.0)):
            for metric in TITLES:
                base = {"world": world, "weighting": kind, "lam": lam, "metric": metric}
                up = (1 + shift * lam) * (1 + rng.normal(0, 0.001))
                rows.append({**base, "control": 1.0, "treatment": up, "untreated": 1.0})
    return summary(pl.DataFrame(rows))


def test_differences_are_told_beside_the_paper_s():
    said = findings(worlds(0.02))
    assert said[1].startswith("click-through rate: +1.0")
    assert "the paper has +1.09." in said[1]
    assert said[1].endswith("above zero at every λ.")
    assert said[-1].startswith("By the true interest")
    assert findings(worlds(-0.02))[0].endswith("above zero at 0 of 2 λ, below at 2.")


def test_the_table_has_a_column_a_weight():
    table = by_lambda(worlds(0.02), "arms")
    assert table.columns == ("metric", "A/A", "λ = 0.5", "λ = 2", "truth, λ = 2")
    assert len(table.rows) == len(TITLES)
    assert by_lambda(worlds(0.02), "same_users").columns[1] == "λ = 0.5"


def test_a_log_without_births_is_asked_off_policy_alone(feed, terms):
    made = run(feed, replace(terms, simulate_new=20), (0,), dataset="synthetic", kept=Kept(), quick=True)
    assert len(made.tables) == 1
    assert made.settings["worlds"].startswith("none: no item is born")


def test_logs_that_can_answer_nothing_are_refused(feed, terms):
    with pytest.raises(ProtocolError, match="made-up times"):
        run(feed, replace(terms, uses_time=False), (0,), dataset="movielens-1m", kept=Kept())
    bare = replace(feed, impressions=None)
    with pytest.raises(ProtocolError, match="neither items born in it nor impressions"):
        run(bare, replace(terms, simulate_new=20), (0,), dataset="x", kept=Kept())
