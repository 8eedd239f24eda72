"""What people type as an option's value: moments, durations, lists of numbers; and where a result may be written."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from kinfolk.errors import OptionError


def moment(text: str | None) -> float | None:
    """Seconds since 1970 UTC of "1507604400" or "2017-10-10T03:00" (UTC unless it says otherwise).

    Raises:
        OptionError: neither.
    """
    if text is None:
        return None
    remedy = "write seconds since 1970, or ISO 8601 such as 2017-10-10T03:00"
    try:
        seconds = float(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError as e:
            raise OptionError(f"{text!r} is no time", remedy) from e
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise OptionError(f"{text!r} is no time", remedy)
    return seconds


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


def check_file(path: Path | None, option: str, *inputs: Path | None) -> None:
    """Before the work: raises OptionError where `path` could not become a file, or is one of the inputs."""
    if path is None:
        return
    if path.is_dir():
        raise OptionError(f"{option} {path} is a folder", "name a file in it")
    if any(given is not None and given.exists() and path.exists() and path.samefile(given) for given in inputs):
        raise OptionError(f"{option} {path} would replace what is read", "choose another file")
    for parent in path.parents:
        if parent.exists():
            if not parent.is_dir():
                raise OptionError(f"{option} {path}: {parent} is no folder", "choose another place")
            break


def make_room(path: Path) -> Path:
    """The path, its folder made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
