"""Plain arrays in .npy files, never objects: a pickle in a file from elsewhere could run code when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_npy(file: Path, array: NDArray[Any]) -> None:
    """Raises ValueError for an array of objects."""
    np.save(file, array, allow_pickle=False)  # refuses what only a pickle could hold


def read_npy(file: Path) -> NDArray[Any]:
    """Memory-mapped. Raises ValueError, EOFError or OSError where there is no plain array."""
    array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)  # no pickle: reading it could run code
    return array
