"""One model version with its users: `Space`, user key -> E_u, for those of training and those who came later.

Users of training are rows of the bundle's memory-mapped matrix; nothing of them is copied, but for seeds who have
clicked since (`seed_vectors`).
Torch is loaded by the first user who is put or embedded with live clicks. Safe for concurrent use: readers never wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.bundle import Bundle
from kinfolk.data.jagged import Jagged
from kinfolk.errors import KinfolkError
from kinfolk.lookalike.weights import Weights
from kinfolk.online.crowd import Crowd, make_snapshots
from kinfolk.online.items import Items
from kinfolk.online.keyed import keyed
from kinfolk.online.latecomers import Latecomers
from kinfolk.online.living import Living
from kinfolk.online.ports import Snapshot, UserRecord
from kinfolk.online.row_of import RowOf
from kinfolk.online.seed_vectors import SeedVectors

if TYPE_CHECKING:
    from kinfolk.represent.live import Encoded

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

_CHUNK = 1 << 16


class Space:
    """The users of one bundle; made by `Space.open`.

    Args:
        bundle: the model.
        keys: uint64[N], user key of every row of the bundle.
        most: users put after training that are kept at most; the one put longest ago makes room.
        most_followed: seeds who are in crowds with their newest clicks.
        seed: of every clustering.
        live_kind: the behaviour that a click is; None: as `kinfolk.represent.live` says.

    Raises:
        OptionError: no history of the model counts that behaviour.
    """

    def __init__(
        self,
        bundle: Bundle,
        keys: U64,
        *,
        most: int = 1_000_000,
        most_followed: int = 100_000,
        seed: int = 0,
        live_kind: str | None = None,
    ) -> None:
        self.bundle, self.seed = bundle, seed
        self.living = Living(bundle, live_kind)
        self.items = Items(bundle, self.living)
        self.keys, self._base_rows, self._most = keys, RowOf(keys), most
        self._left = np.zeros(len(keys), np.bool_)  # rows of users who were removed
        self._anew = np.zeros(len(keys), np.bool_)  # rows of users who were put, and are among the latecomers
        self._n_hidden = 0
        self._late = Latecomers.empty(bundle.weights.config.h)
        self._told: dict[int, tuple[str, Encoded]] = {}
        self._gone: set[int] = set()
        self._lock = threading.RLock()
        self.seeds = SeedVectors(self, most_followed)
        self.refused = 0
        """Records that could not be embedded: made for another schema."""

    @classmethod
    def open(cls, bundle: Bundle, secret: bytes, **options: Any) -> Space:
        """With keys made of the deployment's secret; options as of the class."""
        return cls(bundle, keyed(secret, bundle.user_ids), **options)

    @property
    def model(self) -> str:
        """Version of the bundle."""
        return self.bundle.version

    @property
    def weights(self) -> Weights:
        """Stage 2."""
        return self.bundle.weights

    def __len__(self) -> int:
        return len(self.keys) - self._n_hidden + len(self._late)

    def rows(self, keys: U64) -> I64:
        """int64[n]: a number >= 0 for every user with an embedding, -1 for others and for those who were removed.

        Numbers below the bundle's users are its rows.
        """
        return self._rows(self._late, keys)

    def embeddings(self, keys: U64) -> tuple[F32, NDArray[np.bool_]]:
        """(E float32[n, h], known bool[n]); zeros where a user is not known."""
        late = self._late
        rows = self._rows(late, keys)
        out = np.zeros((len(keys), self.weights.config.h), np.float32)
        known = rows >= 0
        out[known] = self._vectors(late, rows[known])
        return out, known

    def located(self, keys: U64) -> tuple[I64, Latecomers]:
        """`rows`, and the table to read those >= 0 from with `vectors`."""
        late = self._late
        return self._rows(late, keys), late

    def vectors(self, rows: I64, late: Latecomers) -> F32:
        """float32[n, h] of rows from `located`."""
        return self._vectors(late, rows)

    def blocks(self, size: int) -> Iterator[tuple[NDArray[np.str_], U64, F32]]:
        """All users, in blocks of at most `size`: outside ids str[b], keys uint64[b], E float32[b, h].

        Those of training come first, in the bundle's order, as views where nobody is left out.
        """
        with self._lock:
            late, anew = self._late, self._anew.copy()
        n = len(self.keys)
        for first in range(0, n, size):
            part = slice(first, min(first + size, n))
            ids, keys, vectors = self.bundle.user_ids[part], self.keys[part], self.bundle.lookalike[part]
            seen = ~(anew[part] | self._left[part])
            if not seen.all():
                ids, keys, vectors = ids[seen], keys[seen], vectors[seen]
            if len(keys):
                yield ids, keys, vectors
        for first in range(0, len(late), size):
            here = slice(first, first + size)
            there = [(k, s, self._told.get(k)) for k, s in zip(late.keys[here].tolist(), late.slots[here], strict=True)]
            told = [(k, s, t[0]) for k, s, t in there if t is not None]  # the others were removed this moment
            if told:
                keys = np.array([k for k, _, _ in told], np.uint64)
                slots = np.array([s for _, s, _ in told], np.int64)
                yield np.array([i for _, _, i in told], np.str_), keys, late.matrix[slots]

    # Users who come, and users who go

    def check(self, record: UserRecord) -> None:
        """Raises DataError, with the field's name, unless `put` would embed this record."""
        self._encoded(record)

    def put(self, records: Sequence[UserRecord]) -> None:
        """Embed users from their features; one of training keeps the inputs that the record does not name.

        Removed users are passed over. A record that cannot be embedded is passed over, too, and counted in `refused`.
        """
        encoded: dict[int, tuple[str, Encoded]] = {}
        for record in records:
            try:
                encoded[record.key] = (record.id, self._encoded(record))
            except KinfolkError:
                self.refused += 1
        every = list(encoded.items())
        for first in range(0, len(every), _CHUNK):
            part = every[first : first + _CHUNK]
            vectors = self.weights.transform(self.living.live().embed([e for _, (_, e) in part]))
            with self._lock:  # not while vectors are computed: readers of blocks take it, too
                self._take(part, vectors)

    def _take(self, users: list[tuple[int, tuple[str, Encoded]]], vectors: F32) -> None:
        there = [i for i, (key, _) in enumerate(users) if key not in self._gone]
        keys = np.array([users[i][0] for i in there], np.uint64)
        late, out = self._late.put(keys, vectors[there], self._most)
        self._told.update(users[i] for i in there)
        self._late = late
        for key in out.tolist():
            self._told.pop(key, None)
        self._hide(np.concatenate([keys, out]))

    def remove(self, keys: U64) -> None:
        """Users who left: unknown from now on to everything this space answers, until `restore`."""
        with self._lock:
            self._gone.update(keys.tolist())
            self._late = self._late.without(keys)
            for key in keys.tolist():
                self._told.pop(key, None)
            self._hide(keys)

    def keep(self, keys: Set[int]) -> None:
        """Of the users who were put these alone: others are as trained again, or unknown."""
        with self._lock:
            lost = [key for key in self._told if key not in keys]
            out = np.array(lost, np.uint64)
            self._late = self._late.without(out)
            for key in lost:
                del self._told[key]
            self._hide(out)

    def restore(self, keys: U64) -> None:
        """Take `remove` back: users of training are known again, others once they are put."""
        with self._lock:
            self._gone.difference_update(keys.tolist())
            self._hide(keys)

    def _hide(self, keys: U64) -> None:
        """Bring the hidden rows of these users in line with who left and who was put."""
        rows = self._base_rows(keys)
        there = rows >= 0
        gone = np.fromiter((k in self._gone for k in keys.tolist()), np.bool_, len(keys))
        self._left[rows[there]] = gone[there]
        self._anew[rows[there]] = self._late.find(keys[there]) >= 0
        self._n_hidden = int(np.count_nonzero(self._left | self._anew))
        self.seeds.drop(keys)  # whoever comes again comes with other inputs

    # A user as they are now

    def embed_live(self, key: int, trail: Sequence[str]) -> F32 | None:
        """E float32[h] of a user with the items they clicked since training, oldest first; None for an unknown user.

        Args:
            key: of the user.
            trail: item ids.
        """
        late = self._late
        rows = self._rows(late, np.array([key], np.uint64))
        if rows[0] < 0:
            return None
        encoded = self.encoded_of(key) if len(trail) else None
        if encoded is None:
            return np.asarray(self._vectors(late, rows)[0])
        return np.asarray(self.weights.transform(self.living.live().embed([encoded], [trail]))[0])

    def field_weights(self, key: int, trail: Sequence[str] = ()) -> Mapping[str, float]:
        """Field -> weight of it in the user's embedding; empty for an unknown user, without inputs, and for an encoder
        that does not weigh fields."""
        known = self.rows(np.array([key], np.uint64))[0] >= 0
        encoded = self.encoded_of(key) if known else None
        if encoded is None or self.bundle.represented.encoder.config.merge == "concat":
            return {}
        live = self.living.live()
        _, weights = live.embed([encoded], [trail], return_weights=True)
        return dict(zip(live.field_names, weights[0].tolist(), strict=True))

    # What users clicked

    @property
    def co_clicks(self) -> bool:
        """Whether the model's score knows them."""
        return bool(self.weights.co_click) and self.bundle.inputs is not None

    def clicked(self, keys: U64) -> Jagged:
        """n rows of distinct int32 item numbers: users' histories as of training, or as they were told."""
        base, told = self._base_rows(keys), {}
        known = base >= 0
        base[known] = np.where(self._left[base[known]], -1, base[known])
        if self._told:  # else nobody is looked up one by one: all users pass by here in every audience
            there = ((i, self._told.get(key)) for i, key in enumerate(keys.tolist()))
            told = {i: user[1].histories for i, user in there if user is not None}
        return self.items.of(base, told)

    def items_of(self, key: int, trail: Sequence[str]) -> NDArray[np.int32]:
        """int32[m] distinct item numbers of one user, with the items they clicked since training."""
        told = self._told.get(key)
        row = int(self._base_rows(np.array([key], np.uint64))[0])
        left = row >= 0 and bool(self._left[row])
        return self.items.of_one(-1 if left else row, None if told is None else told[1].histories, trail)

    # Crowds

    def snapshots(
        self, crowds: Sequence[Crowd], *, made_at: int, max_sample: int = 200_000, threads: int | None = 1
    ) -> list[Snapshot | None]:
        """The crowds of candidates, each the same alone and among others; see `make_snapshots`."""
        return make_snapshots(self, crowds, made_at=made_at, max_sample=max_sample, threads=threads)

    def _rows(self, late: Latecomers, keys: U64) -> I64:
        rows = self._base_rows(keys)
        known = rows[rows >= 0]
        rows[rows >= 0] = np.where(self._left[known] | self._anew[known], -1, known)
        if len(late):
            slots = late.find(keys)
            rows = np.where(slots >= 0, len(self.keys) + slots, rows)
        return rows

    def _vectors(self, late: Latecomers, rows: I64) -> F32:
        n = len(self.keys)
        base = rows < n
        if base.all():
            return np.asarray(np.take(self.bundle.lookalike, rows, axis=0), np.float32)
        out = np.empty((len(rows), self.weights.config.h), np.float32)
        out[base] = self.bundle.lookalike[rows[base]]
        out[~base] = late.matrix[rows[~base] - n]
        return out

    def _encoded(self, record: UserRecord) -> Encoded:
        return self.living.told(record, int(self._base_rows(np.array([record.key], np.uint64))[0]))

    def encoded_of(self, key: int) -> Encoded | None:
        """Of a user who is known; None for one of training where the bundle holds no inputs."""
        told = self._told.get(key)
        if told is not None:
            return told[1]
        return self.living.trained(int(self._base_rows(np.array([key], np.uint64))[0]))
