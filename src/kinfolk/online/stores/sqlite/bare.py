"""Items of the file that have no seeds, let go once nothing names them any more: `Bare`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from kinfolk.online.stores.sqlite import runs
from kinfolk.online.stores.sqlite.click_log import ClickLog
from kinfolk.online.stores.sqlite.items import Items
from kinfolk.online.stores.sqlite.writer import Transaction

FREE_AT = 64  # dropped items before the first look at which of them can be freed


class Bare:
    """Items without seeds, by number. Used on the writer's thread only.

    items: all of the file. numbers: those that have none at the start.
    """

    def __init__(self, items: Items, numbers: Iterable[int]) -> None:
        self._items, self._numbers = items, set(numbers)
        self._free_at = FREE_AT

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int) -> None:
        """One that was dropped."""
        self._numbers.add(number)

    def free_if_many(self, transaction: Transaction, log: ClickLog, freed: Callable[[Sequence[int]], None]) -> None:
        """Let go of those that no row of the journal and no trail has a click of, and tell `freed` which.

        A row of the journal holds no item that has not changed since the first of them. Looks again when twice as
        many are there as are left, so it costs a drop little.
        """
        if len(self._numbers) < self._free_at:
            return
        (first,) = transaction.execute("SELECT min(generation) FROM journal").fetchone()
        changed, cleaned = self._items.changed, self._items.cleaned
        logged = np.zeros(len(changed), np.bool_)
        logged[log.item[: log.n]] = True  # only this thread writes the log
        settled = [
            n for n in self._numbers
            if changed[n] <= cleaned[n] and (first is None or changed[n] < first) and not logged[n]
        ]  # fmt: skip
        free = [n for n in settled if not runs.read(transaction.connection, n, 1)]
        transaction.executemany("DELETE FROM items WHERE id = ?", [(n,) for n in free])

        def let_go() -> None:
            self._numbers.difference_update(settled)
            self._free_at = 2 * len(self._numbers) + FREE_AT
            self._items.free(free)
            freed(free)

        transaction.committed.append(let_go)
