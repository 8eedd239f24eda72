"""Numbers of items: a click in the file names its item by 4 bytes, not by its outside id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.clicks import candidate_key
from kinfolk.online.stores.sqlite.writer import Transaction


class Items:
    """All items the file knows, in memory: 250 bytes each, and 24 of one that was freed, whose number stays unused.

    changed, cleaned: int64[numbers], generation of the last change and the newest that was `clean`. key:
    uint64[numbers], `candidate_key`. Written by the writer's thread only; readers see an entry whole or not at all.
    """

    def __init__(self, rows: Sequence[tuple[int, str, int, int]]) -> None:
        self._number: dict[str, int] = {}
        self._name: dict[int, str] = {}
        self.changed, self.cleaned = np.zeros(64, np.int64), np.zeros(64, np.int64)
        self.key = np.zeros(64, np.uint64)
        self._next = 1
        for number, name, changed, cleaned in rows:
            self._add(number, name)
            self.changed[number], self.cleaned[number] = changed, cleaned

    def number(self, name: str) -> int | None:
        """None for an item that nobody clicked."""
        return self._number.get(name)

    def name(self, number: int) -> str:
        """Outside id. Raises KeyError if it was freed."""
        return self._name[number]

    def names(self, numbers: Iterable[int]) -> dict[int, str]:
        """Outside ids of those that were not freed meanwhile."""
        return {n: name for n in numbers if (name := self._name.get(n)) is not None}

    def __len__(self) -> int:
        return len(self._number)

    def ensure(self, transaction: Transaction, names: Sequence[str]) -> NDArray[np.int32]:
        """int32[len(names)]: numbers, of new items new ones."""
        numbers = [*map(self._number.get, names)]
        if None not in numbers:
            return np.array(numbers, np.int32)
        new = [name for name, number in zip(names, numbers, strict=True) if number is None]
        added: list[str] = []
        transaction.undone.append(lambda: self._forget(added))  # also if a later one cannot be written
        for name in new:
            transaction.execute("INSERT INTO items (id, name) VALUES (?, ?)", (self._next, name))
            self._add(self._next, name)
            added.append(name)
        return np.array([*map(self._number.get, names)], np.int32)

    def dirty(self) -> dict[str, int]:
        """Name -> generation of the last change, of those that changed since they were clean."""
        numbers = np.flatnonzero(self.changed > self.cleaned)
        return {name: int(self.changed[n]) for n, name in self.names(numbers.tolist()).items()}

    def free(self, numbers: Iterable[int]) -> None:
        """Of items that nothing names any more: clicked again, they are new."""
        for number in numbers:
            del self._number[self._name.pop(number)]
            self.changed[number] = self.cleaned[number] = 0

    def _add(self, number: int, name: str) -> None:
        if number >= len(self.changed):
            size = 2 * number
            self.changed, self.cleaned = _longer(self.changed, size), _longer(self.cleaned, size)
            key = np.zeros(size, np.uint64)
            key[: len(self.key)] = self.key
            self.key = key
        self.key[number] = candidate_key(name)
        self._name[number] = name
        self._number[name] = number
        self._next = max(self._next, number + 1)

    def _forget(self, names: Sequence[str]) -> None:
        for name in names:
            del self._name[self._number.pop(name)]


def _longer(values: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    out = np.zeros(size, np.int64)
    out[: len(values)] = values
    return out
