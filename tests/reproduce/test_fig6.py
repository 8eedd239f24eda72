"""Fig. 6: one training a k, what it costs, and whether the curve is the paper's."""

import itertools

import numpy as np
import polars as pl

from kinfolk.presets import preset
from kinfolk.reproduce.fig6 import EPOCHS, K, findings, with_clusters


def scores(values):
    return pl.DataFrame(
        [
            {"variant": f"k = {k}", "seed": 0, "user": u, "auc": v, "prec_10": v, "prec_50": v}
            for k, v in zip(K, values, strict=True)
            for u in range(5)
        ]
    )


def test_what_is_said_of_the_curve():
    said = findings(scores([0.1, 0.2, 0.3, 0.305, 0.31]))[0]
    assert said.startswith("AUC rises with every k; from 5 to 20 it changes by +0.2000 [+0.2000, +0.2000]")
    assert "from 20 to 100 by +0.0100" in said
    assert findings(scores([0.1, 0.2, 0.3, 0.3, 0.4]))[1].startswith("prec@10 does not rise")


def test_a_preset_with_k_clusters_runs_all_its_epochs():
    chosen = with_clusters(preset("paper"), 50)
    assert chosen.lookalike.k == 50
    assert (chosen.training.epochs, chosen.training.patience) == (EPOCHS, EPOCHS)
    assert chosen.represent == preset("paper").represent, "stage 1 is the same for every k, and trained once"


def test_every_k_is_trained_and_timed(asked):
    ticks = itertools.count()
    outcome, steps = asked("fig6", clock=lambda: float(next(ticks)))
    assert len(steps) == len(K)
    by_k = outcome.rows.group_by("k").agg(pl.col("pair_ns").first(), pl.len()).sort("k")
    assert by_k["k"].to_list() == list(K)
    np.testing.assert_allclose(by_k["pair_ns"], 1e9 / (20 * 10), err_msg="a tick a repeat of 20 users x 10 candidates")
    (table,) = outcome.tables
    assert [row[0] for row in table.rows] == [str(k) for k in K]
    assert table.rows[2][4:7] == ("–", "–", "–"), "k = 20 is what the others are paired with"
