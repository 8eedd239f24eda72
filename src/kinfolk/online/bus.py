"""Clicks from a bus: a `ClickSource` hands them out, `drain` writes them and acknowledges what is durable.

At least once: what is not acknowledged is handed out again, to the same reader or to another. A click without a time
carries the moment at which the bus took it in, so that it has the same identity each time it comes and counts once.
A click that cannot be read, or that the writer refuses, goes to a dead-letter list, is counted, and holds nobody up.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kinfolk.errors import DataError, OptionError
from kinfolk.online.stores.open import REDIS


@dataclass(frozen=True)
class Delivery:
    """Clicks as handed out, one value a click in each column.

    Args:
        places: where the bus keeps each, for `ack`.
        users, candidates: outside ids.
        times: ms since 1970 UTC.
        event_ids: identities, None where a click has none.
    """

    places: tuple[str, ...]
    users: tuple[str, ...]
    candidates: tuple[str, ...]
    times: tuple[int, ...]
    event_ids: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.places)

    def part(self, start: int, end: int) -> Delivery:
        """Rows from `start` up to `end`."""
        rows = slice(start, end)
        return Delivery(
            self.places[rows], self.users[rows], self.candidates[rows], self.times[rows], self.event_ids[rows]
        )


class ClickSource(Protocol):
    """A bus, as one reader sees it; used by one thread."""

    def read(self, limit: int) -> Delivery:
        """Up to `limit` clicks: first those of this reader that were never acknowledged, then those of readers that
        died, then new ones. Empty if there is nothing, or nothing but clicks that cannot be read."""

    def ack(self, delivery: Delivery) -> None:
        """These are durable and need not come again."""

    def refuse(self, delivery: Delivery, reason: str) -> None:
        """These can never be written: keep them aside, and count them."""

    def again(self) -> None:
        """Hand out once more what was read and not acknowledged."""

    def waiting(self) -> tuple[int | None, int]:
        """Of the whole deployment: clicks that nobody was handed yet (None: the bus cannot tell), and clicks that were
        handed out and are not acknowledged."""

    def counts(self) -> dict[str, int]:
        """Of this reader since its start: `read`, `claimed` from others among them, `acknowledged`, `refused`."""

    def close(self) -> None:
        """Let go."""


Write = Callable[[Sequence[str], Sequence[str], Sequence[int], Sequence[str | None]], object]


def drain(source: ClickSource, write: Write, *, limit: int = 1000, batches: int = 100) -> int:
    """Write what the source holds, at most `batches` times `limit` clicks; returns how many were handed out.

    Args:
        source: the bus.
        write: takes users, candidates, times and event ids; durable when it returns; raises DataError for clicks that
            can never be written.
        limit: clicks of one batch.
        batches: after so many the caller gets a chance to stop.

    Raises:
        KinfolkError: what `write` or the source raises; the clicks concerned will be handed out again.
    """
    done = 0
    try:
        for _ in range(batches):
            before = source.counts()["refused"]
            delivery = source.read(limit)
            _write(source, write, delivery)
            refused = source.counts()["refused"] - before
            if not len(delivery) and not refused:
                break
            done += len(delivery)
    except BaseException:
        source.again()
        raise
    return done


def _write(source: ClickSource, write: Write, delivery: Delivery) -> None:
    """All at once; halved where some are refused, until those are alone."""
    if not len(delivery):
        return
    try:
        write(delivery.users, delivery.candidates, delivery.times, delivery.event_ids)
    except DataError as error:
        if len(delivery) == 1:
            source.refuse(delivery, error.problem)
            return
        middle = len(delivery) // 2
        _write(source, write, delivery.part(0, middle))
        _write(source, write, delivery.part(middle, len(delivery)))
        return
    source.ack(delivery)


def open_source(url: str, *, stream: str, group: str, consumer: str, claim_after_ms: int = 60_000) -> ClickSource:
    """A reader of a Redis stream, as a member of a consumer group.

    Args:
        url: redis:// or rediss://, as for `open_backend`; nothing is asked of it yet.
        stream: key of the stream. Entries have the fields `user` and `candidate`, and may have `time` (ms) and
            `event_id`.
        group: made if it is not there, from the stream's first entry on.
        consumer: this reader's name in the group; the same after a restart, or its unfinished clicks wait for another.
        claim_after_ms: a reader that is silent for so long is taken for dead, and its clicks are handed out again.

    Raises:
        OptionError: another kind of URL, a name that is empty, or the Redis client is not installed.
    """
    if not url.startswith(REDIS):
        raise OptionError(f"no bus can be read at {url.partition(':')[0]}:", "use redis:// or rediss://")
    if not (stream and group and consumer and claim_after_ms > 0):
        raise OptionError("a stream, group or consumer without a name", "name all three")
    module = importlib.import_module("kinfolk.online.stores.redis.stream")
    source: ClickSource = module.RedisStream.open(url, stream, group, consumer, claim_after_ms)
    return source
