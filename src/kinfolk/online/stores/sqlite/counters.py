"""The CounterStore of the file: one row an hour, segment and candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from kinfolk.online.stores.sqlite.database import Database

What = Literal["impressions", "clicks"]


class SqliteCounters:
    """See `kinfolk.online.ports.CounterStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, what: What, hour: int, counts: Mapping[tuple[str, str], int]) -> None:
        """All in one commit."""
        rows = [(what, hour, segment, candidate, n) for (segment, candidate), n in counts.items()]
        if rows:
            self._db.write(
                lambda t: (
                    t.executemany(
                        "INSERT INTO counters VALUES (?, ?, ?, ?, ?)"
                        " ON CONFLICT (what, hour, segment, candidate) DO UPDATE SET n = n + excluded.n",
                        rows,
                    )
                    and None
                )
            )

    def totals(self, what: What, since_hour: int) -> dict[tuple[str, str], int]:
        """Summed by SQLite."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT segment, candidate, sum(n) FROM counters WHERE what = ? AND hour >= ?"
                " GROUP BY segment, candidate",
                (what, since_hour),
            )
            return {(segment, candidate): n for segment, candidate, n in rows}

    def drop_before(self, hour: int) -> None:
        """Of both kinds."""
        self._db.write(lambda t: t.execute("DELETE FROM counters WHERE hour < ?", (hour,)) and None)
