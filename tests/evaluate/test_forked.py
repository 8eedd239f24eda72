from __future__ import annotations

import os

import pytest

from kinfolk.errors import OptionError
from kinfolk.evaluate import forked


def test_order_is_kept_and_closures_work(monkeypatch):
    monkeypatch.setattr(forked, "why_not_fork", lambda: None)
    shift = 7
    for jobs in (1, 2):
        assert list(forked.map_cases(lambda x: x + shift, range(20), jobs)) == list(range(7, 27))


def test_children_do_the_work(monkeypatch):
    monkeypatch.setattr(forked, "why_not_fork", lambda: None)
    here = os.getpid()
    assert here not in set(forked.map_cases(lambda _: os.getpid(), range(8), 2))
    assert set(forked.map_cases(lambda _: os.getpid(), range(8), 1)) == {here}


def test_threads_that_could_hang_a_child_are_refused(monkeypatch):
    monkeypatch.setattr(forked, "threadpool_info", lambda: [{"internal_api": "openmp", "num_threads": 2}])
    with pytest.raises(OptionError, match="openmp runs 2 threads"):
        list(forked.map_cases(str, range(3), 2))
    assert list(forked.map_cases(str, range(3), 1)) == ["0", "1", "2"]


def test_no_jobs_is_refused():
    with pytest.raises(OptionError, match="jobs is 0"):
        list(forked.map_cases(str, range(3), 0))
