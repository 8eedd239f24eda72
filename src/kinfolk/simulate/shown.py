"""What was shown, and whether it was clicked: `Shown`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shown:
    """Impressions in order of step. All arrays are [n].

    Args:
        user, item: int64 rows.
        step: int64.
        position: int64 from 0.
        clicked: bool.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    step: NDArray[np.int64]
    position: NDArray[np.int64]
    clicked: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, users: NDArray[np.int64], shown: NDArray[np.int64], step: int, clicked: NDArray[np.bool_]) -> Shown:
        """The lists of one step: users int64[U]; shown, clicked: [U, positions]."""
        visits, positions = shown.shape
        return cls(
            np.repeat(users, positions),
            shown.reshape(-1),
            np.full(shown.size, step, np.int64),
            np.tile(np.arange(positions), visits),
            clicked.reshape(-1),
        )

    @classmethod
    def join(cls, parts: Sequence[Shown]) -> Shown:
        """One after the other."""
        if not parts:
            nothing = np.zeros(0, np.int64)
            return cls(nothing, nothing, nothing, nothing, np.zeros(0, bool))
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def where(self, kept: NDArray[np.bool_]) -> Shown:
        """Those of bool[n]."""
        return Shown(*(getattr(self, f.name)[kept] for f in fields(Shown)))

    def split(self, steps: int) -> Iterator[Shown]:
        """Parts of so many steps each, in order; steps without an impression make no part."""
        ends = np.flatnonzero(np.diff(self.step // steps)) + 1
        for low, high in zip([0, *ends.tolist()], [*ends.tolist(), len(self)], strict=True):
            if high > low:
                yield Shown(*(getattr(self, f.name)[low:high] for f in fields(Shown)))
