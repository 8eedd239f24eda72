"""What people type as an option's value: moments, durations, lists of numbers; and where a result may be written."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path

from kinfolk.errors import OptionError

_REAL = (631_152_000.0, 4_102_444_800.0)  # 1990 to 2100, as for the times of tables
_FINER = (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9))


def moment(text: str | None, *, real: bool = True) -> float | None:
    """Seconds since 1970 UTC of "1507604400", "2017-10-10T03:00" or "20171010" (UTC unless it says otherwise).

    Args:
        text: what was typed.
        real: whether the log's times are real moments; if they are only an order, any number is one, 20171010 too.

    Raises:
        OptionError: neither, or seconds before 1990 or after 2100 where times are real.
    """
    if text is None:
        return None
    date = real and re.fullmatch(r"\s*[0-9]{8}\s*", text)
    seconds = None if date else _number(text)
    if seconds is None:
        try:
            at = datetime.fromisoformat(text.strip())
        except ValueError as e:
            raise OptionError(
                f"{text!r} is no time", "write seconds since 1970, or ISO 8601 such as 2017-10-10T03:00"
            ) from e
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    low, high = _REAL
    if real and not low <= seconds <= high:
        when = "before 1990" if seconds < low else "after 2100"
        fits = [f"{seconds / per:.0f} if these are {unit}" for unit, per in _FINER if low <= seconds / per <= high]
        remedy = "write seconds since 1970, not milliseconds" + (f": {fits[0]}" if fits else ", or ISO 8601")
        raise OptionError(f"{text!r}, read as seconds since 1970, is {when}", remedy)
    return seconds


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def duration(text: str) -> float:
    """Seconds of "90", "90s", "30m", "24h" or "5d".

    Raises:
        OptionError: none of these.
    """
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number, factor = (text[:-1], unit[text[-1]]) if text[-1:] in unit else (text, 1.0)
    try:
        seconds = float(number) * factor
    except ValueError as e:
        raise OptionError(f"{text!r} is no duration", "write seconds, or a number with s, m, h or d: 24h") from e
    if not 0 < seconds < math.inf:
        raise OptionError(f"the duration {text!r} is not positive and finite", "write more than 0, such as 24h")
    return seconds


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers of "10,30,100".

    Raises:
        OptionError: something else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as e:
        raise OptionError(f"{text!r} is no list of numbers", "write them with commas: 10,30,100") from e


def check_file(path: Path | None, option: str, *inputs: Path | None, bundle: Path | None = None) -> None:
    """Before the work: raises OptionError where `path` could not become a file, is one of the inputs, or would lie in
    the folder of `bundle`, where it could replace a part of it.
    """
    if path is None:
        return
    if path.is_dir():
        raise OptionError(f"{option} {path} is a folder", "name a file in it")
    if any(given is not None and given.exists() and path.exists() and path.samefile(given) for given in inputs):
        raise OptionError(f"{option} {path} would replace what is read", "choose another file")
    if bundle and (bundle / "bundle.json").exists() and path.parent.resolve().is_relative_to(bundle.resolve()):
        raise OptionError(f"{option} {path} lies in the bundle {bundle}", "name a file outside its folder")
    for parent in path.parents:
        if parent.exists():
            if not parent.is_dir():
                raise OptionError(f"{option} {path}: {parent} is no folder", "choose another place")
            break


def make_room(path: Path) -> Path:
    """The path, its folder made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
