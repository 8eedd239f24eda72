from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from kinfolk.errors import OptionError, ProtocolError
from kinfolk.evaluate.cases import plan, question, simulated_items
from kinfolk.evaluate.new_item import ORACLE, run_new_item
from kinfolk.evaluate.protocol import DAY, Protocol
from kinfolk.evaluate.since import history_degree

TERMS = Protocol(t1=5 * DAY, window=DAY, n=(5, 20), max_candidates=5, common=3, min_negatives=5)
SIMULATED = replace(TERMS, simulate_new=12, simulate_min_clickers=30)
METRICS = ["auc", "eauc", "sauc", "prec_100", "recall_1", "lift_1"]


def by_id(users, candidates, view):
    return np.repeat(users[:, None] / 1000.0, len(candidates), axis=1)


def test_rows_against_scikit_learn(make_log, news_rows, scripted):
    log = make_log(news_rows, 300, 60)
    table = run_new_item(log, TERMS, [scripted("by_id", by_id)])
    assert set(table["method"]) == {"by_id", ORACLE}
    assert {"main", "common", "t_n", "age", "universe", "seeds_warm", "item_id", *METRICS} <= set(table.columns)
    warm = history_degree(log.view(TERMS.t1)) > 0
    seen = set()
    for row in table.filter(pl.col("method") == "by_id").iter_rows(named=True):
        q = question(log, TERMS, row["item"], row["n"])
        active = np.array([len(set(log.view(q.t_n).history(np.array([u]))[0].tolist())) for u in q.users])
        inside = {
            "warm": warm[q.users],
            "cold": ~warm[q.users],
            "new": active == 0,
            "all": np.ones(len(q.users), bool),
        }[row["group"]]
        seen.add(row["group"])
        y, s = q.positive[inside], q.users[inside] / 1000.0
        assert (row["users"], row["positives"]) == (len(y), y.sum())
        assert row["base_rate"] == pytest.approx(y.mean())
        assert row["universe"] == q.universe
        assert row["seeds_warm"] == warm[q.seeds].sum()
        assert row["age"] == pytest.approx(q.t_n - log.pairs.time[log.pairs.item == row["item"]].min())
        assert row["auc"] == pytest.approx(roc_auc_score(y, s))
        weights = np.where(y, 1.0, q.events[inside])
        assert row["eauc"] == pytest.approx(roc_auc_score(y, s, sample_weight=weights))
        strata = np.floor(np.log2(1 + active[inside]))
        parts = [strata == z for z in np.unique(strata) if 0 < y[strata == z].sum() < (strata == z).sum()]
        expected = np.average([roc_auc_score(y[m], s[m]) for m in parts], weights=[y[m].sum() for m in parts])
        assert row["sauc"] == pytest.approx(expected)
    assert {"warm", "all"} <= seen


def test_methods_see_neither_the_window_nor_simulated_items_nor_the_candidate(make_log, news_rows, scripted):
    log = make_log(news_rows, 300, 60)
    for terms in (TERMS, SIMULATED):
        method = scripted()
        run_new_item(log, terms, [method])
        gone = set(simulated_items(log, terms).tolist())
        assert [v.now for v in method.fitted] == [terms.t1]
        assert set(method.fitted[0].removed.tolist()) == gone
        assert len(method.asked) > 5
        for users, candidates, view in method.asked:
            item = int(candidates.item[0])
            q = question(log, terms, item, len(candidates.seeds[0]))
            assert view.now == q.t_n
            assert set(view.removed.tolist()) == gone | {item}
            assert users.tolist() == q.users.tolist()
            assert candidates.seeds[0].tolist() == q.seeds.tolist()
            assert candidates.times[0].tolist() == q.times.tolist()
            assert candidates.rng.tolist() == [[terms.seed, item, len(q.seeds)]]


def test_constant_scores_are_worth_one_half(make_log, news_rows, scripted):
    table = run_new_item(make_log(news_rows, 300, 60), TERMS, [scripted()])
    got = table.filter((pl.col("method") == "scripted") & (pl.col("group") == "all"))
    assert got["auc"].mean() == pytest.approx(0.5, abs=0.05)


def test_strata_leave_out_what_simulated_items_were_before_t1(make_log, news_rows, scripted):
    log = make_log(news_rows, 300, 60)
    cases = plan(log, SIMULATED)
    assert cases
    table = run_new_item(log, SIMULATED, [scripted("by_id", by_id)])
    gone = np.isin(log.events.item, simulated_items(log, SIMULATED)) & (log.events.time < SIMULATED.t1)
    kept = np.c_[log.events.user, log.events.item, log.events.time][~gone]
    clean = make_log(kept, 300, 60)
    row = table.filter((pl.col("method") == "by_id") & (pl.col("group") == "all")).row(0, named=True)
    q = question(log, SIMULATED, row["item"], row["n"])
    strata = np.floor(np.log2(1 + clean.view(q.t_n).n_items(q.users)))
    y, s = q.positive, q.users / 1000.0
    parts = [strata == z for z in np.unique(strata) if 0 < y[strata == z].sum() < (strata == z).sum()]
    expected = np.average([roc_auc_score(y[m], s[m]) for m in parts], weights=[y[m].sum() for m in parts])
    assert row["sauc"] == pytest.approx(expected)


def test_the_oracle_counts_events_less_the_click_itself(make_log, news_rows):
    log = make_log(news_rows, 300, 60)
    table = run_new_item(log, TERMS, [])
    row = table.filter(pl.col("group") == "all").row(0, named=True)
    q = question(log, TERMS, row["item"], row["n"])
    ties = roc_auc_score(q.positive, q.events - q.positive)
    assert row["auc"] == pytest.approx(ties, abs=0.1)


def test_rolling_trains_at_the_start_of_the_day_of_the_first_click(make_log, news_rows, scripted):
    log = make_log(news_rows, 300, 60)
    method = scripted()
    terms = replace(TERMS, rolling=True, utc_offset=-3)
    run_new_item(log, terms, [method])
    moments = [v.now for v in method.fitted]
    assert moments == sorted(set(moments))
    assert len(moments) > 2
    firsts = [log.pairs.time[log.pairs.item == c.item[0]].min() for _, c, _ in method.asked]
    days = {max(terms.t1, np.floor((t - 3 * 3600) / DAY) * DAY + 3 * 3600) for t in firsts}
    assert days <= set(moments)
    with pytest.raises(OptionError, match="rolling"):
        run_new_item(log, terms, [method], fit=False)


def test_fitted_methods_are_not_fitted_again(make_log, news_rows, scripted):
    method = scripted()
    run_new_item(make_log(news_rows, 300, 60), TERMS, [method], fit=False)
    assert method.fitted == []
    assert method.asked


def test_progress_runs_to_its_end(make_log, news_rows, scripted):
    steps = []
    run_new_item(
        make_log(news_rows, 300, 60),
        TERMS,
        [scripted()],
        on_progress=lambda done, total, what: steps.append((done, total)),
    )
    assert [s[0] for s in steps] == list(range(1, len(steps) + 1))
    assert {s[1] for s in steps} == {len(steps)}


def test_forked_processes_give_the_same_rows(make_log, news_rows, scripted, monkeypatch):
    log = make_log(news_rows, 300, 60)
    monkeypatch.setattr("kinfolk.evaluate.forked.why_not_fork", lambda: None)  # nothing here starts native threads
    alone = run_new_item(log, TERMS, [scripted("by_id", by_id)])
    assert run_new_item(log, TERMS, [scripted("by_id", by_id)], jobs=2).equals(alone)


def test_too_few_positives_everywhere_is_refused(make_log, news_rows):
    with pytest.raises(ProtocolError, match="positives"):
        run_new_item(make_log(news_rows, 300, 60), replace(TERMS, min_positives=290), [])


def test_what_needs_real_times_is_left_out_where_times_are_made_up(make_log, news_rows, scripted):
    log = make_log(news_rows, 300, 60)
    terms = replace(TERMS, uses_time=False)
    table = run_new_item(log, terms, [scripted("still"), scripted("recent", needs_time=True)])
    assert set(table["method"]) == {"still", ORACLE}
