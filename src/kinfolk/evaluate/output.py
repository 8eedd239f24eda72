"""Results on disk: JSON and parquet, written aside and renamed, so that a file is whole or not there."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl


def write_json(path: str | Path, results: Mapping[str, Any]) -> None:
    """`results` as JSON, frames as lists of rows, NaN and infinity as null; whole or not at all."""
    text = json.dumps(plain(results), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, text.encode())


def write_scores(path: str | Path, scores: pl.DataFrame) -> None:
    """The rows of a run as parquet; whole or not at all."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scores.write_parquet(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """Plain data for JSON of numbers, numpy values, frames, and nested mappings and sequences."""
    if isinstance(value, pl.DataFrame):
        return plain(value.to_dicts())
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_whole(path: str | Path, content: bytes) -> None:
    """Write aside, then rename: a reader never sees half a file."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
