from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from kinfolk.errors import OptionError, ProtocolError
from kinfolk.evaluate.cases import plan
from kinfolk.evaluate.protocol import DAY, KNOWN, Protocol, check_honest, defaults, from_log


@pytest.mark.parametrize(
    "change",
    [
        {"end": -1.0},
        {"window": 0.0},
        {"step": -1.0},
        {"n": ()},
        {"n": (30, 10)},
        {"n": (10, 10)},
        {"n": (0, 10)},
        {"live_min": (30, 10)},
        {"max_users": 0},
        {"simulate_new": 0},
        {"rolling": True, "uses_time": False},
    ],
)
def test_contradictory_terms_are_refused(change):
    with pytest.raises(OptionError):
        replace(Protocol(t1=0.0), **change)


def test_terms_of_the_known_data_sets():
    globo, kuairand, movielens = (defaults(name) for name in ("globo", "kuairand", "movielens-1m"))
    assert globo.local_midnight(globo.t1) == globo.t1
    assert kuairand.local_midnight(kuairand.t1) == kuairand.t1
    assert globo.end - globo.t1 == 7 * DAY
    assert (globo.simulate_new, kuairand.simulate_new, movielens.simulate_new) == (None, 300, 300)
    assert not movielens.uses_time
    assert set(KNOWN) == {"globo", "kuairand", "movielens-1m"}


def test_local_midnight_is_at_or_before_the_time():
    p = Protocol(t1=0.0, utc_offset=-3)
    assert p.local_midnight(3 * 3600.0) == 3 * 3600.0
    assert p.local_midnight(3 * 3600.0 - 1) == 3 * 3600.0 - DAY
    assert p.local_midnight(DAY) == 3 * 3600.0


def test_the_test_ends_after_the_last_event_or_impression(make_log):
    log = make_log([(0, 0, 1.0), (0, 1, 5.0)], 1, 2, shown=[(0, 1, 9.0, 0)])
    assert Protocol(t1=2.0).ends(log) == 10.0
    assert Protocol(t1=2.0, end=4.0).ends(log) == 4.0
    with pytest.raises(ProtocolError, match="before the test starts"):
        Protocol(t1=20.0).ends(log)


def test_derived_terms_find_something_to_ask(make_log, news_rows):
    log = make_log(news_rows, 300, 60)
    for terms in (defaults("mine", log), defaults("synthetic", log)):
        first, last = log.events.time[0], log.events.time[-1]
        assert first < terms.t1 < last
        assert terms.t1 == terms.local_midnight(terms.t1)
        assert plan(log, terms)


def test_derived_terms_simulate_new_items_where_there_are_none(make_log):
    rng = np.random.default_rng(0)
    rows = np.c_[rng.integers(0, 200, 8000), rng.integers(0, 40, 8000), np.sort(rng.uniform(0, 1000, 8000))]
    rows[:40, 1] = np.arange(40)
    terms = from_log(make_log(rows, 200, 40))
    assert terms.simulate_new == 20
    assert terms.live is None
    assert plan(make_log(rows, 200, 40), terms)


def test_terms_cannot_be_derived_from_one_moment_or_no_log(make_log):
    with pytest.raises(ProtocolError, match="one moment"):
        from_log(make_log([(0, 0, 1.0), (1, 0, 1.0)], 2, 1))
    with pytest.raises(ProtocolError):
        from_log(make_log([], 2, 1))
    with pytest.raises(OptionError, match="mine"):
        defaults("mine")


def test_a_model_that_saw_the_test_is_refused():
    terms = Protocol(t1=100.0)
    check_honest(terms, trained_until=100.0, removed_items=[], simulated_items=[])
    check_honest(terms, trained_until=50.0, removed_items=["a", "b"], simulated_items=["b"])
    with pytest.raises(ProtocolError, match="until 101") as caught:
        check_honest(terms, trained_until=101.0, removed_items=[], simulated_items=[])
    assert "--until 100" in caught.value.remedy
    with pytest.raises(ProtocolError, match="1 of the 2 simulated"):
        check_honest(terms, trained_until=50.0, removed_items=["a"], simulated_items=["a", "b"])
    with pytest.raises(ProtocolError):
        check_honest(terms, trained_until=math.inf, removed_items=[], simulated_items=[])


def test_histories_grow_where_times_are_real():
    assert KNOWN["globo"].fresh is None
    assert KNOWN["movielens-1m"].fresh is False
