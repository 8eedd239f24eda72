"""A data set's name and a local folder in, a `Log` out: `load`, `names`, `describe`. Nothing is ever downloaded."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import cast

from kinfolk.data.catalog.about import About
from kinfolk.data.log import Log
from kinfolk.data.store import FORMAT, open_log, save_log
from kinfolk.errors import DataError, OptionError

__all__ = ["About", "describe", "load", "names"]

READERS = 1
"""Raised whenever a reader makes something else of the same files, so that older caches are left alone."""

_SETS = {  # name -> module and function
    "kuairand": ("kuairand", "read"),
    "globo": ("globo", "read"),
    "movielens-1m": ("movielens", "read_1m"),
    "movielens-100k": ("movielens", "read_100k"),
    "tencent2018": ("tencent2018", "read"),
}


def names() -> tuple[str, ...]:
    """The data sets that `load` knows."""
    return tuple(_SETS)


def describe(name: str) -> About:
    """Source, citation, licence, files and limits of a data set.

    Raises:
        OptionError: no such data set.
    """
    about = import_module(f"{__name__}.{_known(name)[0]}").ABOUT
    return cast(About, about if isinstance(about, About) else about[name])


def load(name: str, directory: str | Path, *, seed: int = 0, cache: Path | None = None) -> Log:
    """Read a public data set from a local folder.

    Args:
        name: one of `names()`.
        directory: the folder that holds its files, unpacked or as downloaded; see `describe(name).files`.
        seed: of the order of ties and of pseudo-times.
        cache: a folder for encoded logs: a second call with the same files and seed opens them memory-mapped.

    Raises:
        OptionError: no such data set.
        DataError: the folder or a file is missing, or a file is broken.
    """
    module, function = _known(name)
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory} is not a folder", f"give the folder that holds {describe(name).title}")
    place = None if cache is None else Path(cache) / f"{name}-{_fingerprint(directory, seed, Path(cache))}"
    if place is not None and place.exists():
        try:
            return open_log(place)
        except DataError as e:
            raise DataError(e.problem, f"remove {place} and load again") from e
    log: Log = getattr(import_module(f"{__name__}.{module}"), function)(directory, seed=seed)
    if place is None:
        return log
    save_log(log, place)
    return open_log(place)


def _known(name: str) -> tuple[str, str]:
    if name not in _SETS:
        raise OptionError(f"unknown data set {name!r}", f"use one of {', '.join(_SETS)}")
    return _SETS[name]


def _fingerprint(directory: Path, seed: int, cache: Path) -> str:
    """Of names, sizes and times of the files a reader can see, unread; the cache itself may lie among them."""
    seen = hashlib.sha256(f"{READERS} {FORMAT} {seed}".encode())
    for path in sorted(p for pattern in ("*", "*/*", "*/*/*") for p in directory.glob(pattern) if p.is_file()):
        if path.resolve().is_relative_to(cache.resolve()):
            continue
        stat = path.stat()
        seen.update(f"\n{path.relative_to(directory)} {stat.st_size} {stat.st_mtime_ns}".encode())
    return seen.hexdigest()[:16]
