"""Arrays of strings as two plain arrays, to store without pickle and without numpy's four bytes a character."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def pack(strings: NDArray[np.str_]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(utf-8 bytes uint8[total], offsets int64[n + 1])."""
    array = pa.array(strings, pa.large_string())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64, len(array) + 1) if len(array) else np.zeros(1, np.int64)
    text = np.frombuffer(data, np.uint8, int(ends[-1])) if data is not None else np.zeros(0, np.uint8)
    return text, ends


def unpack(text: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.str_]:
    """The inverse of `pack`."""
    if len(offsets) <= 1:
        return np.zeros(0, np.str_)
    ends, data = (pa.py_buffer(np.ascontiguousarray(a)) for a in (offsets, text))
    array = pa.LargeStringArray.from_buffers(len(offsets) - 1, ends, data)
    array.validate(full=True)
    strings: NDArray[np.str_] = array.to_numpy(zero_copy_only=False).astype(np.str_)
    return strings
