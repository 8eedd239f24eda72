"""A few arrays as one blob: raw little-endian bytes behind a small header, with a checksum; nothing in it can run."""

from __future__ import annotations

import math
import struct
import zlib
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
    at, shapes = _HEADER.size, []
    for _ in range(count):
        code, dimensions = struct.unpack_from("<BB", data, at)
        shapes.append((_DTYPES[code], struct.unpack_from(f"<{dimensions}I", data, at + 2)))
        at += 2 + 4 * dimensions
    out = []
    for dtype, shape in shapes:
        n = math.prod(shape)
        array = np.frombuffer(data, dtype, n, at).reshape(shape)
        out.append(array.astype(dtype.newbyteorder("="), copy=True))  # aligned, and free of the blob
        at += n * dtype.itemsize
    return out
