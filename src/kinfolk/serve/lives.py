"""What becomes of workers that end: `Lives`, which says when one is replaced, and when it is no use."""

from __future__ import annotations

from kinfolk.errors import KinfolkError

BAD_INPUT = 2
"""Exit code of a worker that cannot start with these settings."""
LACKING = 75
"""Exit code of a worker that may start later: the store is away, or the bundle is being replaced."""

_SHORT_LIFE_S = 5.0
_MOST_SHORT_LIVES = 5
_LONGEST_PAUSE_S = 30.0


class WorkerError(KinfolkError):
    """Workers cannot be kept running."""


class Lives:
    """When workers that end are replaced. What one of them lacks is no reason to stop the others.

    Before any was ready, what ends one would end all: then it is said at once.
    """

    def __init__(self) -> None:
        self._any = False
        self._short = 0
        self._lacked: dict[int, int] = {}

    def ready(self, number: int) -> None:
        """A worker answers."""
        self._any = True
        self._lacked.pop(number, None)

    def ended(self, number: int, code: int, seconds: float) -> float:
        """Seconds until a worker is replaced: 0, or 1, 2, 4 and so on up to 30 while it lacks something.

        Args:
            number: of the worker.
            code: it ended with.
            seconds: it lived.

        Raises:
            WorkerError: none was ready yet and this one says that it cannot start, or five in a row lived for less than
                five seconds.
        """
        hopeless = not self._any and code in (BAD_INPUT, LACKING)
        if code == LACKING and not hopeless:
            times = self._lacked[number] = self._lacked.get(number, 0) + 1
            return min(2.0 ** min(times - 1, 10), _LONGEST_PAUSE_S)
        self._short = self._short + 1 if seconds < _SHORT_LIFE_S else 0
        if hopeless or self._short >= _MOST_SHORT_LIVES:
            raise WorkerError(f"a worker ended with code {code} as soon as it started", "see what it said above")
        return 0.0
