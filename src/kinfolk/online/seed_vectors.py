"""The vectors that crowds are made of: `SeedVectors`, of those who have clicked since training with these clicks.

Who asks is embedded with the clicks of this minute; seeds clustered as they were in training would be people of another
time beside them. So a seed who is followed has a vector in the crowd of each candidate: with what they had clicked when
they were followed last, but for the candidate itself, which nobody who asks about it has clicked (`evaluate` asks so,
too). All others are as the space has them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.online.clicks import candidate_key
from kinfolk.online.latecomers import Latecomers

if TYPE_CHECKING:
    from kinfolk.online.space import Space

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

_MOVED = 1 << 40  # rows from here on are slots of those who are followed
_BITS = np.uint64(24)  # of a pair's key that tell candidates apart; the others, users


@dataclass(frozen=True, eq=False)
class Found:
    """Seeds with an embedding. rows: int64[n], one a seed, to be read with `vectors`."""

    rows: I64
    _space: Space
    _late: Latecomers
    _moved: Latecomers

    def vectors(self, rows: I64) -> F32:
        """float32[m, h] of some of the rows."""
        now = rows >= _MOVED
        if not now.any():
            return self._space.vectors(rows, self._late)
        out = np.empty((len(rows), self._space.weights.config.h), np.float32)
        out[~now] = self._space.vectors(rows[~now], self._late)
        out[now] = self._moved.matrix[rows[now] - _MOVED]
        return out


class SeedVectors:
    """Safe for concurrent use: readers never wait.

    Args:
        space: the users.
        most: pairs of a user and a candidate that are kept at most; the one followed longest ago makes room.
    """

    def __init__(self, space: Space, most: int) -> None:
        self._space, self.most = space, most
        self._moved = Latecomers.empty(space.weights.config.h)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._moved)

    def of(self, candidate: str, users: U64) -> Found:
        """Those among the seeds of a candidate who have an embedding."""
        moved = self._moved
        rows, late = self._space.located(users)
        if len(moved):
            slots = moved.find(_pairs(users, _low(candidate)))
            rows = np.where((rows >= 0) & (slots >= 0), _MOVED + slots, rows)
        return Found(rows[rows >= 0], self._space, late, moved)

    def follows(self, candidate: str, users: U64) -> NDArray[np.bool_]:
        """bool[n]: who is followed in this crowd."""
        return self._moved.find(_pairs(users, _low(candidate))) >= 0

    def follow(self, users: U64, candidates: Sequence[str], names: Sequence[str], trails: Jagged) -> None:
        """Embed seeds with the items they clicked since training.

        Who is unknown or has clicked nothing but the candidate stays as they are. The bundle must hold inputs.

        Args:
            users: uint64[n], distinct for each candidate.
            candidates: n of them.
            names, trails: item ids, and a row of int32 places in them for every seed: `SeedStore.trails`.
        """
        space = self._space
        if not len(users):
            return
        distinct, which = np.unique(np.asarray(candidates, np.str_), return_inverse=True)
        items, own = space.items.numbers(names), space.items.numbers(distinct.tolist())[which]
        since = Jagged(items[np.asarray(trails.values, np.int64)], trails.offsets)
        since = since.filter((since.values != own[since.rows()]) & (since.values != 0))
        rows = space.rows(users)
        clicked = (rows >= 0) & (since.lengths > 0)
        trained, late = np.flatnonzero(clicked & (rows < len(space.keys))), np.flatnonzero(rows >= len(space.keys))
        live = space.living.live()
        x = [live.embed_rows(rows[trained], since.take(trained), own[trained])]
        told = [(i, user) for i in late.tolist() if clicked[i] and (user := space.encoded_of(int(users[i])))]
        for i, user in told:
            others = [names[j] for j in np.asarray(trails[i]).tolist() if names[j] != candidates[i]]
            x.append(live.embed([user], [others]))
        places = np.concatenate([trained, np.array([i for i, _ in told], np.int64)])
        vectors = space.weights.transform(np.concatenate(x))
        low = np.array([_low(candidate) for candidate in distinct.tolist()], np.uint64)
        keys = _pairs(users, low[which])[places]
        with self._lock:  # who was put anew or removed meanwhile has another row by now, or is dropped next
            still = space.rows(users[places]) == rows[places]
            self._moved, _ = self._moved.put(keys[still], vectors[still], self.most)

    def drop(self, users: U64) -> None:
        """Follow users no more."""
        with self._lock:
            gone = np.isin(self._moved.keys >> _BITS, users >> _BITS)
            if gone.any():
                self._moved = self._moved.without(self._moved.keys[gone])


def _low(candidate: str) -> np.uint64:
    return np.uint64(candidate_key(candidate) & (2 ** int(_BITS) - 1))


def _pairs(users: U64, candidates: U64 | np.uint64) -> U64:
    """uint64[n]: a user's upper 40 bits, a candidate's lower 24. Two seeds of one crowd share them once in 10^12."""
    return (users >> _BITS << _BITS) | candidates
