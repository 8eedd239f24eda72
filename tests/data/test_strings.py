"""Strings as bytes and offsets and back, whatever is in them; damage is refused before a kernel reads it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.strings import pack, unpack

# numpy ends a text at its last character but NUL
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: text.rstrip("\0"))
TEXTS = st.lists(TEXT | st.sampled_from(["a\0b", "\x000"]), max_size=8)


@settings(deadline=None)
@given(TEXTS)
def test_they_come_back(texts):
    strings = np.array(texts, np.str_)
    text, offsets = pack(strings)
    assert text.tobytes().decode() == "".join(strings.tolist())
    back = unpack(text, offsets)
    assert back.tolist() == strings.tolist()
    assert back.dtype.itemsize == 4 * max([1, *map(len, texts)])


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        (b"ab\xff", [0, 3]),  # no utf-8
        (b"\xed\xa0\x80", [0, 3]),  # a surrogate
        ("é".encode(), [0, 1, 2]),  # half a character each
        (b"abc", [0, 4]),  # past the end
        (b"abc", [0, 3, 2]),
        (b"abc", [-1, 3]),
    ],
)
def test_what_cannot_be_text_is_refused(text, offsets):
    with pytest.raises(ValueError, match=r"(?i)invalid|offset|utf"):
        unpack(np.frombuffer(text, np.uint8), np.array(offsets, np.int64))
