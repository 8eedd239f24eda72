"""A few arrays as one blob: raw little-endian bytes behind a small header, with a checksum; nothing in it can run."""

from __future__ import annotations

import math
import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.ports import StoreError

_HEADER = struct.Struct("<4sHHI")  # magic, version, number of arrays, CRC-32 of what follows
_MAGIC, _VERSION = b"KFAR", 1
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<u8"),
    2: np.dtype("<i8"),
    3: np.dtype("<u4"),
    4: np.dtype("<i4"),
    5: np.dtype("<f4"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in _DTYPES.items()}


def encode(*arrays: NDArray[Any]) -> bytes:
    """Arrays of uint64, int64, uint32, int32 or float32, of up to 255 dimensions."""
    shapes, parts = [], []
    for array in arrays:
        code = _CODES[array.dtype.newbyteorder("=")]
        shapes.append(struct.pack(f"<BB{array.ndim}I", code, array.ndim, *array.shape))
        parts.append(np.ascontiguousarray(array, _DTYPES[code]).tobytes())
    body = b"".join(shapes + parts)
    return _HEADER.pack(_MAGIC, _VERSION, len(arrays), zlib.crc32(body)) + body


def decode(data: bytes) -> list[NDArray[Any]]:
    """What `encode` was given. Raises StoreError if it is anything else, or damaged."""
    remedy = "restore the store from a backup"
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise StoreError("a blob of arrays does not start as one", remedy)
    _, version, count, checksum = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise StoreError(
            f"a blob of arrays has format {version}, this kinfolk reads {_VERSION}",
            "use the version of kinfolk that wrote it",
        )
    if zlib.crc32(memoryview(data)[_HEADER.size :]) != checksum:
        raise StoreError("a blob of arrays is damaged", remedy)
    at = _HEADER.size
    for _ in range(count):
        at += 2 + 4 * data[at + 1]
    return [
        np.ndarray(shape, stored, data, at + offset).astype(native, copy=True)  # aligned, and free of the blob
        for shape, stored, native, offset in _layout(data[_HEADER.size : at])
    ]


@lru_cache(maxsize=256)
def _layout(header: bytes) -> list[tuple[tuple[int, ...], np.dtype[Any], np.dtype[Any], int]]:
    """Of each array its shape, its dtype as stored and as used, and bytes from the first one; the blobs of thousands of
    crowds say the same."""
    found, at, offset = [], 0, 0
    while at < len(header):
        code, dimensions = struct.unpack_from("<BB", header, at)
        dtype, shape = _DTYPES[code], struct.unpack_from(f"<{dimensions}I", header, at + 2)
        found.append((shape, dtype, dtype.newbyteorder("="), offset))
        at += 2 + 4 * dimensions
        offset += math.prod(shape) * dtype.itemsize
    return found
