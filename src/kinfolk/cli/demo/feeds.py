"""Feed requests at a steady rate beside the replay, and how long each took."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import quote

import numpy as np

from kinfolk.cli.client import Client, ServerError

_THREADS = 4


class Feeds:
    """Asks for the feeds of users drawn at random, in threads of its own, as long as the block runs.

    A request's time counts from when it was due, so that a slow answer also tells on those that had to wait for it.

    Args:
        url: of the server.
        users: whose feeds.
        per_second: requests that fall due a second.
        n: length of a feed.
        seed: of the drawing.
    """

    def __init__(self, url: str, users: Sequence[str], *, per_second: float = 20.0, n: int = 20, seed: int = 0) -> None:
        self._url, self._users, self._n, self._seed = url, users, n, seed
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i,), daemon=True) for i in range(_THREADS)]
        self.per_second = per_second
        self.seconds: list[float] = []
        self.failed = 0
        self.candidates = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        rng = np.random.default_rng([self._seed, number])
        every = _THREADS / self.per_second
        with Client(self._url, self._stop.wait, patience=0.0) as client:
            due = time.monotonic() + number / self.per_second
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                user = quote(self._users[int(rng.integers(len(self._users)))], safe="")
                try:
                    feed = client.send("GET", f"/v1/users/{user}/candidates?n={self._n}")
                    self.seconds.append(time.monotonic() - due)
                    self.candidates = int(feed["total"])
                except ServerError:
                    self.failed += 1
                due += every
