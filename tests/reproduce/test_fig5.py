"""Fig. 5: stage 1 watched while it learns, with each field left out, and what is concluded from that."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from kinfolk.data.synthetic import schema
from kinfolk.presets import preset
from kinfolk.reproduce import fig5
from kinfolk.reproduce.fields import fields, groups, strong, without
from kinfolk.reproduce.learning_curve import _measured, field_weights, learn, watch
from kinfolk.reproduce.quick import small_represent


@pytest.fixture
def watched(tiny_log, tiny_terms):
    config = replace(small_represent(preset("paper").represent), batch_size=64)
    return lambda **more: watch(tiny_log, tiny_terms, tiny_log.schema, replace(config, **more), most=50, others=7)


def test_watching_changes_nothing(watched):
    looked_at, alone = watched(), watched().run
    curve = learn(looked_at, epochs=2, looks=5)
    for epoch in range(2):
        alone.epoch(epoch)
    np.testing.assert_array_equal(looked_at.run.item_embeddings(), alone.item_embeddings())
    assert curve["step"].to_list() == sorted(set(curve["step"]))
    assert curve["step"][-1] == curve["steps"][0] == 2 * -(-len(alone.train) // 64)
    assert curve.drop("step", "steps").to_numpy().min() > 0


def test_what_is_measured_against_plain_formulas(watched):
    w = watched()
    batch, own, others = w.test
    auc, loss = _measured(w.run, *w.test)
    with torch.no_grad():
        x = w.run.encoder.eval()(batch).numpy().astype(np.float64)
    e = w.run.item_table.detach().numpy().astype(np.float64)
    aucs, losses = [], []
    for i, right in enumerate(own):
        against = others[i][others[i] >= 0]
        if len(against):
            good, bad = x[i] @ e[right], e[against] @ x[i]
            aucs.append(np.mean((good > bad) + 0.5 * (good == bad)))
            losses.append(np.log(np.exp(np.r_[good, bad]).sum()) - good)
    np.testing.assert_allclose([auc, loss], [np.mean(aucs), np.mean(losses)], rtol=1e-5)


def test_questions_are_of_the_test_and_their_other_items_unknown_to_the_user(
    tiny_log, tiny_terms, watched, monkeypatch
):
    from kinfolk.reproduce import learning_curve

    drawn = []
    original = learning_curve.Pairs.draw

    def remember(*args, **options):
        drawn.append(original(*args, **options))
        return drawn[-1]

    monkeypatch.setattr(learning_curve.Pairs, "draw", remember)
    watched()
    test, seen = drawn
    assert (test.time >= tiny_terms.t1).all()
    assert (seen.time < tiny_terms.t1).all()
    assert len(test.user) == len(seen.user) == 50
    met = set(zip(tiny_log.pairs.user.tolist(), tiny_log.pairs.item.tolist(), strict=True))
    for pairs in drawn:
        assert all((u, i) in met for u, i in zip(pairs.user.tolist(), pairs.item.tolist(), strict=True))
        asked = [
            (u, i) for u, row in zip(pairs.user.tolist(), pairs.others.tolist(), strict=True) for i in row if i >= 0
        ]
        assert asked
        assert not met & set(asked)


def test_field_weights_are_shares(watched):
    found = field_weights(watched())
    assert set(found) == set(fields(schema()))
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-4)


def test_fields_are_left_out_one_at_a_time():
    every = schema()
    names = fields(every)
    assert {"section", "tags", "numbers", "history", "hour"} <= set(names)
    for name in names:
        assert fields(without(every, [name])) == [n for n in names if n != name]
    kept, weak = groups(every)
    assert strong(every) in kept
    assert "history" in kept
    assert sorted(kept + weak) == sorted(names)


def ends(gap, lost_weak, noise=0.001):
    """Five trainings: overfitting and loss of AUC without weak fields, (attention, concat) each."""
    rng = np.random.default_rng(0)
    rows = []
    for merge, g, w in zip(fig5.MERGES, gap, lost_weak, strict=True):
        for name, auc in (("", 0.7), ("section", 0.6), (fig5._WEAK, 0.7 - w)):
            for seed in range(5):
                jitter = rng.normal(0, noise)
                row = {"variant": fig5._variant(merge, name), "seed": seed, "best_auc": auc + jitter, "gap": g + jitter}
                rows.append({**row, "settled": 5, "last_auc": auc, "least_loss": 1.0, "last_loss": 1.0})
    return pl.DataFrame(rows)


@pytest.mark.parametrize(
    ("gap", "lost", "verdict"),
    [
        ((0.01, 0.05), (0.04, 0.01), "is borne out"),
        ((0.01, 0.05), (0.01, 0.04), "is contradicted"),
        ((0.05, 0.01), (0.04, 0.01), "is contradicted"),
        ((0.01, 0.01), (0.04, 0.01), "is neither borne out nor refuted"),
    ],
)
def test_the_claim_is_judged_by_both_differences(gap, lost, verdict):
    table, said = fig5._ablated(ends(gap, lost), ["section", fig5._WEAK], schema())
    assert verdict in said[-1]
    assert [row[0] for row in table.rows] == ["section", fig5._WEAK]
    assert float(table.rows[0][1].split()[0]) == pytest.approx(0.1, abs=0.01)


def test_the_experiment_on_a_feed_with_known_truth(asked, monkeypatch):
    monkeypatch.setattr(fig5, "fields", lambda schema: ["section", "history"])
    outcome, steps = asked("fig5")
    assert len(steps) == 2 * 4
    assert {"attention", "concat", "attention without section", "concat without all weak fields"} < set(
        outcome.rows["variant"]
    )
    assert set(outcome.plots) == {"", "field weights"}
    assert len(outcome.tables) == 3
    assert any("claim" in sentence for sentence in outcome.findings)
    at_least = outcome.rows.filter((pl.col("kind") == "weight") & (pl.col("variant") == "attention"))
    assert at_least["weight"].sum() == pytest.approx(1.0, abs=1e-3)
