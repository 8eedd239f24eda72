"""Workers that end: which are replaced, how soon, and which end it all."""

import signal

import pytest

from kinfolk.serve.lives import BAD_INPUT, LACKING, Lives, WorkerError

LONG, SHORT = 60.0, 2.0


@pytest.mark.parametrize("code", [BAD_INPUT, LACKING])
def test_what_ends_the_first_is_said_at_once(code):
    with pytest.raises(WorkerError, match=f"code {code}"):
        Lives().ended(0, code, LONG)


def test_a_worker_that_lacks_something_is_tried_less_and_less_often():
    lives = Lives()
    lives.ready(0)
    assert [lives.ended(1, LACKING, SHORT) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert lives.ended(0, LACKING, SHORT) == 1, "each for itself"
    lives.ready(1)
    assert lives.ended(1, LACKING, SHORT) == 1, "it was there again"
    for _ in range(2_000):
        lives.ended(1, LACKING, SHORT)


@pytest.mark.parametrize("code", [BAD_INPUT, 1, -signal.SIGKILL])
def test_five_short_lives_in_a_row_end_it(code):
    lives = Lives()
    lives.ready(0)
    for _ in range(3):
        assert [lives.ended(0, code, SHORT) for _ in range(4)] == [0] * 4
        assert lives.ended(0, code, LONG) == 0
    for _ in range(4):
        lives.ended(0, code, SHORT)
    assert lives.ended(1, LACKING, SHORT) == 1, "not counted"
    with pytest.raises(WorkerError, match=f"code {code}"):
        lives.ended(0, code, SHORT)
