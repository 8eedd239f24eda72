"""The events table: its columns, what may be wrong with it, and events of unknown users and items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from kinfolk.data.check import (
    Check,
    Plan,
    close,
    counted,
    field_column,
    field_text,
    id_column,
    label_column,
    need,
    number,
    run,
    too_long,
)
from kinfolk.data.report import CheckReport
from kinfolk.data.source import Table, readable
from kinfolk.data.times import time_column, unit_problem, unreal
from kinfolk.errors import DataError, SchemaError
from kinfolk.schema import Columns, Schema


@dataclass(frozen=True)
class Counts:
    """bad: rows that each check refuses; median: of the times, seconds; distinct: of user, item, context columns."""

    bad: list[int]
    median: float
    report: CheckReport
    distinct: dict[str, pl.Series]


def events_plan(table: Table, schema: Schema, as_text: Mapping[str, bool]) -> Plan:
    """How to read the events table; as_text: of the user and item columns, see `id_column`.

    Raises:
        DataError: a column is missing or of a type that cannot be read.
    """
    c, default = schema.columns, Columns()
    need(table, [c.time], "columns.time")
    for role in ("kind", "label", "position", "dwell"):  # absent by its default name means that the log has none
        if getattr(c, role) != getattr(default, role):
            need(table, [getattr(c, role)], f"columns.{role}")
    need(table, [f.name for f in schema.context], "[[context]]")
    plan = Plan(table)
    id_column(plan, c.user, as_text[c.user])
    id_column(plan, c.item, as_text[c.item])
    time_column(plan, c.time, schema.time_unit)
    if c.label in table.columns:
        label_column(plan, c.label)
    if c.kind in table.columns:
        kind = field_text(table.columns[c.kind], pl.col(c.kind)).alias(c.kind)
        plan.select.append(kind)
        remedy = "give every row a behaviour kind, or drop the column"
        plan.checks.append(Check(c.kind, kind.is_null(), "the behaviour kind is missing", remedy))
        plan.checks.append(too_long(c.kind, kind.str.len_chars()))
    for name in (c.position, c.dwell):
        if name in table.columns:
            expr, checks = number(plan, name)
            plan.select.append(expr.alias(name))
            plan.checks.extend(checks)
    for f in schema.context:
        field_column(plan, f)
    return plan


def check_events(plan: Plan, schema: Schema, now: float | None, check_times: bool) -> Counts:
    """Every check of the events table, in one pass over it.

    Raises:
        DataError, SchemaError: the first thing that is wrong.
    """
    table, c = plan.table, schema.columns
    moments = [unreal(c.time, plan.time)] if check_times else []
    if now is not None:
        late = plan.time > now
        moments.append(Check(c.time, late, "the time {value} lies in the future", "mend it, or leave the row out"))
    counts = count(plan, plan.frame, schema, counted(plan.checks + moments))
    report = counts.report
    if report.rows == 0:
        raise DataError(f"{table.name} has no rows", "give a table with at least one event")
    run(table, plan.checks, counts.bad[: len(plan.checks)])
    problem = unit_problem(table, schema, counts.median) if check_times else None
    if problem:
        raise problem
    run(table, moments, counts.bad[len(plan.checks) :])
    if report.clicks == 0:
        raise DataError(
            f"no clicks at all: column {c.label!r} of {table.name} is 0 in all {report.rows} rows",
            "give a log in which something was clicked, with label 1",
        )
    for h in schema.history:
        missing = [kind for kind in h.kinds if kind not in report.kinds]
        if missing:
            kinds = ", ".join(report.kinds)
            raise SchemaError(
                f"history {h.name!r} counts the kind {missing[0]!r}, which no event of {table.name} has",
                f"use some of {kinds}"
                if kinds
                else f"add a kind column, or name it in the schema (columns.kind: {c.kind!r})",
            )
    return replace(counts, report=replace(report, warnings=_misnamed(table, c)))


def count(plan: Plan, frame: pl.LazyFrame, schema: Schema, bad: list[pl.Expr]) -> Counts:
    """One streaming pass: `bad` over the raw rows, totals and distinct values over `frame`."""
    c = schema.columns
    names = [c.user, c.item, *(f.name for f in schema.context)]
    clicks = (pl.col(c.label) == 1).sum() if c.label in plan.table.columns else pl.len()
    time = pl.col(c.time)
    totals = [pl.len().alias("rows"), clicks.alias("clicks"), time.min().alias("from"), time.max().alias("until")]
    queries = [
        plan.table.frame.select(pl.len().alias("__rows__"), *bad),
        frame.select(*totals, time.median().alias("median")),
        *(frame.select(pl.col(name).unique()) for name in names),
    ]
    if c.kind in plan.table.columns:
        queries.append(frame.group_by(c.kind).agg(pl.len().alias("__rows__")))
    with readable(plan.table.name):
        refused, stats, *rest = pl.collect_all(queries, engine="streaming")
    rows, n_clicks, first, last, median = stats.row(0)
    distinct = {name: values.to_series().drop_nulls() for name, values in zip(names, rest, strict=False)}
    kinds = sorted(rest[-1].drop_nulls().rows()) if len(rest) > len(names) else []
    report = CheckReport(rows, n_clicks, 0, 0, first or 0.0, last or 0.0, dict(kinds))
    return Counts(list(refused.row(0)[1:]), median or 0.0, report, distinct)


def find_unknown(plan: Plan, role: str, key: str, known: pl.Series, seen: pl.Series) -> tuple[pl.Series, str]:
    """(ids of events that are not in the users or items table, what to say of them; "" if there are none)."""
    unknown = seen.filter(~seen.is_in(known.implode()))
    if len(unknown) == 0:
        return unknown, ""
    with readable(plan.table.name):
        rows = plan.frame.select(key).with_row_index("__row__", offset=1)
        row, first = rows.filter(pl.col(key).is_in(unknown.implode())).head(1).collect().row(0)
    where = f"first {first!r}, row {row}, column {key!r}"
    return unknown, f"{len(unknown)} {role} of {plan.table.name} are not in the {role} table ({where})"


def drop_unknown(frame: pl.LazyFrame, unknown: Mapping[str, pl.Series]) -> pl.LazyFrame:
    """Without the rows whose value in a column is one of the given ones."""
    for key, ids in unknown.items():
        frame = frame.filter(~pl.col(key).is_in(ids.implode()))
    return frame


def _misnamed(table: Table, c: Columns) -> tuple[str, ...]:
    """Warnings for columns that are nearly called like an optional one."""
    taken = {c.user, c.item, c.time, c.kind, c.label, c.position, c.dwell}
    pairs = (
        (name, close(name, (n for n in table.columns if n not in taken), cutoff=0.8))
        for name in (c.kind, c.label, c.position, c.dwell)
        if name not in table.columns
    )
    return tuple(
        f"{table.name} has no column {name!r} but has {near!r}: is it misnamed?" for name, near in pairs if near
    )
