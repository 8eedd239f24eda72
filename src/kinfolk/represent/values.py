"""Values of fields as somebody sends them (JSON) -> as tables hold them: texts, numbers, lists of texts.

The rules are those by which tables are read (`kinfolk.data.check`), so that a value sent and the same value in a table
are one to the model. A value that is not of its field's kind is a DataError that names the field.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from kinfolk.errors import DataError
from kinfolk.schema import Continuous, MultiCategorical

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def text_of(value: object, name: str) -> str | None:
    """One categorical value; None where it is missing (null, empty text, NaN)."""
    if value is None or isinstance(value, str):
        if value and value.endswith("\0"):
            raise DataError(f"the value of field {name!r} ends in a NUL character", "strip it")
        return value or None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        written: str = pl.Series([float(value)]).cast(pl.String)[0]
        return None if math.isnan(value) else written
    raise DataError(f"field {name!r} holds a {type(value).__name__}", "give one text or number, or null if missing")


def texts_of(value: object, field: MultiCategorical) -> list[str]:
    """The values of a multivalent field, the first `max_length`; none where it is missing."""
    if isinstance(value, list | tuple):
        for v in value:
            if isinstance(v, list | tuple | dict):
                raise DataError(f"field {field.name!r} holds a list within its list", "give a list of texts or numbers")
        parts = [text_of(v, field.name) for v in value]
    else:
        whole = text_of(value, field.name)
        parts = [] if whole is None else [part or None for part in whole.split(field.separator)]
    return [part for part in parts if part is not None][: field.max_length]


def number_of(value: object, field: Continuous) -> float:
    """The number of a continuous field; NaN where it is missing."""
    name = field.name
    if isinstance(value, str):
        value = value.strip() or None
    if value is None:
        return math.nan
    if not isinstance(value, str | bool | int | float | np.number | np.bool_):
        raise DataError(f"field {name!r} holds a {type(value).__name__}", "give a number, or null if missing")
    try:
        number = float(value) if not isinstance(value, str) or "_" not in value else None
    except ValueError:
        number = None
    except OverflowError:
        number = math.inf
    if number is None:
        raise DataError(f"field {name!r} holds a text that is not a number", "give a number, or null if missing")
    if abs(number) > _FLOAT32_MAX:
        raise DataError(f"the number in field {name!r} is infinite or too large", "give a finite number, or null")
    if field.log and number < 0:
        raise DataError(f"the number in field {name!r} is negative", "the model reads it as a count: give 0 or more")
    return number


def items_of(value: object, name: str) -> list[str]:
    """Outside ids of the items of a history, as given."""
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise DataError(f"the history {name!r} holds a {type(value).__name__}", "give a list of item ids, oldest first")
    for v in value:
        if isinstance(v, bool) or not isinstance(v, str | int | np.integer) or v == "":
            raise DataError(
                f"the history {name!r} holds a {type(v).__name__} that is no item id", "give ids as texts or integers"
            )
    return [str(v) for v in value]
