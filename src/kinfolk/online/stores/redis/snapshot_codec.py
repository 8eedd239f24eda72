"""A snapshot as bytes: a header with its numbers and a checksum, then its arrays as `stores.arrays` writes them."""

from __future__ import annotations

import struct
import zlib

from kinfolk.online.ports import Snapshot, StoreError
from kinfolk.online.stores import arrays

_HEADER = struct.Struct("<4sHHqqqqdI")  # magic, version, 0, made_at, seen, used, generation, inertia, CRC-32
_MAGIC, _VERSION = b"KFSN", 2


def encode(snapshot: Snapshot) -> bytes:
    """Everything but the candidate and the model, which are in the key."""
    body = arrays.encode(*snapshot.arrays)
    numbers = (snapshot.made_at, snapshot.seeds_seen, snapshot.seeds_used, snapshot.generation, snapshot.inertia)
    bare = _HEADER.pack(_MAGIC, _VERSION, 0, *numbers, 0)
    return _HEADER.pack(_MAGIC, _VERSION, 0, *numbers, zlib.crc32(body, zlib.crc32(bare))) + body


def decode(data: bytes, candidate: str, model: str) -> Snapshot:
    """What `encode` wrote. Raises StoreError if it is anything else, or damaged."""
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise StoreError("a snapshot does not start as one", "restore the store from a backup, or refresh")
    _, version, _, made_at, seen, used, generation, inertia, checksum = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise StoreError(
            f"a snapshot has format {version}, this kinfolk reads {_VERSION}",
            "use the version of kinfolk that wrote it",
        )
    bare = _HEADER.pack(_MAGIC, version, 0, made_at, seen, used, generation, inertia, 0)
    body = data[_HEADER.size :]
    if zlib.crc32(body, zlib.crc32(bare)) != checksum:
        raise StoreError("a snapshot is damaged", "restore the store from a backup, or refresh")
    centroids, sizes, whole, *more = arrays.decode(body)
    return Snapshot(candidate, model, made_at, seen, used, generation, centroids, sizes, whole, inertia, *more)
