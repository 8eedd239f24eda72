"""`Signalled`: an event for signal handlers, which run in the very thread that waits for it."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue


class Signalled:
    """Set by a handler, waited for by one thread.

    `threading.Event` may stop for good there: a handler that runs while `wait` holds the event's lock waits in `set`
    for that same lock. `SimpleQueue.put` is documented to be safe at any point of the same thread.
    """

    def __init__(self) -> None:
        self._set = False
        self._woken: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Whether `set` was called since `clear`."""
        return self._set

    def set(self) -> None:
        """From any thread, and at any point of the one that waits."""
        self._set = True
        self._woken.put(None)

    def clear(self) -> None:
        """As if it was never set; one `wait` may return early."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set, or `timeout` seconds have passed; returns whether it is set."""
        if not self._set:
            with suppress(Empty):
                self._woken.get(timeout=timeout)
        return self._set
