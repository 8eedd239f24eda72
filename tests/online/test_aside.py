from __future__ import annotations

import os
import sys
import threading

import pytest

from kinfolk.online.aside import POLITE, step_aside


@pytest.mark.skipif(sys.platform != "linux", reason="a priority belongs to a thread on Linux only")
def test_a_thread_steps_back_with_those_it_starts_and_leaves_the_others_where_they_are() -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    seen: list[int] = []

    def look() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def background() -> None:
        step_aside()
        look()
        child = threading.Thread(target=look)
        child.start()
        child.join()

    thread = threading.Thread(target=background)
    thread.start()
    thread.join()
    assert seen == [min(19, before + POLITE)] * 2
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
