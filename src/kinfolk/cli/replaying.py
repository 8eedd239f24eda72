"""How a log is played: `read_log`, and `Replay`, which sends what is due."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinfolk.cli.client import Client
from kinfolk.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from kinfolk.serve.signalled import Signalled

_GATHER_S = 0.02
_SHOWN = ("accepted", "duplicates", "unknown_users", "unknown_candidates", "refused_retired", "forgotten")


@dataclass(frozen=True)
class Played:
    """What is played, sorted by time. users, items: n texts each. time: int64[n] ms. click: bool[n]."""

    users: pl.Series
    items: pl.Series
    time: NDArray[np.int64]
    click: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time)


def read_log(events: Path, schema: Path | None, first: float | None, until: float | None) -> Played:
    """The rows of an events table from `first` to before `until`, seconds since 1970.

    Raises:
        DataError: as `kinfolk.read_tables`, or no row is left.
    """
    import polars as pl

    from kinfolk.data.tables import read_tables
    from kinfolk.schema import Schema

    full = Schema() if schema is None else Schema.load(schema)
    bare = Schema(columns=full.columns, time_unit=full.time_unit, history=())
    frame = read_tables(bare, events).events
    c = full.columns
    if first is not None:
        frame = frame.filter(pl.col(c.time) >= first)
    if until is not None:
        frame = frame.filter(pl.col(c.time) < until)
    names = [c.user, c.item, c.time] + ([c.label] if c.label in frame.collect_schema() else [])
    table = frame.select(names).sort(c.time, maintain_order=True).collect()
    if len(table) == 0:
        raise DataError(f"{events}: no event between --from and --until", "choose other times")
    click = (table[c.label] == 1).to_numpy() if c.label in names else np.ones(len(table), bool)
    ms = np.rint(1000 * table[c.time].to_numpy()).astype(np.int64)
    return Played(table[c.user].cast(pl.String), table[c.item].cast(pl.String), ms, click)


class Replay:
    """Sends a log to a server, and counts.

    Args:
        client: of the server.
        log: what to send.
        batch: most rows of one request.
        speed: seconds of the log a second; 0 is as fast as they go.
        stop: set to end it after the request under way.
        clock: seconds, ever rising.
    """

    def __init__(
        self,
        client: Client,
        log: Played,
        *,
        batch: int,
        speed: float,
        stop: Signalled,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._log, self._batch, self._speed = client, log, batch, speed
        self._stop, self._clock = stop, clock
        self.retime: Callable[[], int] | None = None
        self.told: Counter[str] = Counter()
        self.sent = self.shown = 0
        self.took: list[float] = []
        self.seconds = 0.0

    def play(self, *, impressions: bool = False, on_step: Callable[[int, int, str], None] = lambda *_: None) -> None:
        """Send everything, in order.

        Args:
            impressions: every row as an impression, too.
            on_step: called with rows done, rows in all, and a note.

        Raises:
            ServerError: the server refuses, or stays away.
        """
        start, done, n = self._clock(), 0, len(self._log)
        while done < n and not self._stop.is_set():
            end = self._due(done, start)
            if end == done:
                self._stop.wait(self._until_next(done, start))
                continue
            self._post(done, end, impressions)
            done = end
            self.seconds = self._clock() - start
            on_step(done, n, f"{self.sent / max(self.seconds, 1e-9):,.0f} clicks/s{self._late(done, start)}")
        self.seconds = self._clock() - start

    def _due(self, done: int, start: float) -> int:
        """One past the last row that is to be sent now."""
        most = min(done + self._batch, len(self._log))
        if not self._speed:
            return most
        log_ms = self._log.time[0] + 1000 * self._speed * (self._clock() - start)
        return min(most, int(np.searchsorted(self._log.time, log_ms, side="right")))

    def _until_next(self, done: int, start: float) -> float:
        due = float(self._log.time[done] - self._log.time[0]) / 1000 / self._speed
        return max(due - (self._clock() - start), _GATHER_S)

    def _late(self, done: int, start: float) -> str:
        """How far behind its speed it is, if by a second or more."""
        if not self._speed or done >= len(self._log):
            return ""
        behind = (self._clock() - start) - float(self._log.time[done] - self._log.time[0]) / 1000 / self._speed
        return f", {behind:.0f} s behind" if behind >= 1 else ""

    def _post(self, first: int, end: int, impressions: bool) -> None:
        rows = np.arange(first, end)
        if impressions:
            self._send("/v1/impressions", rows)
            self.shown += len(rows)
        clicks = rows[self._log.click[first:end]]
        if len(clicks):
            answer = self._send("/v1/clicks", clicks)
            self.told.update({name: int(answer.get(name, 0)) for name in _SHOWN})
            self.sent += len(clicks)

    def _send(self, path: str, rows: NDArray[np.int64]) -> dict[str, int]:
        log = self._log
        times = log.time[rows].tolist() if self.retime is None else [self.retime()] * len(rows)
        users, items = log.users[rows].to_list(), log.items[rows].to_list()
        body = [{"user": u, "candidate": i, "time": t} for u, i, t in zip(users, items, times, strict=True)]
        began = self._clock()
        answer: dict[str, int] = self._client.send("POST", path, json.dumps(body).encode())
        self.took.append(self._clock() - began)
        return answer

    def summary(self) -> Table:
        """What became of it."""
        from rich.table import Table

        rate = self.sent / self.seconds if self.seconds else 0.0
        table = Table("replayed", "", title_justify="left")
        table.add_row("clicks sent", f"{self.sent:,} of {int(self._log.click.sum()):,}")
        if self.shown:
            table.add_row("impressions sent", f"{self.shown:,}")
        for name in _SHOWN:
            table.add_row(name.replace("_", " "), f"{self.told[name]:,}")
        table.add_row("seconds", f"{self.seconds:,.1f} ({rate:,.0f} clicks/s)")
        if self.took:
            p50, p99 = np.percentile(1000 * np.array(self.took), [50, 99])
            table.add_row("a request took, ms", f"p50 {p50:.1f}, p99 {p99:.1f}")
        table.add_row("asked again", f"{self._client.retries:,}")
        return table
