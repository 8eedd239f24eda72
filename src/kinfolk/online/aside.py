"""Background threads step back behind requests: `step_aside`, at the start of such a thread."""

from __future__ import annotations

import os
import sys
import threading

POLITE = 10  # how much less a background thread insists on a core; each step is about a quarter of the time


def step_aside() -> None:
    """Lower the priority of the calling thread, and of threads that it will start. Does nothing but on Linux, where a
    priority belongs to a thread; elsewhere it would be the whole process."""
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    try:
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(19, now + POLITE))
    except OSError:  # a sandbox that forbids it: slower answers, nothing else
        return
