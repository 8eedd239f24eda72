"""Which items users clicked in training, as one model numbers them: `Items`. Nothing is copied from the bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kinfolk.bundle import Bundle
from kinfolk.data.jagged import Jagged
from kinfolk.lookalike.coclick import Support
from kinfolk.online.living import Living

I64 = NDArray[np.int64]

_KEPT = 1 << 20


class Items:
    """Numbers are those of `kinfolk.data.inputs.Inputs`: below 0 for items that the model does not know.

    Args:
        bundle: the model.
        living: its users as the encoder takes them.
    """

    def __init__(self, bundle: Bundle, living: Living) -> None:
        self._bundle, self._living = bundle, living
        self._known: dict[str, int] = {}  # numbers that were asked for

    def numbers(self, items: Sequence[str]) -> NDArray[np.int32]:
        """int32[n] of outside item ids; 0 for those that count as never clicked."""
        known = self._known
        new = [item for item in items if item not in known]
        if new:
            if len(known) > _KEPT:
                known = self._known = {}
                new = list(items)
            known.update(zip(new, self._living.live().items(new).tolist(), strict=True))
        return np.fromiter(map(known.__getitem__, items), np.int32, len(items))

    def of_one(self, row: int, told: Sequence[NDArray[np.integer]] | None, trail: Sequence[str]) -> NDArray[np.int32]:
        """int32[m] distinct item numbers of one user with the items they clicked since training.

        Args:
            row: of the bundle, -1 for nobody.
            told: histories that count instead of the bundle's, or None.
            trail: items clicked since.
        """
        if told is not None:
            before = list(dict.fromkeys(n for h in told for n in h.tolist()))
        else:
            before = self._histories[row if row >= 0 else len(self._histories) - 1].tolist()
        seen = dict.fromkeys(before)
        seen.update(dict.fromkeys(self.numbers(trail).tolist()))
        seen.pop(0, None)
        return np.fromiter(seen, np.int32, len(seen))

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
    def support(self) -> Support:
        """How many users of training clicked each item."""
        values = np.asarray(self._histories.values)
        strange, counts = np.unique(values[values < 0], return_counts=True)
        known = np.bincount(values[values >= 0])
        clicked = np.flatnonzero(known)
        numbers, users = np.concatenate([strange, clicked]), np.concatenate([counts, known[clicked]])
        return Support(numbers.astype(np.int32), users.astype(np.int64))
