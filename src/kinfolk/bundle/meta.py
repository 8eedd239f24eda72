"""`bundle.json`: read, with its own hash, and nothing in it believed: not a type, nor the name of a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from kinfolk.bundle.files import META, RESTORE, size_of
from kinfolk.errors import BundleError

_Kind = type | tuple[type, ...]
_KINDS: dict[str, _Kind] = {
    "version": str,
    "provenance": dict,
    "schema": dict,
    "represent": dict,
    "lookalike": dict,
    "users": int,
    "inputs": list,
    "files": dict,
    "sha256": str,
}
_TYPES: dict[str, _Kind] = {"str": str, "int": int, "float": (int, float), "bool": bool}


def read_meta(path: Path, format: int) -> dict[str, Any]:
    """What `bundle.json` says.

    Raises:
        BundleError: it is absent, damaged, of another format, holds a value of another type, or names a file elsewhere.
    """
    file = path / META
    if size_of(file) is None:
        raise BundleError(f"{path} is no bundle: it has no {META}", "give the directory that `kinfolk train` wrote")
    try:
        meta: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        got = meta["format"]
        absent = set(_KINDS) - set(meta)
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise BundleError(f"{file} is damaged ({e})", RESTORE) from e
    if got != format:
        raise BundleError(f"{file} is of format {got}, this kinfolk reads {format}", "train anew with this version")
    if absent:
        raise BundleError(f"{file} lacks {min(absent)!r}", RESTORE)
    for key, kind in _KINDS.items():
        need(file, key, meta[key], kind)
    for key in ("model", "features"):
        need(file, f"represent.{key}", meta["represent"].get(key), dict)
    for name in meta["inputs"]:
        need(file, "inputs", name, str)
    for name, said in meta["files"].items():
        if Path(name).name != name or not name.isprintable():
            raise BundleError(f"{file} names {name!r}, which is no file of a bundle", RESTORE)
        need(file, f"files.{name}", said, dict)
        need(file, f"files.{name}.sha256", said.get("sha256"), str)
        need(file, f"files.{name}.bytes", said.get("bytes"), int)
    return meta


def need(file: Path, key: str, value: object, kind: _Kind) -> None:
    """Raises BundleError where a value of `bundle.json` is of another type."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BundleError(f"{file} is damaged: {key} is a {type(value).__name__}", RESTORE)


def need_fields(file: Path, key: str, values: Mapping[str, object], cls: type) -> None:
    """`need` for what a dataclass is made of: its texts and numbers."""
    for f in fields(cls):
        if f.name in values and str(f.type) in _TYPES:
            need(file, f"{key}.{f.name}", values[f.name], _TYPES[str(f.type)])


def own_hash(meta: Mapping[str, Any]) -> str:
    """Of everything `bundle.json` says but this."""
    said = {k: v for k, v in meta.items() if k != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
