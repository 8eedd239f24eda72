"""Packed seeds against a dict: what stays, in which order, and that order of arrival does not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.online.ports import StoreError
from kinfolk.online.stores import blocks
from kinfolk.online.stores.packing import pack_each

USERS = st.one_of(st.integers(0, 12), st.sampled_from([2**63, 2**64 - 1, 2**64 - 2]))
CLICKS = st.lists(st.tuples(USERS, st.integers(0, 20_000)), max_size=60)
PARTS = st.lists(CLICKS, max_size=6)


def packed(clicks):
    return blocks.pack(np.array([u for u, _ in clicks], np.uint64), np.array([t for _, t in clicks], np.int64))


def listed(block):
    return list(zip(block.user.tolist(), block.time.tolist(), strict=True))


def oracle(clicks, max_seeds=None):
    """The same with a dict."""
    newest = {}
    for user, time in clicks:
        newest[user] = max(newest.get(user, 0), time // 1000)
    rows = sorted(newest.items(), key=lambda row: (row[1], row[0]))
    return rows if max_seeds is None else rows[max(len(rows) - max_seeds, 0) :]


@settings(deadline=None)
@given(CLICKS)
def test_pack_keeps_the_newest_click_of_each_user_oldest_first(clicks):
    block = packed(clicks)
    assert listed(block) == oracle(clicks)
    assert (block.user.dtype, block.time.dtype) == (np.uint64, np.uint32)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), USERS, st.integers(0, 20_000)), max_size=200))
def test_blocks_of_many_items_at_once_are_those_of_each(rows):
    item, user, time = (
        np.array([row[i] for row in rows], t) for i, t in enumerate((np.int32, np.uint64, np.int64))
    )  # fmt: skip
    found = {number: listed(block) for number, block in pack_each(item, user, time)}
    assert list(found) == sorted({i for i, _, _ in rows})
    assert found == {n: oracle([(u, t) for i, u, t in rows if i == n]) for n in found}


@settings(deadline=None)
@given(PARTS)
def test_merge_equals_packing_everything(parts):
    assert listed(blocks.merge(*map(packed, parts))) == oracle([c for part in parts for c in part])


@settings(deadline=None)
@given(PARTS, st.integers(0, 8), st.randoms(use_true_random=False))
def test_trimming_on_the_way_changes_nothing(parts, max_seeds, random):
    want = oracle([c for part in parts for c in part], max_seeds)
    random.shuffle(parts)
    kept = blocks.EMPTY
    for part in parts:
        kept = blocks.trim(blocks.merge(kept, packed(part), packed(part)), max_seeds)
    assert listed(kept) == want


@settings(deadline=None)
@given(CLICKS, st.lists(USERS, max_size=5))
def test_remove(clicks, users):
    block = packed(clicks)
    left = blocks.remove(block, np.array(users, np.uint64))
    assert listed(left) == [row for row in oracle(clicks) if row[0] not in users]
    assert (left is block) == (len(left) == len(block))


@settings(deadline=None)
@given(CLICKS)
def test_round_trip(clicks):
    block = packed(clicks)
    data = blocks.encode(block)
    assert len(data) == 16 + blocks.BYTES_PER_SEED * len(block)
    assert blocks.length(data) == len(block)
    assert listed(blocks.decode(data)) == listed(block)
    assert listed(blocks.merge(blocks.decode(memoryview(data)), block)) == listed(block)


def test_every_flipped_bit_and_every_cut_is_noticed():
    data = blocks.encode(packed([(5, 1000), (7, 2000)]))
    for cut in range(len(data)):
        with pytest.raises(StoreError):
            blocks.decode(data[:cut])
    for bit in range(8 * len(data)):
        if 8 * 6 <= bit < 8 * 8:  # reserved, not read
            continue
        harmed = bytearray(data)
        harmed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StoreError):
            blocks.decode(bytes(harmed))


def test_times_outside_the_range_are_clipped_and_seeds_are_in_milliseconds():
    block = packed([(1, -5), (2, 10**16), (3, 1_700_000_000_999)])
    assert listed(block) == [(1, 0), (3, 1_700_000_000), (2, 2**32 - 1)]
    assert blocks.to_seeds(block).time.tolist() == [0, 1_700_000_000_000, (2**32 - 1) * 1000]


@pytest.mark.parametrize("sizes", [(50_000, 10), (10, 50_000), (30_000, 30_000)])
def test_large_blocks(sizes):
    rng = np.random.default_rng(3)
    parts = [(rng.integers(0, 40_000, n).astype(np.uint64) << np.uint64(40), rng.integers(0, 10**8, n)) for n in sizes]
    merged = blocks.merge(*(blocks.pack(u, t) for u, t in parts))
    clicks = [c for u, t in parts for c in zip(u.tolist(), t.tolist(), strict=True)]
    assert listed(merged) == oracle(clicks)
