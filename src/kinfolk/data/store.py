"""A log on disk: a folder of .npy files and `log.json`, written aside and renamed, opened memory-mapped.

No pickle: arrays are plain numbers and fixed-width text.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Codes, Column, Events, Impressions, JaggedCodes, Log, Numbers
from kinfolk.data.npy import read_npy, write_npy
from kinfolk.errors import DataError
from kinfolk.schema import Schema

FORMAT = 1
"""Version of the layout; a folder of another version is refused."""

_REMEDY = "encode the log again"


def save_log(log: Log, path: str | Path) -> None:
    """Write a log to the new folder `path`.

    Raises:
        DataError: something is there already.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise DataError(f"{path} exists", "remove it or give another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        arrays, columns = _arrays(log)
        for name, array in arrays.items():
            write_npy(aside / f"{name}.npy", array)
        shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
        about = {"format": FORMAT, "name": log.name, "schema": log.schema.to_dict(), "kinds": list(log.kinds)}
        (aside / "log.json").write_text(json.dumps({**about, "columns": columns, "arrays": shapes}, indent=1))
        aside.chmod(0o755)
        os.replace(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def open_log(path: str | Path) -> Log:
    """The log that `save_log` wrote, its arrays memory-mapped.

    Raises:
        DataError: not such a folder, of another version, or a file is missing, truncated or of another shape.
    """
    path = Path(path)
    try:
        about: dict[str, Any] = json.loads((path / "log.json").read_text())
    except FileNotFoundError as e:
        raise DataError(f"{path} is not an encoded log (no log.json)", "give the folder that was written") from e
    except ValueError as e:
        raise DataError(f"{path / 'log.json'} is damaged ({e})", _REMEDY) from e
    if about.get("format") != FORMAT:
        raise DataError(f"{path} has format {about.get('format')!r}, this kinfolk reads {FORMAT}", _REMEDY)
    try:
        arrays = {name: _open_array(path, name, spec) for name, spec in about["arrays"].items()}
        return _log(about, arrays)
    except (KeyError, TypeError, AttributeError) as e:
        raise DataError(f"{path / 'log.json'} does not describe the folder ({e!r})", _REMEDY) from e


def _open_array(path: Path, name: str, spec: list[Any]) -> NDArray[Any]:
    file = path / f"{name}.npy"
    try:
        array = read_npy(file).view(np.ndarray)
    except FileNotFoundError as e:
        raise DataError(f"{file} is missing", _REMEDY) from e
    except (ValueError, OSError, EOFError) as e:
        raise DataError(f"{file} is damaged ({e})", _REMEDY) from e
    if [array.dtype.str, list(array.shape)] != spec:
        raise DataError(f"{file} holds {array.dtype.str}{list(array.shape)}, not {spec[0]}{spec[1]}", _REMEDY)
    return array


def _arrays(log: Log) -> tuple[dict[str, NDArray[Any]], dict[str, list[list[str]]]]:
    """Every array under its file name, and [column, kind] of the columns of both sides."""
    out: dict[str, NDArray[Any]] = {"user_ids": log.user_ids, "item_ids": log.item_ids}
    for part in ("user", "item", "time", "kind"):
        out[f"events.{part}"] = getattr(log.events, part)
    for i, name in enumerate(log.context_values):
        out[f"context.{i}.codes"] = log.events.context[name]
        out[f"context.{i}.values"] = log.context_values[name]
    if log.impressions is not None:
        for part in ("user", "item", "time", "label", "position", "dwell"):
            if getattr(log.impressions, part) is not None:
                out[f"impressions.{part}"] = getattr(log.impressions, part)
    if log.prior is not None:
        out["prior.user"], out["prior.item"] = log.prior
    columns: dict[str, list[list[str]]] = {"context": [[name, "codes"] for name in log.context_values]}
    for side in ("users", "items"):
        columns[side] = []
        for i, (name, column) in enumerate(getattr(log, side).items()):
            key = f"{side}.{i}"  # a column's name may hold characters that a file's may not
            match column:
                case Numbers(numbers):
                    out[f"{key}.numbers"] = numbers
                    columns[side].append([name, "numbers"])
                case Codes(codes, values):
                    out[f"{key}.codes"], out[f"{key}.values"] = codes, values
                    columns[side].append([name, "codes"])
                case JaggedCodes(jagged, values):
                    out[f"{key}.codes"], out[f"{key}.offsets"] = jagged.values, jagged.offsets
                    out[f"{key}.values"] = values
                    columns[side].append([name, "jagged"])
    return out, columns


def _log(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Log:
    context = {name: i for i, (name, _) in enumerate(about["columns"]["context"])}
    events = Events(
        user=arrays["events.user"],
        item=arrays["events.item"],
        time=arrays["events.time"],
        kind=arrays["events.kind"],
        context={name: arrays[f"context.{i}.codes"] for name, i in context.items()},
    )
    impressions = None
    if "impressions.user" in arrays:
        parts = ("user", "item", "time", "label", "position", "dwell")
        impressions = Impressions(*(arrays.get(f"impressions.{part}") for part in parts))  # type: ignore[arg-type]  # the first four are always saved
    return Log(
        name=about["name"],
        schema=Schema.from_dict(about["schema"], "log.json"),
        user_ids=arrays["user_ids"],
        item_ids=arrays["item_ids"],
        kinds=tuple(about["kinds"]),
        events=events,
        impressions=impressions,
        users=_side("users", about, arrays),
        items=_side("items", about, arrays),
        context_values={name: arrays[f"context.{i}.values"] for name, i in context.items()},
        prior=(arrays["prior.user"], arrays["prior.item"]) if "prior.user" in arrays else None,
    )


def _side(side: str, about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Column]:
    out: dict[str, Column] = {}
    for i, (name, kind) in enumerate(about["columns"][side]):
        key = f"{side}.{i}"
        if kind == "numbers":
            out[name] = Numbers(arrays[f"{key}.numbers"])
        elif kind == "codes":
            out[name] = Codes(arrays[f"{key}.codes"], arrays[f"{key}.values"])
        else:
            jagged = Jagged(arrays[f"{key}.codes"], arrays[f"{key}.offsets"])
            out[name] = JaggedCodes(jagged, arrays[f"{key}.values"])
    return out
