"""The gates: opponents chosen beforehand, paired differences as flat figures, and what each verdict says."""

import numpy as np
import polars as pl
import pytest

from kinfolk.baselines.ralm import in_feed
from kinfolk.reproduce.gate_figures import flat, own, sizes, verdicts
from kinfolk.reproduce.gates import OURS, alternatives, over_n
from kinfolk.reproduce.kept import Kept

SHIFTS = {OURS: 0.1, "als_lda": 0.05, "item_knn_fresh": 0.0, "ORACLE_window_activity": 0.5}


def answers(ours=0.1, ours_at_30=None, seeds=(0, 1)):
    """Rows of P1 in which each method is a constant away from the candidate's own level."""
    rng = np.random.default_rng(0)
    level = rng.normal(0.6, 0.02, 20)
    rows = []
    for n in (10, 30):
        for name, shift in SHIFTS.items():
            if name == OURS:
                shift = ours if n == 10 or ours_at_30 is None else ours_at_30
            for seed in seeds:
                for item in range(20):
                    value = level[item] + shift + rng.normal(0, 0.002)
                    metrics = dict.fromkeys(("eauc", "auc", "sauc", "recall_1"), value)
                    keys = {"item": item, "n": n, "method": name, "seed": seed, "group": "warm"}
                    rows.append({**keys, "main": True, "common": item < 15, **metrics})
    return pl.DataFrame(rows)


def days(ours=0.5):
    rng = np.random.default_rng(1)
    means = {OURS: ours, "als_lda": 0.3, "recency_popularity": 0.4, "newest": 0.2, "ORACLE_future_pop": 0.9}
    return pl.DataFrame(
        [
            {"h0": float(h), "user": u, "n": 30, "method": m, "seed": 0, "prec_10": v, "prec_50": v, "pauc": v}
            for m, mean in means.items()
            for h in range(5)
            for u in range(8)
            for v in [mean + rng.normal(0, 0.01)]
        ]
    )


def test_figures_are_flat_and_paired_with_the_opponent_that_is_best_on_main():
    out = flat(answers(), days(), OURS)
    assert sizes(out) == [10, 30]
    assert out["best_peer_10"] == out["pooled_peer"] == "als_lda"
    assert out["diff_10"] == pytest.approx(0.05, abs=0.002)
    assert out["diff_low_10"] < out["diff_10"] < out["diff_high_10"]
    assert out["candidates_10"] == 15
    assert out["recall1_knn_diff_30"] == pytest.approx(0.1, abs=0.002)
    assert out["worst_peer_10"] == "als_lda", "an oracle is nobody's opponent"
    assert out["p2_best_peer"] == "recency_popularity"
    assert out["p2_als_lda_pauc"] == pytest.approx(0.3, abs=0.01)


def test_all_gates_are_passed_by_who_is_ahead_everywhere():
    found = verdicts(flat(answers(), days(), OURS))
    assert [v.gate for v in found if not v.passed] == []
    assert len(found) == 8
    assert "against als_lda" in found[0].said


@pytest.mark.parametrize(("reach", "passed"), [(0.06, True), (0.04, False)])
def test_with_activity_let_in_auc_is_to_be_above_the_best_and_our_rows_are_no_opponents(reach, passed):
    rows = answers()
    other = rows.filter(method="als_lda").with_columns(
        method=pl.lit(f"{OURS}_reach"), auc=pl.col("auc") + reach - SHIFTS["als_lda"]
    )
    out = flat(pl.concat([rows, other]), pl.DataFrame(), OURS)
    assert out["best_auc_peer_10"] == "als_lda"
    found = {v.gate: v for v in verdicts(out)}
    assert found["with activity let in, AUC above all"].passed == passed
    assert alternatives(pl.concat([rows, other])) == ["als_lda", "item_knn_fresh"]


def test_what_fails_says_where():
    found = {v.gate: v for v in verdicts(flat(answers(ours_at_30=0.0), days(ours=0.35), OURS))}
    below = found["at no n below any in eAUC"]
    assert not below.passed
    assert below.said.startswith("n = 30: -0.05")
    assert "n = 10" not in below.said
    assert found["AUC not inferior"].said.startswith("n = 30: -0.05")
    assert found["goal: n = 10 as good as the best at 30"].passed
    assert "recency_popularity 0.4" in found["feed: prec@10 above all"].said
    assert found["feed: pAUC above ALS-LDA"].passed


def test_without_a_feed_its_gates_are_left_out():
    out = flat(answers(), pl.DataFrame(), OURS)
    assert not [key for key in out if key.startswith("p2_")]
    assert not [v for v in verdicts(out) if v.gate.startswith("feed")]


def test_curves_are_means_of_the_common_candidates():
    rows = answers()
    one = over_n(rows).row(by_predicate=(pl.col("method") == OURS) & (pl.col("n") == 10), named=True)
    part = rows.filter(pl.col("common"), method=OURS, n=10)
    assert one["eauc"] == pytest.approx(part["eauc"].mean())
    assert one["eauc_low"] < one["eauc"] < one["eauc_high"]
    assert alternatives(rows) == ["als_lda", "item_knn_fresh"]


def test_both_questions_are_asked_and_nothing_is_run_twice(asked, tmp_path):
    path = tmp_path / "r.parquet"
    outcome, steps = asked("gates", kept=Kept(path))
    assert steps[-1][:2] == (2, 2)
    assert any("fit kinfolk" in what for *_, what in steps)
    assert set(outcome.rows["question"]) == {"new-item", "feed"}
    assert outcome.figures["flat"].height == 1
    assert outcome.figures["gates"]["passed"].dtype == pl.Boolean
    assert {"als_lda", "als_fold_in", "item_knn_fresh", OURS} <= set(outcome.figures["curves"]["method"])
    kept = Kept(path, resume=True)
    again, _ = asked("gates", kept=kept)
    assert kept.made == 0
    assert again.findings == outcome.findings
    assert again.tables == outcome.tables
    assert not outcome.rows.select("question", "method", "item", "n", "group", "h0", "user").is_duplicated().any()


def test_opponents_serve_every_preset(asked, tmp_path):
    path = tmp_path / "r.parquet"
    first, _ = asked("gates", kept=Kept(path))
    kept = Kept(path, resume=True)
    other, steps = asked("gates", kept=kept, name="paper")
    assert kept.made == 1
    assert not [what for *_, what in steps if "fit als" in what]
    peers = ~pl.col("method").is_in(own(OURS))
    assert first.figures["curves"].filter(peers).equals(other.figures["curves"].filter(peers))
    assert not first.figures["curves"].equals(other.figures["curves"])


def test_the_two_rows_of_a_feed_are_scored_once():
    class Counted:
        name, weights, asked = OURS, type("W", (), {"trend": None})(), 0

        def score(self, users, candidates, view):
            self.asked += 1
            return np.full((len(users), 2), self.asked, np.float32)

    ralm, users, other = Counted(), np.arange(3), np.arange(3)
    both = in_feed(ralm)
    candidates, view = object(), object()
    assert [m.score(users, candidates, view)[0, 0] for m in both] == [1, 1]
    assert [m.score(other, candidates, view)[0, 0] for m in both] == [2, 2]


def test_a_gate_whose_opponent_was_not_asked_is_no_gate():
    rows = answers().filter(pl.col("method") != "item_knn_fresh")
    found = [v.gate for v in verdicts(flat(rows, pl.DataFrame(), OURS))]
    assert found
    assert not [gate for gate in found if "item-kNN" in gate]


def test_the_difference_in_a_feed_is_of_the_means_beside_it():
    """User-days count alike, however many a moment has."""
    few = days().filter(pl.col("h0") > 0)
    one = days().filter((pl.col("h0") == 0) & (pl.col("user") == 0))
    worse = one.with_columns(prec_10=pl.when(pl.col("method") == OURS).then(0.0).otherwise(pl.col("prec_10")))
    out = flat(answers(), pl.concat([few, worse]), OURS)
    assert out["p2_diff"] == pytest.approx(out["p2_prec10"] - out["p2_best_peer_prec10"])
    assert out["p2_diff_low"] < out["p2_diff"] < out["p2_diff_high"]
