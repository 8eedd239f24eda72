from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from kinfolk.baselines.method import Candidates
from kinfolk.errors import OptionError, ProtocolError
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.scoring import checked_scores, over_seeds, usable

USERS = np.arange(3, dtype=np.int32)
ONE = Candidates.one(0, np.array([1], np.int32), np.array([0.0]), rng=(0,))


@pytest.mark.parametrize(
    ("scores", "words"),
    [(np.zeros(3), "shape"), (np.zeros((1, 3)), "shape"), (np.array([[0.0], [np.nan], [1.0]]), "1 NaN")],
)
def test_answers_that_cannot_be_ranked_are_refused_by_name(make_log, scripted, scores, words):
    view = make_log([(0, 0, 0.0)], 3, 1).view(1.0)
    with pytest.raises(ProtocolError, match=words) as caught:
        checked_scores(scripted("mine", lambda *_: scores), USERS, ONE, view)
    assert "mine" in str(caught.value)


def test_minus_infinity_ranks_last(make_log, scripted):
    view = make_log([(0, 0, 0.0)], 3, 1).view(1.0)
    scores = np.array([[0.0], [-np.inf], [1.0]])
    assert checked_scores(scripted("mine", lambda *_: scores), USERS, ONE, view) is scores


def test_methods_have_names_of_their_own(scripted):
    with pytest.raises(OptionError, match="'a'"):
        usable([scripted("a"), scripted("a")], Protocol(t1=0.0))


def test_a_run_of_nothing_but_time_is_refused_where_there_is_none(scripted):
    methods = [scripted("a", needs_time=True)]
    assert usable(methods, Protocol(t1=0.0)) == tuple(methods)
    with pytest.raises(ProtocolError, match="real times"):
        usable(methods, Protocol(t1=0.0, uses_time=False))


def test_training_seeds_answer_the_same_questions(scripted):
    def run(methods):
        return pl.DataFrame({"method": [m.name for m in methods], "auc": [0.5] * len(methods)})

    made = []

    def make(seed):
        made.append(seed)
        return [scripted(), scripted("other")]

    table = over_seeds(run, make, [3, 5])
    assert made == [3, 5]
    assert table["seed"].to_list() == [3, 3, 5, 5]
    assert table["method"].to_list() == ["scripted", "other"] * 2
    for seeds in ([], [1, 1]):
        with pytest.raises(OptionError, match="seeds"):
            over_seeds(run, make, seeds)
