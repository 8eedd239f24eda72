"""A snapshot as bytes: a header with its numbers and a checksum, then its arrays, little-endian."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from kinfolk.online.ports import Snapshot, StoreError

_HEADER = struct.Struct("<4sHHqqqqdIII")  # magic, version, 0, made_at, seen, used, generation, inertia, k, h, CRC-32
_MAGIC, _VERSION = b"KFSN", 1


def encode(snapshot: Snapshot) -> bytes:
    """Everything but the candidate and the model, which are in the key."""
    k, h = snapshot.centroids.shape
    body = b"".join(
        np.ascontiguousarray(a, "<f4").tobytes()
        for a in (snapshot.centroids, snapshot.sizes, snapshot.global_embedding)
    )
    numbers = (snapshot.made_at, snapshot.seeds_seen, snapshot.seeds_used, snapshot.generation, snapshot.inertia, k, h)
    bare = _HEADER.pack(_MAGIC, _VERSION, 0, *numbers, 0)
    return _HEADER.pack(_MAGIC, _VERSION, 0, *numbers, zlib.crc32(body, zlib.crc32(bare))) + body


def decode(data: bytes, candidate: str, model: str) -> Snapshot:
    """What `encode` wrote; its arrays are read-only. Raises StoreError if it is anything else, or damaged."""
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise StoreError("a snapshot does not start as one", "restore the store from a backup, or refresh")
    _, version, _, made_at, seen, used, generation, inertia, k, h, checksum = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise StoreError(
            f"a snapshot has format {version}, this kinfolk reads {_VERSION}",
            "use the version of kinfolk that wrote it",
        )
    bare = _HEADER.pack(_MAGIC, version, 0, made_at, seen, used, generation, inertia, k, h, 0)
    body = memoryview(data)[_HEADER.size :]
    if len(body) != 4 * (k * h + k + h) or zlib.crc32(body, zlib.crc32(bare)) != checksum:
        raise StoreError("a snapshot is damaged", "restore the store from a backup, or refresh")
    values = np.frombuffer(body, "<f4").astype(np.float32, copy=False)
    centroids, sizes, whole = values[: k * h].reshape(k, h), values[k * h : k * h + k], values[k * h + k :]
    return Snapshot(candidate, model, made_at, seen, used, generation, centroids, sizes, whole, inertia)
