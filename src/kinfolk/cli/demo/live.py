"""The demo's live part: a server, the held-out clicks through HTTP, and the audience of a new item while it grows."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from kinfolk.cli.client import Client, ServerError
from kinfolk.cli.demo.feeds import Feeds
from kinfolk.cli.demo.plan import Look, Plan, plan
from kinfolk.cli.demo.process import serving
from kinfolk.serve.signalled import Signalled

if TYPE_CHECKING:
    from rich.console import Console

    from kinfolk.bundle import Bundle
    from kinfolk.cli.progress import Bars
    from kinfolk.data.log import Log
    from kinfolk.evaluate.protocol import Protocol

MOST_CLICKS = 100_000
MOST_SECONDS = 45.0
_PERCENT = 5.0
_FIRST = 1000
_PAGE = 1000
_LOOK_S = 0.05


@dataclass(frozen=True)
class Growth:
    """The item after so many users clicked it.

    Args:
        clicks: users who clicked.
        seeds: of them with an embedding.
        eligible: users who have one and have not clicked. later: of them, those who will.
        alike: of them, those at least as alike as the best 1 % were at the first look.
        top1, top5: members of the best 1 % and 5 %. hits1, hits5: of them, those who will click.
    """

    clicks: int
    seeds: int
    eligible: int
    later: int
    alike: int
    top1: int
    hits1: int
    top5: int
    hits5: int

    @property
    def lift1(self) -> float:
        """Times as many later clickers in the best 1 % as among as many users drawn at random."""
        return _lift(self.hits1, self.top1, self.later, self.eligible)

    @property
    def lift5(self) -> float:
        """The same of the best 5 %."""
        return _lift(self.hits5, self.top5, self.later, self.eligible)


@dataclass(frozen=True)
class Live:
    """What happened.

    Args:
        item: outside id of the new item.
        growth: rows, in time order.
        sent: clicks sent, of `total` held out; told: what became of them.
        hours: that the clicks sent span, in the log's own time; None where its times are made up.
        seconds: that sending took, waits for the looks left out.
        first: seconds of the first feed request. feeds: of every one after it. failed: feeds that were refused.
        per_second: feeds that fell due a second.
        candidates: live at the end.
        whole: False if the time was up before everything planned was done.
    """

    item: str
    growth: tuple[Growth, ...]
    sent: int
    total: int
    told: Counter[str]
    hours: float | None
    seconds: float
    first: float
    feeds: np.ndarray[Any, np.dtype[np.float64]]
    failed: int
    per_second: float
    candidates: int
    whole: bool

    def percentiles(self) -> tuple[float, float, float]:
        """p50, p95 and p99 of the feed requests in ms; NaN where none was answered."""
        if not len(self.feeds):
            return (float("nan"),) * 3
        p50, p95, p99 = np.percentile(1000 * self.feeds, [50, 95, 99])
        return float(p50), float(p95), float(p99)


def run_live(
    console: Console,
    log: Log,
    terms: Protocol,
    bundle: Bundle,
    folder: Path,
    *,
    most_clicks: int = MOST_CLICKS,
    most_seconds: float = MOST_SECONDS,
) -> Live:
    """Serve `bundle`, replay what was held out of its training, follow a new item, stop.

    Times are moved so that the last click played is of now; in between they keep their distances.

    Raises:
        ServerError: the server does not come up, or refuses.
    """
    from kinfolk.cli.progress import step_progress

    assert bundle.path is not None
    todo = plan(log, terms, bundle.user_ids, most_clicks)
    stop = Signalled()
    with _alarm(most_seconds, stop), serving(bundle.path, folder, most_seconds) as url:
        console.print(f"kinfolk serve {bundle.path} listens on {url}; its log: {folder / 'serve.log'}")
        with Client(url, stop.wait, most_seconds) as client, step_progress(console, "replaying") as bars:
            client.send("GET", "/readyz")
            session = _Session(client, log, todo, stop, bars)
            feeds = Feeds(url, bundle.user_ids.tolist())
            try:
                session.begin()
                with feeds:
                    session.run()
            except ServerError:
                if not stop.is_set():  # else it was given up because the time is up
                    raise
    end = session.done
    hours = float(todo.time[end - 1] - todo.time[0]) / 3600 if end and terms.uses_time else None
    return Live(
        todo.item, tuple(session.growth), end, todo.total, session.told, hours, session.seconds, session.first,
        np.array(feeds.seconds), feeds.failed, feeds.per_second, feeds.candidates,
        end == len(todo.time) and len(session.growth) == len(todo.looks),
    )  # fmt: skip


class _Session:
    """Plays up to each look, looks, and plays the rest, until it is told to stop."""

    def __init__(self, client: Client, log: Log, todo: Plan, stop: Signalled, bars: Bars) -> None:
        self._client, self._log, self._todo, self._stop, self._bars = client, log, todo, stop, bars
        self._shift = time.time() - float(todo.time[-1])
        self._note = ""
        self._bound: float | None = None
        self.first = float("nan")
        self.growth: list[Growth] = []
        self.told: Counter[str] = Counter()
        self.done, self.seconds = 0, 0.0

    def begin(self) -> None:
        """Create the item, send the first clicks, and ask for one of their users' feed, for which the server loads what
        it loads but once."""
        body = json.dumps({"meta": {"made by": "kinfolk demo"}}).encode()
        self._client.send("PUT", f"/v1/candidates/{quote(self._todo.item, safe='')}", body)
        self._play(min([_FIRST, len(self._todo.time), *(look.row for look in self._todo.looks[:1])]))
        user = quote(str(self._log.user_ids[self._todo.user[self.done - 1]]), safe="")
        began = time.monotonic()
        self._client.send("GET", f"/v1/users/{user}/candidates")
        self.first = time.monotonic() - began

    def run(self) -> None:
        """Everything planned, as far as time allows."""
        for look in self._todo.looks:
            self._play(look.row)
            if self._stop.is_set():
                return
            found = self._look(look)
            if found is None:
                return
            self.growth.append(found)
            self._note = f"  {found.clicks} clicks on {self._todo.item}: lift {found.lift5:.1f} in the best 5 %"
        self._play(len(self._todo.time))

    def _play(self, end: int) -> None:
        from kinfolk.cli.replaying import Replay

        first, total = self.done, len(self._todo.time)
        if end <= first:
            return
        part = self._todo.played(self._log, first, end, self._shift)
        replay = Replay(self._client, part, batch=1000, speed=0.0, stop=self._stop)
        try:
            replay.play(on_step=lambda done, _, note: self._bars.step(first + done, total, note + self._note))
        finally:
            self.done = first + replay.sent
            self.told += replay.told
            self.seconds += replay.seconds

    def _look(self, look: Look) -> Growth | None:
        """The best 5 % for the item as a stored audience; None: no time.

        Its newest clicker is posted as a seed, too, for which its crowd is made anew at once: at this speed, hours of
        the log pass between two rounds of the refresher.
        """
        newest = json.dumps({"users": [str(self._log.user_ids[self._todo.user[look.row - 1]])]}).encode()
        self._client.send("POST", f"/v1/candidates/{quote(self._todo.item, safe='')}/seeds", newest)
        question = {"candidate": self._todo.item, "percent": _PERCENT, "exclude": list(self._todo.met)}
        question["name"] = f"after {look.clicks} clicks"
        made = self._client.send("POST", "/v1/audiences", json.dumps(question).encode())
        path = f"/v1/audiences/{made['id']}"
        if not self._until(lambda: self._client.send("GET", path)["state"] not in ("pending", "running")):
            return None
        told = self._client.send("GET", path)
        facts = told["facts"]
        if told["state"] != "ready":
            return Growth(look.clicks, int(facts.get("matched", 0)), 0, len(look.later), 0, 0, 0, 0, 0)
        members = self._members(path)
        best, few = list(members), list(members)[: max(1, facts["eligible"] // 100)]
        if self._bound is None:
            self._bound, size = members[few[-1]], len(few)  # a question now might meet a newer crowd
        else:
            alike = {"candidate": self._todo.item, "min_score": self._bound, "exclude": list(self._todo.met)}
            size = self._client.send("POST", "/v1/audiences/estimate", json.dumps(alike).encode())["size"]
        return Growth(
            look.clicks, facts["matched"], facts["eligible"], len(look.later), size,
            len(few), sum(u in look.later for u in few), len(best), sum(u in look.later for u in best),
        )  # fmt: skip

    def _members(self, path: str) -> dict[str, float]:
        """Scores by user, best first."""
        found: dict[str, float] = {}
        cursor = ""
        while True:
            page = self._client.send("GET", f"{path}/members?limit={_PAGE}{cursor}")
            found |= {member["id"]: member["score"] for member in page["members"]}
            if page["next"] is None:
                return found
            cursor = f"&cursor={quote(page['next'], safe='')}"

    def _until(self, fulfilled: Callable[[], bool]) -> bool:
        while not fulfilled():
            if self._stop.wait(_LOOK_S):
                return False
        return True


@contextmanager
def _alarm(seconds: float, stop: Signalled) -> Iterator[None]:
    """Sets `stop` when the time is up."""
    timer = threading.Timer(seconds, stop.set)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _lift(hits: int, shown: int, later: int, eligible: int) -> float:
    return (hits / shown) / (later / eligible) if shown and later and eligible else float("nan")
