"""An event that a signal handler sets while its own thread waits for it."""

import signal
import sys
import threading

import pytest

from kinfolk.serve import signalled
from kinfolk.serve.signalled import Signalled

PATIENCE_S = 60
WHERE = (signalled.__file__, threading.__file__)


def wait_set_at_line(flag, number):
    """What `wait` returns where the flag is set, as by a handler, before the `number`-th line that runs in it."""
    seen = 0

    def look(frame, event, _):
        nonlocal seen
        if frame.f_code.co_filename not in WHERE:
            return None
        if event == "line":
            seen += 1
            if seen == number:
                flag.set()
        return look

    old = sys.gettrace()
    sys.settrace(look)
    try:
        return flag.wait(PATIENCE_S)
    finally:
        sys.settrace(old)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_it_may_be_set_at_any_line_of_wait(number):
    """With `threading.Event` the third does not end: `set` waits for the lock that `wait` holds."""
    assert wait_set_at_line(Signalled(), number)


def test_a_real_handler_ends_a_wait_without_end():
    flag, old = Signalled(), None
    try:
        old = signal.signal(signal.SIGALRM, lambda *_: flag.set())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert flag.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_it_waits_no_longer_than_told_and_can_be_set_again():
    flag = Signalled()
    assert not flag.wait(0.001)
    assert not flag.is_set()
    flag.set()
    assert flag.is_set()
    assert flag.wait()
    assert flag.wait(), "it stays set"
    flag.clear()
    assert not flag.is_set()
    assert not flag.wait(0.001)
    assert not flag.wait(0.001)
    flag.set()
    assert flag.wait()


def test_another_thread_may_set_it():
    flag = Signalled()
    setter = threading.Timer(0.05, flag.set)
    setter.start()
    assert flag.wait(PATIENCE_S)
    setter.join()


@pytest.mark.parametrize("timeout", [0, 0.0])
def test_no_time_at_all_is_a_look(timeout):
    assert not Signalled().wait(timeout)
