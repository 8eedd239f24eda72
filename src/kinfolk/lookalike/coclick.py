"""Co-clicks, the second channel of a score: how much of what a user clicked did the seeds click, too?

    co(u, S) = 1 / |S| · Σ_{s in S} Σ_{i in H_u and H_s} 1 / sqrt(n_i |H_u|)

with H the histories and n_i the users of item i: the mean over the seeds of what they share with the user, rare items
counting for more. It is the item-based recommender of Sarwar et al., "Item-based Collaborative Filtering", WWW 2001,
for an item known by its seeds alone. A vector of 128 numbers knows what a user likes, not that it was these two
articles; and of items born after training it knows nothing, where a history knows them all. A score is RALM's plus
`weight` times co (decision 7); the weight is learned (`lookalike.blend`).

Where users ask one at a time the sum over seeds is made beforehand: `profiles_of` gives the items that weigh most,
`score_profiles` looks them up among the user's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numba
import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.data.threads import ranges, spread
from kinfolk.lookalike.dots import FAST

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

PROFILE = 256
"""Items of a profile; more add next to nothing (decision 7)."""
_PIECES = 64  # of the users, for the threads
_SIEVE = 1 << 13  # bits


def co_clicks(
    users: Jagged, seeds: Jagged, offsets: NDArray[np.int64], support: NDArray[np.integer], *, threads: int | None = 1
) -> F32:
    """co(u, S) of every user and candidate.

    Args:
        users: U rows of int item rows, a user's history, distinct; a negative one is passed over.
        seeds: the same of the seeds of all candidates; a seed without history does not count.
        offsets: int64[C + 1]; the seeds of candidate c are rows offsets[c]:offsets[c + 1].
        support: int[M], n_i, users of every item.
        threads: users are spread over so many.

    Returns:
        float32[U, C], 0 where nothing is shared, at most 1.
    """
    scale = 1 / np.sqrt(np.maximum(support, 1))
    values, bounds = np.asarray(users.values, np.int32), np.asarray(users.offsets)
    out = np.zeros((len(users), len(offsets) - 1), np.float32)
    parts = ranges(len(users), _PIECES)
    for c in range(out.shape[1]):
        theirs = seeds.take(np.arange(offsets[c], offsets[c + 1]))
        clicked, counted = np.asarray(theirs.values), int(np.count_nonzero(theirs.lengths))
        if counted:
            profile = (np.bincount(clicked[clicked >= 0], minlength=len(scale)) * (scale / counted)).astype(np.float32)
            spread(partial(_fill, values, bounds, profile, out[:, c]), parts, threads)
    return out


@dataclass(frozen=True)
class Profile:
    """What the seeds of a candidate clicked, too, the weightiest first: items int32[p] numbers, weights float32[p]."""

    items: I32 = field(default_factory=lambda: np.zeros(0, np.int32))
    weights: F32 = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True)
class Support:
    """Users of items: numbers int32[m] ascending, users int64[m]; an item that is not there has none."""

    numbers: I32 = field(default_factory=lambda: np.zeros(0, np.int32))
    users: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


def profiles_of(
    before: Jagged, since: Jagged, offsets: NDArray[np.int64], own: I32, supports: tuple[Support, Support]
) -> list[Profile]:
    """For every candidate the `PROFILE` items that weigh most in co.

    Args:
        before: a row of distinct int32 item numbers for each seed of all candidates; 0 is no item.
        since: more of them, distinct in themselves, which may be in `before`, too.
        offsets: int64[C + 1]; the seeds of candidate c are rows offsets[c]:offsets[c + 1].
        own: int32[C], the number of the candidate itself, which does not count.
        supports: users of items are the sum of both, and never fewer than the seeds who clicked one.
    """
    count = len(offsets) - 1
    items, weights = np.zeros((count, PROFILE), np.int32), np.zeros((count, PROFILE), np.float32)
    lengths = np.zeros(count, np.int64)
    rows = (np.asarray(x, np.int32) for x in (before.values, since.values))
    bounds = (np.asarray(x, np.int64) for x in (before.offsets, since.offsets, offsets))
    (first, second), (of_first, of_second, of_candidate) = rows, bounds
    known = (supports[0].numbers, supports[0].users, supports[1].numbers, supports[1].users)
    _profiles(first, of_first, second, of_second, of_candidate, own, *known, items, weights, lengths)
    return [Profile(items[c, :n], weights[c, :n]) for c, n in enumerate(lengths.tolist())]


def score_histories(users: Jagged, profile: Profile, *, threads: int | None = 1) -> F32:
    """co of many users and one candidate with a profile.

    Args:
        users: U rows of distinct int32 item numbers, no 0.
        profile: of the candidate.
        threads: users are spread over so many.

    Returns:
        float32[U].
    """
    order = np.argsort(profile.items, kind="stable")
    items, weights = profile.items[order], profile.weights[order]
    out = np.zeros(len(users), np.float32)
    values, bounds = np.asarray(users.values, np.int32), np.asarray(users.offsets)
    if len(items):
        spread(partial(_fill_sorted, values, bounds, items, weights, out), ranges(len(users), _PIECES), threads)
    return out


def sieves(items: I32) -> NDArray[np.uint64]:
    """Which candidates may have an item, in one look (Bloom 1970, one hash).

    Args:
        items: int32[C, p] numbers, 0 after the last.

    Returns:
        uint64[C, 128], one bit of 8,192 for every item.
    """
    out = np.zeros((len(items), _SIEVE // 64), np.uint64)
    _sift(np.ascontiguousarray(items, np.int32), out)
    return out


def score_profiles(items: I32, weights: F32, sieve: NDArray[np.uint64], rows: NDArray[np.integer], history: I32) -> F32:
    """co of one user and candidates with profiles.

    Args:
        items: int32[C, p] numbers, 0 after the last.
        weights: float32[C, p], 0 after the last.
        sieve: uint64[C, 128], `sieves` of the items.
        rows: int[n], which candidates.
        history: int32[m] the user's items, distinct, no 0.

    Returns:
        float32[n].
    """
    out = np.zeros(len(rows), np.float32)
    if len(history) and items.shape[1]:
        chosen, own = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(history, np.int32)
        _looked_up(items, weights, sieve, chosen, own, out)
    return out


@numba.njit(nogil=True, cache=True)
def _users_of(item: np.int32, numbers: I32, users: NDArray[np.int64]) -> int:
    at = np.searchsorted(numbers, item)
    return users[at] if at < len(numbers) and numbers[at] == item else 0


@numba.njit(nogil=True, cache=True)
def _profiles(
    before: I32,
    of_before: NDArray[np.int64],
    since: I32,
    of_since: NDArray[np.int64],
    offsets: NDArray[np.int64],
    own: I32,
    numbers_a: I32,
    users_a: NDArray[np.int64],
    numbers_b: I32,
    users_b: NDArray[np.int64],
    items: I32,
    weights: F32,
    lengths: NDArray[np.int64],
) -> None:
    """Gather what the seeds of a candidate clicked, once a seed, count equal numbers, keep the weightiest."""
    for c in range(len(own)):
        first, last = offsets[c], offsets[c + 1]
        every = np.empty(of_before[last] - of_before[first] + of_since[last] - of_since[first], np.int32)
        n, seeds = 0, 0
        for s in range(first, last):
            start = n
            for i in range(of_before[s], of_before[s + 1]):
                if before[i] != 0 and before[i] != own[c]:
                    every[n] = before[i]
                    n += 1
            end = n
            for i in range(of_since[s], of_since[s + 1]):
                new = since[i] != 0 and since[i] != own[c]
                for j in range(start, end):
                    new = new and every[j] != since[i]
                if new:
                    every[n] = since[i]
                    n += 1
            seeds += n > start
        ordered = np.sort(every[:n])
        numbers, found, m = np.empty(n, np.int32), np.empty(n), 0
        at = 0
        while at < n:
            item, count = ordered[at], 0
            while at < n and ordered[at] == item:
                count += 1
                at += 1
            users = _users_of(item, numbers_a, users_a) + _users_of(item, numbers_b, users_b)
            numbers[m], found[m] = item, count / (seeds * np.sqrt(max(users, count)))
            m += 1
        best = np.argsort(-found[:m], kind="mergesort")[: items.shape[1]]
        lengths[c] = len(best)
        for i in range(len(best)):
            items[c, i], weights[c, i] = numbers[best[i]], found[best[i]]


@numba.njit(nogil=True, cache=True)
def _sift(items: I32, out: NDArray[np.uint64]) -> None:
    for c in range(len(items)):
        for j in range(items.shape[1]):
            if items[c, j] != 0:
                bit = _bit(items[c, j])
                out[c, bit >> np.uint32(6)] |= np.uint64(1) << np.uint64(bit & np.uint32(63))


@numba.njit(nogil=True, cache=True)
def _looked_up(
    items: I32, weights: F32, sieve: NDArray[np.uint64], rows: NDArray[np.int64], history: I32, out: F32
) -> None:
    """The sieve leaves what is shared and one in thirty of the rest; those are sought in the whole profile."""
    m = len(history)
    word, place, left = np.empty(m, np.uint32), np.empty(m, np.uint64), np.empty(m + 1, np.int32)
    for i in range(m):
        bit = _bit(history[i])
        word[i], place[i] = bit >> np.uint32(6), np.uint64(bit & np.uint32(63))
    least = np.float32(1 / np.sqrt(m))
    for r in range(len(rows)):
        c = rows[r]
        n, own = 0, sieve[c]
        for i in range(m):  # without a branch, which would be foretold wrongly
            left[n] = history[i]
            n += int((own[word[i]] >> place[i]) & np.uint64(1))
        total = np.float32(0)
        for i in range(n):
            total += _weight_of(items[c], weights[c], left[i])
        out[r] = total * least


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def _weight_of(items: I32, weights: F32, item: np.int32) -> np.float32:
    total = np.float32(0)
    for j in range(len(items)):
        total += weights[j] if items[j] == item else np.float32(0)
    return total


@numba.njit(inline="always")
def _bit(item: np.int32) -> np.uint32:
    """A place in the sieve (Knuth's multiplicative hash)."""
    product = np.uint32(np.uint32(item) * np.uint32(2654435769))  # numba multiplies in 64 bits
    return np.uint32(product >> np.uint32(32 - 13))


def _fill_sorted(
    values: I32, offsets: NDArray[np.int64], items: I32, weights: F32, out: F32, part: tuple[int, int]
) -> None:
    _searched(values, offsets, items, weights, *part, out)


@numba.njit(nogil=True, cache=True)
def _searched(
    values: I32, offsets: NDArray[np.int64], items: I32, weights: F32, first: int, last: int, out: F32
) -> None:
    """Each item of a user is sought among the sorted ones of the profile."""
    for u in range(first, last):
        total = np.float32(0)
        for i in range(offsets[u], offsets[u + 1]):
            at = np.searchsorted(items, values[i])
            if at < len(items) and items[at] == values[i]:
                total += weights[at]
        if total > 0:
            out[u] = total / np.float32(np.sqrt(offsets[u + 1] - offsets[u]))


def _fill(items: NDArray[np.int32], offsets: NDArray[np.int64], profile: F32, out: F32, part: tuple[int, int]) -> None:
    _shared(items, offsets, profile, *part, out)


@numba.njit(nogil=True, cache=True)
def _shared(
    items: NDArray[np.int32], offsets: NDArray[np.int64], profile: F32, first: int, last: int, out: F32
) -> None:
    for u in range(first, last):
        total, known = 0.0, 0
        for at in range(offsets[u], offsets[u + 1]):
            if items[at] >= 0:
                total += profile[items[at]]
                known += 1
        if known:
            out[u] = total / np.sqrt(known)
