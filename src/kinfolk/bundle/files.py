"""Files of a bundle: read, written and hashed; damage is named with its remedy."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from kinfolk.data.npy import read_npy
from kinfolk.data.strings import pack, unpack
from kinfolk.data.threads import usable
from kinfolk.errors import BundleError

META = "bundle.json"
_PIECE = 8 << 20  # bytes that are hashed without a word to the interpreter
RESTORE = "restore the bundle from a good copy, or train anew"


def size_of(file: Path) -> int | None:
    """Bytes of a plain file, None where there is nothing.

    Raises:
        BundleError: something else is there, or the user of this process may not read it.
    """
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait, to read a device might never end
            raise BundleError(f"{file} is no plain file", RESTORE)
        with file.open("rb"):
            return found.st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as e:
        raise BundleError(
            f"{file} cannot be read by the user that this runs as ({e.strerror})",
            "let that user read it (chmod a+r, of folders a+rx), or run this as its owner",
        ) from e


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a safetensors file. Raises BundleError where it is damaged."""
    try:
        return dict(load_file(file))
    except (SafetensorError, OSError) as e:
        raise BundleError(f"{file} is damaged ({e})", RESTORE) from e


def read_array(file: Path) -> NDArray[Any]:
    """A plain array, memory-mapped. Raises BundleError where there is none."""
    try:
        return read_npy(file)
    except (ValueError, EOFError, OSError) as e:
        raise BundleError(f"{file} is damaged ({e})", RESTORE) from e


def read_matrix(file: Path) -> NDArray[np.float32]:
    """float32[n, d], memory-mapped. Raises BundleError where there is none."""
    array = read_array(file)
    if array.dtype != np.float32 or array.ndim != 2:
        raise BundleError(f"{file} holds {array.dtype}{list(array.shape)}", "restore the bundle from a good copy")
    return array


def read_packed(file: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a safetensors file that `packed` made. Raises BundleError where it is damaged."""
    try:
        return unpacked(read_arrays(file))
    except (KeyError, ValueError) as e:
        raise BundleError(f"{file} is damaged ({e!r})", RESTORE) from e


def packed(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[Any]]:
    """Strings as bytes and offsets, under `name:text` and `name:ends`."""
    out: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if array.dtype.kind == "U":
            out[f"{name}:text"], out[f"{name}:ends"] = pack(array.astype(np.str_))
        else:
            out[name] = np.ascontiguousarray(array)
    return out


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The inverse of `packed`."""
    out = {k: v for k, v in arrays.items() if not k.endswith((":text", ":ends"))}
    for name in (k.removesuffix(":text") for k in arrays if k.endswith(":text")):
        out[name] = unpack(arrays[f"{name}:text"], arrays[f"{name}:ends"])
    return out


def sha256(file: Path) -> str:
    """Hex digest of a file, which is read in large pieces: a thread waits for the interpreter after each."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(_PIECE))
    with file.open("rb", buffering=0) as f:
        while n := f.readinto(piece):
            digest.update(piece[:n])
    return digest.hexdigest()


@contextmanager
def hashes_checked(folder: Path, want: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Hash files on all cores while the block runs, which believes nothing that it reads until it has ended.

    Args:
        folder: where the files lie.
        want: of every file its "sha256" and its size in "bytes".

    Raises:
        BundleError: a file has another hash; in place of whatever the block raises, which may come of that.
    """
    largest_first = sorted(want, key=lambda name: -int(want[name]["bytes"]))
    with ThreadPoolExecutor(usable(None)) as pool:  # hashing leaves the interpreter to others
        digests = {name: pool.submit(sha256, folder / name) for name in largest_first}
        try:
            yield
        finally:
            for name, digest in digests.items():
                if digest.result() != want[name]["sha256"]:
                    raise BundleError(
                        f"{folder / name} does not have the hash that {META} gives: it was changed", RESTORE
                    )
