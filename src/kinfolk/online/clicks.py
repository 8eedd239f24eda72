"""Clicks as they travel from a request or a bus to a store: `Clicks`, one array a column, users as keys, not as ids.

A user's key is a 64-bit keyed hash of the outside id (BLAKE2b with the deployment's secret). Seeds, histories and
tombstones hold keys alone: no personal id is stored there, no dictionary of ids is kept or read while clicks arrive,
and who was forgotten cannot be read from what remains. Among 100 million users two share a key with probability 0.0003.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 8
SECRET_BYTES = 32
EARLIEST_MS = 631_152_000_000
"""1990: a time that says to be earlier is one in seconds."""


def user_key(secret: bytes, user: str) -> int:
    """The key of one outside user id, an unsigned 64-bit number."""
    return int.from_bytes(hashlib.blake2b(user.encode(), digest_size=KEY_BYTES, key=secret).digest(), "little")


def user_keys(secret: bytes, users: Iterable[str]) -> NDArray[np.uint64]:
    """uint64[n], `user_key` of each."""
    keyed = hashlib.blake2b(digest_size=KEY_BYTES, key=secret)  # the secret is mixed in once, a third of the work

    def digest(user: str) -> bytes:
        one = keyed.copy()
        one.update(user.encode())
        return one.digest()

    return np.frombuffer(b"".join(map(digest, users)), "<u8").astype(np.uint64)


def event_key(event_id: str) -> int:
    """The identity of a click that carries an `event_id`, an unsigned 64-bit number."""
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=KEY_BYTES, person=b"event").digest(), "little")


def identities(
    user: NDArray[np.uint64], candidate_keys: NDArray[np.uint64], time: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """uint64[n]: identity of clicks without an `event_id`: user, candidate and time mixed (splitmix64's finaliser)."""
    with np.errstate(over="ignore"):
        return _mix(_mix(_mix(user) ^ candidate_keys) ^ time.astype(np.uint64))


def candidate_key(candidate: str) -> int:
    """An unsigned 64-bit number of a candidate's id, the same in every process."""
    return int.from_bytes(
        hashlib.blake2b(candidate.encode(), digest_size=KEY_BYTES, person=b"candidate").digest(), "little"
    )


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), np.uint64)


@dataclass(frozen=True)
class Clicks:
    """A batch of clicks.

    Args:
        candidates: distinct outside ids of the items clicked, live candidates or not.
        candidate: int32[n] index into `candidates`.
        user: uint64[n] user keys.
        time: int64[n] milliseconds since 1970 UTC at which the click happened.
        identity: uint64[n]; two clicks of one identity are one click, delivered twice.
    """

    candidates: tuple[str, ...]
    candidate: NDArray[np.int32]
    user: NDArray[np.uint64]
    time: NDArray[np.int64]
    identity: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(
        cls,
        users: NDArray[np.uint64],
        candidates: Sequence[str],
        times: NDArray[np.int64] | Sequence[int],
        event_ids: Sequence[str | None] | None = None,
    ) -> Clicks:
        """From one value a click; times in milliseconds."""
        place: dict[str, int] = {}
        code = np.fromiter((place.setdefault(c, len(place)) for c in candidates), np.int32, len(candidates))
        time = np.asarray(times, np.int64)
        keys = np.fromiter((candidate_key(c) for c in place), np.uint64, len(place))
        identity = identities(users, keys[code], time) if len(code) else np.zeros(0, np.uint64)
        if event_ids is not None:
            for i, event_id in enumerate(event_ids):
                if event_id is not None:
                    identity[i] = event_key(event_id)
        return cls(tuple(place), code, np.asarray(users, np.uint64), time, identity)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Clicks:
        """The given clicks, in the given order; candidates stay as they are."""
        return Clicks(self.candidates, self.candidate[rows], self.user[rows], self.time[rows], self.identity[rows])


@dataclass(frozen=True)
class Seeds:
    """Distinct users who clicked a candidate, each with their newest click, oldest first.

    user: uint64[s] keys. time: int64[s] milliseconds (stores may round down to whole seconds).
    """

    user: NDArray[np.uint64]
    time: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)
