"""How every column is read and what may be wrong with it: expressions that count bad rows, and the row to show.

A `Plan` is built per table from the schema and the table's types; all bad rows are counted in one streaming
pass and, only if there are any, `run` looks up the first one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import polars as pl

from kinfolk.data.source import Table, readable
from kinfolk.errors import DataError
from kinfolk.schema import Categorical, Continuous, Field, MultiCategorical

LONGEST_ID, LONGEST_VALUE = 256, 1_000
"""Characters of an id, as in serving, and of a value of a field: text of the longest one's width is kept of all."""

_ROW = "__row__"
_CONTROL = r"[\p{Cc}\p{Zl}\p{Zp}]"  # line breaks are among them
_SHOWN = 60
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Check:
    """bad: bool over the raw rows; problem: text, `{value}` is the raw value of the first bad row."""

    column: str
    bad: pl.Expr
    problem: str
    remedy: str


@dataclass
class Plan:
    """select: the columns as kinfolk reads them, under their names in the schema; checks: in order of importance.

    time: of an events table, seconds.
    """

    table: Table
    select: list[pl.Expr] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    time: pl.Expr = field(default_factory=lambda: pl.lit(0.0))

    @property
    def frame(self) -> pl.LazyFrame:
        """The columns kinfolk uses."""
        return self.table.frame.select(self.select)


def run(table: Table, checks: Sequence[Check], counts: Sequence[int]) -> None:
    """Raise for the first check whose count of bad rows is not 0, naming its first row (1 = first data row)."""
    for check, count in zip(checks, counts, strict=True):
        if count:
            with readable(table.name):
                first = (
                    table.frame.with_row_index(_ROW, offset=1)
                    .filter(check.bad)
                    .select(_ROW, _raw(table, check.column))
                    .head(1)
                )
                row, value = first.collect().row(0)
            more = "" if count == 1 else f" (and {count - 1} more rows)"
            where = f"in {table.name}, row {row}, column {check.column!r}{more}"
            raise DataError(f"{check.problem.format(value=_shown(value))}, {where}", check.remedy)


def _raw(table: Table, name: str) -> pl.Expr:
    col = pl.col(name)
    if not isinstance(table.columns[name], pl.Datetime | pl.Date):
        return col
    near = pl.when(col.dt.year().is_between(1, 9999)).then(col)  # no text can be made of others
    return pl.coalesce(near.dt.to_string(), col.to_physical().cast(pl.String)).alias(name)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def counted(checks: Sequence[Check]) -> list[pl.Expr]:
    """One aggregate a check: how many rows are bad."""
    return [c.bad.fill_null(False).sum().alias(f"__bad_{i}__") for i, c in enumerate(checks)]


def need(table: Table, names: Iterable[str], key: str) -> None:
    """Raise DataError if a column is missing; `key` says where the schema names it."""
    for name in names:
        if name not in table.columns:
            near = close(name, table.columns)
            hint = (
                f"rename {near!r} to {name!r}, or name it in the schema ({key})"
                if near
                else _no_match(table, name, key)
            )
            raise DataError(f"{table.name} has no column {name!r} (it has {_listed(table.columns)})", hint)


def close(name: str, columns: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The column most like `name`, if any is alike."""
    lower = {c.lower(): c for c in columns}
    found = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=cutoff)
    return lower[found[0]] if found else None


def _no_match(table: Table, name: str, key: str) -> str:
    only = next(iter(table.columns), "")
    for separator, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if table.text and len(table.columns) == 1 and separator in only:
            return f"its values seem to be separated by {called}: write it with commas"
    return f"add the column {name!r}, or name another in the schema ({key})"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:12]) + (f", ... {len(names) - 12} more" if len(names) > 12 else "")


def id_column(plan: Plan, name: str, as_text: bool) -> None:
    """A column of outside ids: integers or text of one short line, never missing. as_text: read integers as text."""
    dtype, col = plan.table.columns[name], pl.col(name)
    if dtype.is_integer() and not as_text:
        expr = col.cast(pl.Int64)
    elif dtype.is_integer() or dtype in (pl.String, pl.Categorical, pl.Enum):
        text = col.cast(pl.String)
        expr = pl.when(text != "").then(text)
    else:
        wrong_type(plan.table, name, "whole numbers or text", "write the ids as whole numbers or text")
    plan.select.append(expr.alias(name))
    plan.checks.append(Check(name, expr.is_null(), "the id is missing", "give every row an id, or leave the row out"))
    if not dtype.is_integer():
        strange = (expr.str.len_chars() > LONGEST_ID) | expr.str.contains(_CONTROL)
        problem = f"the id {{value}} has more than {LONGEST_ID} characters, a line break or a control character"
        remedy = "give every id one short line of text; if this is a csv file, is a quote left open in this row?"
        plan.checks.append(Check(name, strange, problem, remedy))


def is_signed_integer(dtype: pl.DataType) -> bool:
    """Whether ids of this type can stay integers (int64 holds them all)."""
    return dtype.is_integer() and dtype not in (pl.UInt64, pl.Int128, pl.UInt128)


def number(plan: Plan, name: str) -> tuple[pl.Expr, list[Check]]:
    """Float64 of a numeric or text column (NaN = missing = null), with checks for what is not a finite number."""
    dtype, col = plan.table.columns[name], pl.col(name)
    checks = []
    if dtype.is_numeric() or dtype == pl.Boolean or dtype == pl.Null:
        expr = col.cast(pl.Float64)
    elif dtype in (pl.String, pl.Categorical, pl.Enum):
        text = col.cast(pl.String).str.strip_chars()
        expr = pl.when(text != "").then(text).cast(pl.Float64, strict=False)
        bad = (text != "") & expr.is_null()
        checks.append(Check(name, bad, "{value} is not a number", "write a plain number, or leave it empty if missing"))
    else:
        wrong_type(plan.table, name, "numbers", "write it as numbers")
    infinite = expr.is_not_nan() & (expr.abs() > _FLOAT32_MAX)
    checks.append(
        Check(name, infinite, "{value} is infinite or too large", "write a finite number, or leave it empty if missing")
    )
    return expr.fill_nan(None), checks


def field_text(dtype: pl.DataType, values: pl.Expr) -> pl.Expr:
    """String of scalar values of a type; an empty text or NaN is missing."""
    if dtype.is_float():
        values = values.fill_nan(None)
    texts = values.cast(pl.String)
    return pl.when(texts != "").then(texts)


def field_column(plan: Plan, f: Field) -> None:
    """The column of a field, added to the plan."""
    dtype = plan.table.columns[f.name]
    match f:
        case Continuous():
            expr, checks = number(plan, f.name)
            if f.log:
                remedy = "values of a field with log = true are counts: make them >= 0, or set log = false"
                checks.append(Check(f.name, expr < 0, "{value} is negative", remedy))
            plan.checks.extend(checks)
            plan.select.append(expr.alias(f.name))
        case MultiCategorical():
            lists = _lists(plan.table, f, dtype)
            plan.select.append(lists)
            lengths = lists.list.eval(pl.element().str.len_chars())  # polars' expression; no text is run as code
            plan.checks.append(too_long(f.name, lengths.list.max()))
        case Categorical():
            if dtype.is_nested() or dtype == pl.Binary:
                remedy = f'declare {f.name!r} as kind = "multicategorical"' if _is_list(dtype) else "write it as text"
                wrong_type(plan.table, f.name, "one value a row", remedy)
            values = field_text(dtype, pl.col(f.name)).alias(f.name)
            plan.select.append(values)
            plan.checks.append(too_long(f.name, values.str.len_chars()))


def too_long(name: str, characters: pl.Expr) -> Check:
    """Of a column of texts, which is kept as wide as its longest one."""
    problem = f"{{value}} has a text of more than {LONGEST_VALUE:,} characters"
    remedy = (
        f"shorten it, or leave {name!r} out of the schema; if this is a csv file, is a quote left open in this row?"
    )
    return Check(name, characters > LONGEST_VALUE, problem, remedy)


def _is_list(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List | pl.Array)


def _lists(table: Table, f: MultiCategorical, dtype: pl.DataType) -> pl.Expr:
    col = pl.col(f.name)
    if isinstance(dtype, pl.Array):
        col = col.arr.to_list()
    if isinstance(dtype, pl.List | pl.Array):
        inner = dtype.inner if isinstance(dtype.inner, pl.DataType) else dtype.inner()
        if inner.is_nested():
            wrong_type(table, f.name, "lists of plain values", "flatten it")
        each = field_text(inner, pl.element())
        lists = col.list.eval(each)  # polars' expression over elements; no text is run as code
    elif dtype.is_nested() or dtype == pl.Binary:
        wrong_type(table, f.name, "lists, or text joined by a separator", "write it as a list column")
    else:
        each = field_text(pl.String(), pl.element())
        lists = col.cast(pl.String).str.split(f.separator).list.eval(each)  # as above: no text is run as code
    return lists.list.drop_nulls().list.head(f.max_length).alias(f.name)


def label_column(plan: Plan, name: str) -> None:
    """Int8 0 or 1, added to the plan; text may also be true/false."""
    dtype, col = plan.table.columns[name], pl.col(name)
    if dtype == pl.String:
        lower = col.str.strip_chars().str.to_lowercase()
        col = lower.replace({"true": "1", "false": "0"})
    elif not (dtype.is_numeric() or dtype == pl.Boolean):
        wrong_type(plan.table, name, "0 or 1", "write 1 for a click, 0 for none")
    expr = col.cast(pl.Float64, strict=False)
    bad = ~expr.is_in([0.0, 1.0]).fill_null(False)
    remedy = f"write 1 for a click, 0 for none, or name another column in the schema (columns.label is {name!r})"
    plan.checks.append(Check(name, bad, "the label is {value}, not 0 or 1", remedy))
    plan.select.append(expr.cast(pl.Int8, strict=False).alias(name))


def wrong_type(table: Table, name: str, wanted: str, remedy: str) -> NoReturn:
    """Raise for a column of a type that cannot be read as what is wanted."""
    raise DataError(f"column {name!r} of {table.name} holds {table.columns[name]}, not {wanted}", remedy)
