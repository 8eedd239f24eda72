"""Keys of many users are those of each."""

from __future__ import annotations

from kinfolk.online.clicks import user_key, user_keys

SECRET = b"s" * 32


def test_keys_of_many_are_those_of_each() -> None:
    users = ["", "u1", "é/1", "x" * 500, "u1"]
    assert user_keys(SECRET, users).tolist() == [user_key(SECRET, user) for user in users]
    assert user_keys(b"t" * 32, users).tolist() != user_keys(SECRET, users).tolist()
