"""Arrays of strings as two plain arrays, to store without pickle and without numpy's four bytes a character."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]


def pack(strings: NDArray[np.str_]) -> tuple[U8, I64]:
    """(utf-8 bytes uint8[total], offsets int64[n + 1])."""
    array = pa.array(strings.tolist() if _inner_nul(strings) else strings, pa.large_string())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64, len(array) + 1) if len(array) else np.zeros(1, np.int64)
    text = np.frombuffer(data, np.uint8, int(ends[-1])) if data is not None else np.zeros(0, np.uint8)
    return text, ends


def _inner_nul(strings: NDArray[np.str_]) -> bool:
    """Whether a text goes on after a NUL, where pyarrow takes an array's text to end."""
    if not len(strings) or not strings.dtype.itemsize:
        return False
    codes = np.ascontiguousarray(strings).view(np.uint32).reshape(len(strings), -1)
    return bool(((codes[:, :-1] == 0) & (codes[:, 1:] != 0)).any())


def unpack(text: U8, offsets: I64) -> NDArray[np.str_]:
    """The inverse of `pack`, without a Python object for any of the strings.

    Raises:
        ValueError: bytes that are no utf-8, or offsets that do not fit them.
    """
    if len(offsets) <= 1:
        return np.zeros(0, np.str_)
    text, offsets = np.ascontiguousarray(text, np.uint8), np.ascontiguousarray(offsets, np.int64)
    array = pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))
    array.validate(full=True)  # what the kernels rely on
    wide = np.zeros((len(offsets) - 1, max(_longest(text, offsets), 1)), np.uint32)
    _widen(text, offsets, wide)
    return wide.view(f"U{wide.shape[1]}").ravel()


@njit(cache=True, nogil=True)
def _longest(text: U8, offsets: I64) -> int:
    """Characters of the longest string: bytes but those that continue one."""
    longest = 0
    for row in range(len(offsets) - 1):
        n = 0
        for at in range(offsets[row], offsets[row + 1]):
            n += (text[at] & 0xC0) != 0x80
        longest = max(longest, n)
    return longest


@njit(cache=True, nogil=True)
def _widen(text: U8, offsets: I64, out: U32) -> None:
    """The code points of each row of valid utf-8; out: uint32[n, longest] of zeros."""
    for row in range(len(offsets) - 1):
        at, n = offsets[row], 0
        while at < offsets[row + 1]:
            lead = np.uint32(text[at])
            if lead < 0x80:
                more, point = 0, lead
            elif lead < 0xE0:
                more, point = 1, lead & np.uint32(0x1F)
            elif lead < 0xF0:
                more, point = 2, lead & np.uint32(0x0F)
            else:
                more, point = 3, lead & np.uint32(0x07)
            for i in range(more):
                point = (point << np.uint32(6)) | np.uint32(text[at + 1 + i] & 0x3F)
            out[row, n] = point
            at, n = at + 1 + more, n + 1
