"""Table 1: the five models, and the sentence that compares their order with the paper's."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from kinfolk.data.jagged import Jagged
from kinfolk.evaluate.table1 import run_table1
from kinfolk.reproduce.kept import Kept
from kinfolk.reproduce.table1 import BESIDE, PAPER, SIZED, WithPopularity, ordering, parted, why


def scores(**auc):
    noise = np.random.default_rng(0).normal(0, 1e-3, 40)
    return pl.DataFrame(
        [
            {"variant": name, "seed": seed, "user": u, "auc": value + noise[u] + 1e-4 * seed}
            for name, value in auc.items()
            for seed in (0, 1, 2)
            for u in range(40)
        ]
    )


def test_the_papers_order_is_recognised():
    said = ordering(scores(**{name: 0.9 - 0.1 * i for i, name in enumerate(PAPER)}), "auc")
    assert said.startswith(f"AUC: observed {' > '.join(PAPER)}; the paper has {' > '.join(PAPER)}.")
    assert said.endswith("10 of 10 pairs lie as in the paper, 10 of them beyond the interval.")


def test_what_contradicts_it_is_named_pair_by_pair():
    found = scores(ralm=0.6, youtube_dnn=0.7, ralm_average=0.55, yahoo_lookalike=0.5, lr=0.4)
    said = ordering(found, "auc")
    assert "observed youtube_dnn > ralm > ralm_average > yahoo_lookalike > lr" in said
    assert "9 of 10 pairs" in said
    assert said.endswith("the other way round: ralm − youtube_dnn -0.1000 [-0.1000, -0.1000].")


def test_what_is_equal_is_neither():
    said = ordering(scores(lr=0.6, ralm=0.6), "auc")
    assert "observed ralm = lr; the paper has ralm > lr." in said
    assert said.endswith("0 of 1 pairs lie as in the paper, 0 of them beyond the interval; 1 are equal.")


def test_a_difference_within_the_interval_is_said_to_be_one():
    rng = np.random.default_rng(2)
    found = scores(ralm=0.6, lr=0.6).with_columns(auc=pl.col("auc") + pl.Series(rng.normal(0, 0.2, 240)))
    said = ordering(found, "auc")
    assert ("ralm − lr" in said and "within the interval" in said) or "1 of 1 pairs lie as in the paper, 0 of" in said


def test_popularity_is_told_apart_from_what_the_score_adds():
    said = why(scores(**{"ralm": 0.6, "popularity": 0.7, "ralm + popularity": 0.75, "youtube_dnn": 0.8}))
    assert said == [
        "Why: the number of seeds alone, the same for every user, has AUC 0.700, RALM's score, which does not know it, "
        "0.600; both, each standardised within a user and added, 0.750, that is +0.0500 [+0.0500, +0.0500] against "
        "popularity, -0.0500 [-0.0500, -0.0500] against youtube_dnn."
    ]
    assert why(scores(ralm=0.6, lr=0.7)) == []


def test_the_order_without_popularity_and_what_we_changed_are_told():
    found = scores(**{"ralm": 0.6, "popularity": 0.7, "ralm + popularity": 0.75, "youtube_dnn": 0.8, "kinfolk": 0.82})
    found = pl.concat([found, scores(**{SIZED: 0.65, "ralm_average": 0.61})])
    found = found.with_columns(pauc=1.2 - pl.col("auc"))
    _, order, sized, changed = why(found)
    assert "RALM has +0.0500 [+0.0500, +0.0500] of AUC more than without, +0.0400 [+0.0400, +0.0400] more" in sized
    assert (
        "pAUC: observed ralm > ralm_average > youtube_dnn; the paper has ralm > youtube_dnn > ralm_average. 2 of 3"
        in order
    )
    assert "(preset kinfolk) has +0.2200 [+0.2200, +0.2200] of AUC and -0.2200 [-0.2200, -0.2200] of pAUC" in changed


def test_score_and_popularity_count_alike():
    class Fixed:
        fresh = False

        def fit(self, view):
            self.view = view

        def score(self, users, candidates, view):
            return np.array([[0.1, 0.3, 0.2], [5.0, 5.0, 5.0]], np.float32)

    seeds = Jagged(np.zeros(111, np.int32), np.array([0, 1, 11, 111]))
    method = WithPopularity(Fixed())
    method.fit("a view")
    assert method._ralm.view == "a view"
    got = method.score(np.arange(2), SimpleNamespace(seeds=seeds), None)
    popular = np.log1p([1, 10, 100])
    popular = (popular - popular.mean()) / popular.std()
    np.testing.assert_allclose(got[1], popular, rtol=1e-6)  # a score that says nothing changes nothing
    np.testing.assert_allclose(got[0], popular + np.array([-1, 1, 0]) * np.sqrt(1.5), rtol=1e-5)


def test_all_five_are_asked_the_same_and_nothing_is_run_twice(asked, tmp_path):
    path = tmp_path / "r.parquet"
    outcome, steps = asked("table1", kept=Kept(path))
    assert [done for done, *_ in steps] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert {total for _, total, _ in steps} == {9}
    assert set(outcome.rows["variant"]) == {*PAPER, *BESIDE}
    users = [part["user"].to_list() for part in outcome.rows.partition_by("variant")]
    assert all(u == users[0] for u in users)
    (table,) = outcome.tables
    assert len(table.rows) == 9
    assert len(outcome.findings) == 7
    assert set(outcome.plots) == {""}
    assert outcome.settings["users asked"] == len(users[0])
    kept = Kept(path, resume=True)
    again, _ = asked("table1", kept=kept)
    assert kept.made == 0
    assert again.tables == outcome.tables
    assert again.findings == outcome.findings


def test_what_draws_nothing_is_trained_once(asked, monkeypatch):
    from kinfolk.baselines.logistic_regression import LogisticRegression

    fitted = []
    original = LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", lambda self, view: fitted.append(self.seed) or original(self, view))
    monkeypatch.setattr("kinfolk.reproduce.table1.PAPER", ("ralm", "lr"))
    outcome, _ = asked("table1", seeds=(0, 1))
    assert fitted == [0]
    lr = [part.drop("seed") for part in outcome.rows.filter(pl.col("variant") == "lr").partition_by("seed")]
    assert lr[0].equals(lr[1])
    ralm = [part.drop("seed") for part in outcome.rows.filter(pl.col("variant") == "ralm").partition_by("seed")]
    assert not ralm[0].equals(ralm[1])


def test_made_up_times_are_cut_once_and_as_the_protocol_cuts_them(tiny_log, tiny_terms):
    from kinfolk.baselines.popularity import Popularity

    assert parted(tiny_log, tiny_terms) == (tiny_log, tiny_terms)
    made_up = replace(tiny_terms, t1=0.0, end=10.0, uses_time=False, n=(3,))
    method = Popularity("popularity", 0)
    want = run_table1(tiny_log, made_up, [method])
    assert run_table1(*parted(tiny_log, made_up), [method]).equals(want)


@pytest.mark.parametrize("name", PAPER)
def test_the_names_are_those_of_the_registry(name):
    from kinfolk.baselines import registry

    assert name in registry.names("table1")
