"""What a caller may give: ids, times, lengths, numbers. Each check names the row and the remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import DataError, OptionError


def check_id(value: object, what: str, longest: int) -> str:
    """The id itself. Raises DataError unless it is a text of 1 to `longest` characters without control characters."""
    if not isinstance(value, str) or not value:
        raise DataError(f"{what} is {'empty' if value == '' else type(value).__name__}", "give a text")
    if len(value) > longest:
        raise DataError(f"{what} is {len(value)} characters long", f"give at most {longest}")
    if not value.isprintable():
        raise DataError(f"{what} holds characters that cannot be printed", "take them out")
    return value


def check_ids(values: Sequence[object], what: str, longest: int) -> None:
    """`check_id` of each; the row is named."""
    for row, value in enumerate(values):
        if type(value) is not str or not 0 < len(value) <= longest or not value.isprintable():
            check_id(value, f"{what} in row {row}", longest)


def check_count(n: int, most: int, what: str) -> None:
    """Raises OptionError beyond `most`."""
    if n > most:
        raise OptionError(f"{n} {what} in one call, at most {most} are taken", "send them in several calls")


def check_page(n: int, offset: int, most: int, deepest: int) -> None:
    """Raises OptionError unless 1 <= n <= most and 0 <= offset <= deepest."""
    if not 1 <= n <= most:
        raise OptionError(f"{n} items asked for", f"ask for 1 to {most}")
    if not 0 <= offset <= deepest:
        raise OptionError(f"the offset is {offset}", f"give 0 to {deepest}")


def check_same(lengths: dict[str, int]) -> None:
    """Raises DataError unless all columns are equally long."""
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{n} {name}" for name, n in lengths.items())
        raise DataError(f"the columns differ in length: {said}", "give one value a row in each")


def times_of(times: Sequence[int | None], now: int, ahead: int) -> NDArray[np.int64]:
    """int64[n] ms, None as `now`. Raises DataError for times before 1970 or more than `ahead` after `now`."""
    try:
        out = np.fromiter((now if t is None else t for t in times), np.int64, len(times))
    except (TypeError, ValueError, OverflowError) as e:
        raise DataError(f"a time is no whole number of milliseconds ({e})", "give milliseconds since 1970 UTC") from e
    bad = np.flatnonzero((out > now + ahead) | (out < 0))
    if len(bad):
        row = int(bad[0])
        if out[row] < 0:
            raise DataError(f"the time in row {row} is before 1970", "give milliseconds since 1970 UTC")
        raise DataError(
            f"the time in row {row} is {(int(out[row]) - now) / 1000:.0f} s ahead of the clock, "
            f"at most {ahead / 1000:.0f} s are taken",
            "give milliseconds since 1970 UTC, and set the sender's clock",
        )
    return out


def check_pctr(value: float, row: int) -> float:
    """Raises DataError unless finite and at least 0."""
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
        raise DataError(f"the pctr in row {row} is {value!r}", "give a number from 0 to 1")
    return float(value)
