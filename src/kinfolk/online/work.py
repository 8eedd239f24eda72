"""What a process does beside answering (`Work`): refresh if elected, make audiences, purge, expire, follow swaps."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable

from kinfolk.errors import KinfolkError
from kinfolk.online import audiences
from kinfolk.online.clock import due
from kinfolk.online.deployment import Deployment
from kinfolk.online.forget import Purge
from kinfolk.online.overdue import Overdue
from kinfolk.online.refresher import Refresher
from kinfolk.online.space import Space
from kinfolk.online.swap import Swaps

_LOOKS = 20  # at what waits to be clustered, in the time between two rounds

_log = logging.getLogger("kinfolk.online")


class Work:
    """Background threads of one process; each turn of a loop can also be taken by hand."""

    def __init__(self, deployment: Deployment, swaps: Swaps, purge: Purge) -> None:
        self._d, self._swaps, self._purge = deployment, swaps, purge
        self.name = f"worker-{secrets.token_hex(6)}"
        d = deployment
        self.refresher = Refresher(d.backend, self._space, d.settings, d.clock)
        self._overdue = Overdue()
        self._looked: int | None = None  # when what waits was last looked at
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._counted: Counter[str] = Counter()
        self._pending = 0

    def start(self) -> None:
        """Start the threads; nothing if they run."""
        if self._threads:
            return
        self._stopping.clear()
        loops: dict[str, Callable[[], bool]] = {"keep": self.keep}
        if self._d.settings.work_audiences:
            loops["audiences"] = self.audience
        for name, turn in loops.items():
            thread = threading.Thread(target=self._loop, args=(name, turn), name=f"kinfolk-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()
        if self._d.settings.refresh:
            self.refresher.start()

    def stop(self) -> None:
        """Stop the threads once they have finished their turn; hand the lease over, write what was counted."""
        self._stopping.set()
        self.refresher.halt()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._swaps.stop()
        self.refresher.stop()
        self._d.counts.flush(self._d.clock())

    def refresh(self) -> int:
        """One turn as refresher, if elected and due; how many crowds were published."""
        return self.refresher.run_once()

    def audience(self) -> bool:
        """Work on one audience; False if none waited."""
        return audiences.work(self._d, self.name)

    def keep(self) -> bool:
        """Expire, follow a swap that failed, purge forgotten users, write counters."""
        d, now = self._d, self._d.clock()
        d.served()
        self._swaps.notice()
        d.counts.flush(now)
        self._swaps.tidy(now)
        if due(self._looked, d.settings.refresh_every_ms // _LOOKS, now):
            self._waiting(now)
            self._looked = now
        self._pending = self._purge.step(now)
        return False

    def ready(self) -> tuple[bool, str]:
        """Whether a request would be answered: the stores take writes and the index is caught up."""
        try:
            self._d.backend.ping()
            self._d.served()
        except KinfolkError as e:
            return False, str(e)
        return True, ""

    def stats(self) -> dict[str, float]:
        """Numbers for metrics.

        `candidates` (live), `scorable`, `expired` (retired by this process when their time had come), `stale` (with
        changes of seeds that their published crowd does not show), `refresh_age_ms` (of the oldest such change, as
        `Overdue` says), `seeds`, `store_bytes`, `users` (with an embedding), `forgotten`, `forgotten_pending`,
        `swap_failed` (1: another process serves a model that this one cannot open), `errors_<loop>`, and
        `refresher_<name>`, the refresher's own numbers.
        """
        d = self._d
        served, table = d.model, d.model.table()
        store = d.backend.seeds.stats()
        waiting, age = self._waiting(d.clock())
        return {
            **{f"refresher_{name}": value for name, value in self.refresher.stats().items()},
            "candidates": len(d.roster),
            "scorable": len(table.ids),
            "expired": d.expired,
            "stale": waiting,
            "seeds": store["seeds"],
            "store_bytes": store["bytes"],
            "users": len(served.space),
            "forgotten": len(served.gone),
            "forgotten_pending": self._pending,
            "refresh_age_ms": age,
            "swap_failed": float(self._swaps.failed is not None),
            **{f"errors_{name}": self._counted[name] for name in ("keep", "audiences")},
        }

    def _space(self) -> Space:
        served = self._d.served()
        served.table()  # made by who changes it, not by the next request
        return served.space

    def _waiting(self, now: int) -> tuple[int, int]:
        d = self._d
        live = {c: generation for c, generation in d.backend.seeds.dirty().items() if c in d.roster}
        return self._overdue.look(live, d.model.facts, now)

    def _loop(self, name: str, turn: Callable[[], bool]) -> None:
        while not self._stopping.is_set():
            try:
                again = turn()
            except Exception as e:  # a store that is away for a while must not end the thread
                self._counted[name] += 1
                _log.warning("background work %r failed: %s", name, type(e).__name__)  # a message might hold an id
                again = False
            if not again:
                self._stopping.wait(self._d.settings.poll_ms / 1000)
