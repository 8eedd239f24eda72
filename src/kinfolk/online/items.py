"""Which items users clicked in training, as one model numbers them: `Items`. Nothing is copied from the bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kinfolk.bundle import Bundle
from kinfolk.data.jagged import Jagged
from kinfolk.online.living import Living

I64 = NDArray[np.int64]


class Items:
    """Numbers are those of `kinfolk.data.inputs.Inputs`: below 0 for items that the model does not know.

    Args:
        bundle: the model.
        living: its users as the encoder takes them.
    """

    def __init__(self, bundle: Bundle, living: Living) -> None:
        self._bundle, self._living = bundle, living

    def numbers(self, items: Sequence[str]) -> NDArray[np.int32]:
        """int32[n] of outside item ids; 0 for those that count as never clicked."""
        return self._living.live().items(items)

    def of(self, rows: I64, told: Mapping[int, Sequence[NDArray[np.integer]]]) -> Jagged:
        """Distinct int32 item numbers of n users.

        Args:
            rows: int64[n] of the bundle, -1 for nobody.
            told: place in `rows` -> histories that count instead of the bundle's.
        """
        found = self._histories.take(np.where(rows >= 0, rows, len(self._histories) - 1))
        if not told:
            return found
        each = [found[i] for i in range(len(found))]
        for i, histories in told.items():
            each[i] = np.array(list(dict.fromkeys(n for h in histories for n in h.tolist())), np.int32)
        return Jagged.concatenate(each, np.int32)

    def support(self, numbers: NDArray[np.integer]) -> I64:
        """int64[n] users of training who clicked items; 0 for items that came later."""
        known, users = self._support
        if not len(known):
            return np.zeros(len(numbers), np.int64)
        at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return np.where(known[at] == numbers, users[at], 0)

    @cached_property
    def _histories(self) -> Jagged:
        """Of the users of training, and an empty row after them."""
        bundle = self._bundle
        if bundle.inputs is None:
            return Jagged(np.zeros(0, np.int32), np.zeros(len(bundle.user_ids) + 2, np.int64))
        found = bundle.inputs.clicked(bundle.schema.history)
        offsets = np.asarray(found.offsets, np.int64)
        return Jagged(np.asarray(found.values), np.append(offsets, offsets[-1]))

    @cached_property
    def _support(self) -> tuple[NDArray[np.int32], I64]:
        """Numbers of the items that were clicked in training, ascending, and how many users each had."""
        values = np.asarray(self._histories.values)
        strange, counts = np.unique(values[values < 0], return_counts=True)
        known = np.bincount(values[values >= 0])
        clicked = np.flatnonzero(known)
        return np.concatenate([strange, clicked]).astype(np.int32), np.concatenate([counts, known[clicked]])
