"""What time it is: `Clock`, milliseconds since 1970 UTC; a test turns one by hand, a server reads the system's."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]


def system_clock() -> int:
    """The system's time in ms."""
    return time.time_ns() // 1_000_000


def due(last: int | None, every: int, now: int) -> bool:
    """Whether `every` ms have passed since the last time, or nobody knows: never before, or the clock was set back."""
    return last is None or not 0 <= now - last < every
