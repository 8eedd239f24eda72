"""Where a bundle may be written, and how it gets there: what is no bundle, or not of one, is never replaced."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from kinfolk.bundle.files import META
from kinfolk.errors import BundleError


def place(path: str | Path, *, overwrite: bool) -> Path:
    """The folder that a bundle is written to: an absolute path, where links lead.

    Raises:
        BundleError: what is there is neither an empty folder nor, with `overwrite`, a bundle and nothing else.
    """
    path = Path(os.path.realpath(path))
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return path
    if not (path / META).is_file():
        raise BundleError(f"{path} exists and is no bundle", "choose another --out")
    own = {META, *_files(path / META)}
    if not overwrite:
        raise BundleError(f"{path}: a bundle is there already", "choose another --out, or pass --overwrite")
    strange = sorted(p.name for p in path.iterdir() if p.name not in own)
    if strange:
        raise BundleError(
            f"{path} holds {strange[0]!r}, which is no part of the bundle there",
            "move it away, or choose another --out",
        )
    return path


def checkpoints_of(path: str | Path) -> Path:
    """The folder beside a bundle's place, links followed, where its training leaves what --resume goes on from."""
    path = Path(os.path.realpath(path))
    return path.with_name(f".{path.name}.training")


def _files(meta: Path) -> set[str]:
    """Names of the files of a bundle of any format."""
    try:
        said = json.loads(meta.read_text(encoding="utf-8"))
        kinds = {"format": int, "version": str, "provenance": dict}
        if not all(isinstance(said[name], kind) for name, kind in kinds.items()):
            raise TypeError("values of another kind")
        return set(dict(said["files"]))
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise BundleError(
            f"{meta.parent} is no bundle: its {META} is damaged, or not by kinfolk",
            "choose another --out, or remove the folder yourself",
        ) from e


def swap(aside: Path, path: Path) -> None:
    """Put `aside` in the place of `path`; a bundle that was there is removed only when the new one stands."""
    old = path.with_name(f".{path.name}.old")
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(path, old)  # where nothing is, an old one is all that a kill between the two moves has left
    try:
        os.replace(aside, path)
    except BaseException:
        if old.exists():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
