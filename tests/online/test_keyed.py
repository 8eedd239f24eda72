"""Keys made in bulk against hashlib, one user at a time."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.online.clicks import user_key
from kinfolk.online.keyed import keyed

SECRETS = st.binary(min_size=1, max_size=64)
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), max_size=6)
SECRET = bytes(range(32))


def by_hashlib(secret: bytes, users: list[str]) -> list[int]:
    digests = [hashlib.blake2b(user.encode(), digest_size=8, key=secret).digest() for user in users]
    return [int.from_bytes(digest, "little") for digest in digests]


@settings(deadline=None)
@given(SECRETS, TEXTS)
def test_the_same_digests_as_hashlib(secret, texts):
    ids = np.array(texts, np.str_)
    assert keyed(secret, ids).tolist() == by_hashlib(secret, ids.tolist())


@pytest.mark.parametrize("letter", ["a", "é", "€", "😀"])
def test_around_the_ends_of_blocks(letter):
    size = len(letter.encode())
    ids = [letter * n for b in (1, 2, 3) for n in range(128 * b // size - 2, 128 * b // size + 3)]
    assert keyed(SECRET, np.array(ids)).tolist() == by_hashlib(SECRET, ids)


@pytest.mark.parametrize("threads", [1, 3, None])
def test_threads_change_nothing(threads):
    ids = [f"user {i}" for i in range(1_000)]
    keys = keyed(SECRET, np.array(ids), threads)
    assert keys.dtype == np.uint64
    assert keys.tolist() == [user_key(SECRET, user) for user in ids]


def test_a_view_of_every_other_user():
    ids = np.array([f"user {i}" for i in range(20)])
    assert keyed(SECRET, ids[::2]).tolist() == by_hashlib(SECRET, ids[::2].tolist())
