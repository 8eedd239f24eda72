"""A thread that takes clicks from a bus for as long as the server runs: `Listener`.

A bus or a store that is away is waited for, longer and longer; what was not acknowledged comes again. A click over
which the writer breaks down, though others pass, is set aside as one that it refuses. If nothing passes it is not the
clicks' fault: then they wait, too.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from kinfolk.errors import DataError, KinfolkError
from kinfolk.online.bus import ClickSource, Write, drain

_POLL_S = 0.1
_LONGEST_PAUSE_S = 30.0
_MEASURE_S = 1.0
_SAY_AGAIN_S = 60.0
_BREAKDOWNS = 20  # clicks in a row that may be set aside since the writer broke down over them
_NOT_THE_CLICKS = (KinfolkError, OSError, MemoryError)

_log = logging.getLogger("kinfolk.online")


class Listener:
    """Drains a bus into a writer; each turn of its thread can also be taken by hand.

    Args:
        source: the bus; it is closed by `stop`.
        write: as in `drain`.
        limit: the most clicks taken at once.
        count: told of what became of clicks: `acknowledged`, `refused`, and `claimed` from readers that died.
        clock: seconds, ever rising.
    """

    def __init__(
        self,
        source: ClickSource,
        write: Write,
        *,
        limit: int = 1000,
        count: Callable[[Mapping[str, int]], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._put, self._limit, self._count, self._clock = source, write, limit, count, clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: Counter[str] = Counter()
        self._failures = self._errors = self._broke_down = 0
        self._said_at = self._measured_at = -math.inf
        self._lag, self._pending = math.nan, math.nan
        self._taking = False

    def start(self) -> None:
        """Start the thread; nothing if it runs."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="kinfolk-bus", daemon=True)
            self._thread.start()

    def stop(self, timeout: float | None = None) -> bool:
        """Finish the batch under way and let go of the bus; False if that takes longer than `timeout` seconds, after
        which the batch will be handed out again."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
            self._thread = None
        self._taking = False
        self._source.close()
        return True

    def turn(self) -> float:
        """Take one batch; seconds until the next turn is worth while."""
        try:
            taken = drain(self._source, self._write, limit=self._limit, batches=1)
            self._measure()
        except Exception as e:
            self._failed(e)
            return min(_LONGEST_PAUSE_S, 0.5 * 2.0 ** min(self._failures - 1, 10))
        finally:
            self._tell()
        if not self._taking:
            _log.info("clicks are taken from the bus")
        self._taking, self._failures, self._said_at = True, 0, -math.inf
        return 0.0 if taken else _POLL_S

    def stats(self) -> dict[str, float]:
        """`bus_taking` (1 while it works, 0 while the bus or the store is away), `bus_lag` (clicks that nobody was
        handed yet) and `bus_pending` (handed out and not acknowledged) of all processes together, NaN where not known;
        `bus_errors` of this one."""
        return {
            "bus_taking": float(self._taking),
            "bus_lag": self._lag,
            "bus_pending": self._pending,
            "bus_errors": float(self._errors),
        }

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = self.turn()
            if pause:
                self._stopping.wait(pause)

    def _write(
        self, users: Sequence[str], candidates: Sequence[str], times: Sequence[int], event_ids: Sequence[str | None]
    ) -> None:
        try:
            self._put(users, candidates, times, event_ids)
        except _NOT_THE_CLICKS:
            raise
        except Exception as e:
            if len(users) == 1:
                self._broke_down += 1
            if self._broke_down > _BREAKDOWNS:
                raise
            _log.error("the writer broke down over %d clicks of the bus: %s", len(users), _described(e))
            raise DataError(f"kinfolk has a defect ({type(e).__name__})", "its log says where; please report it") from e
        self._broke_down = 0

    def _failed(self, error: Exception) -> None:
        self._errors += 1
        self._failures += 1
        now = self._clock()
        if now - self._said_at >= _SAY_AGAIN_S:
            self._said_at = now
            _log.warning("no clicks are taken from the bus: %s", _described(error))
        self._taking = False
        self._broke_down = min(self._broke_down, _BREAKDOWNS - 1)  # each turn may set aside one at least

    def _tell(self) -> None:
        found = Counter({n: v for n, v in self._source.counts().items() if n != "read"})
        new = found - self._told
        self._told = found
        if new:
            self._count(new)

    def _measure(self) -> None:
        now = self._clock()
        if now - self._measured_at < _MEASURE_S:
            return
        lag, self._pending = self._source.waiting()
        self._lag = math.nan if lag is None else lag
        self._measured_at = now


def _described(error: Exception) -> str:
    """Class and place, not what it says: that might quote an id."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    return f"{type(error).__name__}{''.join(f' in {p.name}, line {p.lineno}' for p in place)}"
