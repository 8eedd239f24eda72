"""How a column of times is read, and what may be wrong with it: numbers in a unit, ISO 8601 text, dates, datetimes."""

from __future__ import annotations

import polars as pl

from kinfolk.data.check import Check, Plan, is_signed_integer, number, wrong_type
from kinfolk.data.source import Table, readable
from kinfolk.errors import DataError
from kinfolk.schema import Schema

UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Schema.time_unit -> ticks a second."""

EARLIEST, LATEST = 631_152_000.0, 4_102_444_800.0
"""Real times lie between 1990 and 2100."""


def time_column(plan: Plan, name: str, unit: str) -> None:
    """Seconds since 1970 UTC, Float64, added to the plan: from numbers in `unit`, ISO 8601 text, dates or datetimes."""
    dtype, col = plan.table.columns[name], pl.col(name)
    if isinstance(dtype, pl.Datetime):
        expr = _seconds(col.dt.epoch(dtype.time_unit or "us"), dtype.time_unit or "us")
    elif dtype == pl.Date:
        expr = _seconds(col.cast(pl.Datetime("us")).dt.epoch("us"), "us")
    elif dtype == pl.String and not numeric_text(plan.table, name):
        expr = _iso(col)
        bad = col.str.strip_chars().str.len_chars().gt(0) & expr.is_null()
        remedy = "write ISO 8601 (2024-05-01T12:00:00) or a number in time_unit"
        plan.checks.append(Check(name, bad, "{value} is not a time", remedy))
    else:
        if dtype.is_temporal():
            wrong_type(plan.table, name, "moments", "write numbers, ISO 8601 text or datetimes")
        expr, checks = number(plan, name)
        plan.checks.extend(checks)
        expr = _seconds(expr, unit)
        if dtype == pl.String:  # whole numbers are read as such: text of nanoseconds has more digits than a float64
            expr = pl.coalesce(_seconds(col.str.strip_chars().cast(pl.Int64, strict=False), unit), expr)
        elif dtype.is_integer():
            expr = _seconds(col.cast(pl.Int64) if is_signed_integer(dtype) else col, unit)
    plan.checks.append(
        Check(name, expr.is_null(), "the time is missing", "give every row a time, or leave the row out")
    )
    plan.select.append(expr.alias(name))
    plan.time = expr


def _seconds(ticks: pl.Expr, unit: str) -> pl.Expr:
    """Float64, from whole ticks to within a rounding: whole seconds and the rest apart, since nanoseconds pass 2^53."""
    whole = ticks // UNITS[unit]
    return whole.cast(pl.Float64) + (ticks - whole * UNITS[unit]).cast(pl.Float64) / UNITS[unit]


def numeric_text(table: Table, name: str) -> bool:
    """Whether the first value of a text column is a number."""
    filled = table.frame.select(pl.col(name).str.strip_chars()).filter(pl.col(name).str.len_chars() > 0)
    with readable(table.name):
        head = filled.head(1).collect()
    return head.height > 0 and head.select(pl.col(name).cast(pl.Float64, strict=False)).item() is not None


def _iso(col: pl.Expr) -> pl.Expr:
    text = col.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T").str.replace(r"(?i)\s*(z|utc)$", "+00:00")
    zoned = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=False)
    plain = [
        text.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")
        for form in ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
    ]
    return _seconds(pl.coalesce(zoned, *plain).dt.epoch("us"), "us")


def unreal(name: str, time: pl.Expr) -> Check:
    """A single time that is none: 0 for a missing one, a number cut at the end of a file."""
    remedy = "mend it, leave the row out, or say that times are not real (check_times=False)"
    outside = (time < EARLIEST) | (time > LATEST)
    return Check(name, outside, "the time {value} lies outside of 1990 to 2100", remedy)


def unit_problem(table: Table, schema: Schema, median: float) -> DataError | None:
    """The error to raise where the median time lies outside 1990 to 2100, saying which unit would fit."""
    if EARLIEST <= median <= LATEST:
        return None
    name = schema.columns.time
    fits = [u for u, per in UNITS.items() if EARLIEST <= median * UNITS[schema.time_unit] / per <= LATEST]
    when = "before 1990" if median < EARLIEST else "after 2100"
    if fits and (table.columns[name].is_numeric() or table.columns[name] == pl.String):
        remedy = f'set time_unit = "{fits[0]}" in the schema'
    else:
        remedy = "name the right column (columns.time), or say that times are not real (check_times=False)"
    return DataError(
        f'times in column {name!r} of {table.name}, read as "{schema.time_unit}", have their median {when}', remedy
    )
