"""Users, items and events from files or frames, read lazily and checked: `read_tables`.

Every mistake is one `DataError` line: what, in which file, row (1 = first data row) and column, and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from kinfolk.data import check
from kinfolk.data.check import Check, Plan
from kinfolk.data.source import Table, TableSource, open_table, readable
from kinfolk.errors import DataError, OptionError, SchemaError
from kinfolk.schema import Columns, Continuous, Field, MultiCategorical, Schema


@dataclass(frozen=True)
class CheckReport:
    """What was read.

    Args:
        rows, clicks: rows of the events table, those with label 1 (all, if it has no labels).
        users, items: distinct ids in all tables.
        unknown_users, unknown_items: distinct ids of events that are not in the users resp. items table (if given).
        dropped: rows left out because of them (`on_unknown="drop"`).
        duplicates: exact duplicate rows removed; None until encoded.
        time_from, time_until: first and last time, seconds.
        kinds: behaviour kind -> rows.
        warnings: what is odd but no error, a clause each.
    """

    rows: int
    clicks: int
    users: int
    items: int
    time_from: float
    time_until: float
    kinds: Mapping[str, int]
    unknown_users: int = 0
    unknown_items: int = 0
    dropped: int = 0
    duplicates: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tables:
    """Checked tables, unread: only the columns the schema uses, under the schema's names.

    Args:
        events: user, item (Int64 or String), time (Float64 seconds), and where the table has them kind (String), label
            (Int8), position, dwell (Float64), context columns (String).
        users, items: the id and the fields (String, List(String) or Float64); None where there is no table.
        sources: role -> name for messages.
        report: counts.
        distinct: distinct values of the events' user, item, kind and context columns.
    """

    events: pl.LazyFrame
    users: pl.LazyFrame | None
    items: pl.LazyFrame | None
    sources: Mapping[str, str]
    report: CheckReport
    distinct: Mapping[str, pl.Series] = field(default_factory=dict)


def read_tables(
    schema: Schema,
    events: TableSource,
    users: TableSource | None = None,
    items: TableSource | None = None,
    *,
    now: float | None = None,
    on_unknown: str = "keep",
    check_times: bool = True,
) -> Tables:
    """Open and check the tables; nothing but counts and distinct ids is held in memory.

    Args:
        schema: which columns to read.
        events, users, items: a path (.parquet, .csv, .tsv, .jsonl, .ndjson; text also .gz, .xz, .bz2) or a frame.
        now: seconds since 1970 UTC; events after it are an error.
        on_unknown: events of users or items that are not in the given users or items table: "keep" (their fields are
            missing), "drop" the events, or "error".
        check_times: False for a data set whose times are not real moments (no check of the unit).

    Raises:
        DataError: a table is missing, empty or unreadable, or holds something that cannot be used.
        SchemaError: the schema does not fit the tables.
    """
    if on_unknown not in ("keep", "drop", "error"):
        raise OptionError(f"on_unknown is {on_unknown!r}", 'use "keep", "drop" or "error"')
    c = schema.columns
    opened = {
        role: _open(schema, role, source)
        for role, source in (("users", users), ("items", items), ("events", events))
        if source is not None
    }
    sides = {"users": (c.user, schema.user), "items": (c.item, schema.item)}
    plans: dict[str, Plan] = {}
    ids: dict[str, pl.Series] = {}
    for role, (id_name, fields) in sides.items():
        if role not in opened:
            if fields:
                named = ", ".join(f.name for f in fields)
                raise SchemaError(
                    f"the schema has {role[:-1]} fields ({named}) but there is no {role} table",
                    f"give the {role} table, or take the fields out of the schema",
                )
            continue
        as_text = not all(check.is_signed_integer(t.columns[id_name]) for t in (opened[role], opened["events"]))
        plans[role] = _entity_plan(opened[role], role, id_name, fields, as_text)
        ids[role] = _check_entities(plans[role], id_name)
    as_text_events = {
        name: not all(check.is_signed_integer(opened[r].columns[name]) for r in (role, "events") if r in opened)
        for name, role in ((c.user, "users"), (c.item, "items"))
    }
    plan = _events_plan(opened["events"], schema, as_text_events)
    report, distinct = _check_events(plan, schema, now, check_times)
    report = replace(report, warnings=report.warnings + _misnamed(opened["events"], c))
    frame = plan.frame
    for role, (id_name, _) in sides.items():
        if role in ids:
            frame, report = _unknown(plan.table, frame, report, role, id_name, ids[role], distinct[id_name], on_unknown)
    if report.dropped:
        report, distinct = _recount(plan, frame, schema, report)
    for role, (id_name, _) in sides.items():
        known = ids.get(role, distinct[id_name].clear())
        n = pl.concat([known, distinct[id_name]]).n_unique()
        report = replace(report, users=n) if role == "users" else replace(report, items=n)
    report = replace(report, warnings=report.warnings + _few(report))
    names = {role: table.name for role, table in opened.items()}
    entity_frames = {role: plans[role].frame if role in plans else None for role in sides}
    return Tables(frame, entity_frames["users"], entity_frames["items"], names, report, distinct)


def _open(schema: Schema, role: str, source: TableSource) -> Table:
    c = schema.columns
    by_role: dict[str, tuple[tuple[str, ...], tuple[Field, ...]]] = {
        "users": ((c.user,), schema.user),
        "items": ((c.item,), schema.item),
        "events": ((c.user, c.item, c.kind), schema.context),
    }
    ids, fields = by_role[role]
    texts = ids + tuple(f.name for f in fields if not isinstance(f, Continuous | MultiCategorical))
    numbers = tuple(f.name for f in fields if isinstance(f, Continuous))
    numbers += (c.time, c.position, c.dwell, c.label) if role == "events" else ()
    table = open_table(source, role, texts, numbers)
    for name, key in zip(ids[:2], ("columns.user", "columns.item"), strict=False):
        check.need(table, [name], "columns.item" if role == "items" else key)
    return table


def _entity_plan(table: Table, role: str, id_name: str, fields: tuple[Field, ...], as_text: bool) -> Plan:
    check.need(table, [f.name for f in fields], f"[[{role[:-1]}]]")
    plan = Plan(table)
    check.id_column(plan, id_name, as_text)
    for f in fields:
        check.field_column(plan, f)
    return plan


def _check_entities(plan: Plan, id_name: str) -> pl.Series:
    """The ids of a users or items table, all checks passed."""
    name = plan.table.name
    with readable(name):
        counts, ids = pl.collect_all(
            [
                plan.table.frame.select(pl.len().alias("rows"), *check.counted(plan.checks)),
                plan.table.frame.select(plan.select[0]),
            ],
            engine="streaming",
        )
    rows, *bad = counts.row(0)
    if rows == 0:
        raise DataError(f"{name} has no rows", "give a table with at least one row")
    check.run(plan.table, plan.checks, bad)
    series = ids.to_series()
    repeated = series.is_duplicated()
    if repeated.any():
        first = series.filter(repeated)[0]
        at = [int(i) + 1 for i in (series == first).arg_true()[:2]]
        others = series.filter(repeated).n_unique() - 1
        more = f" (and {others} more ids)" if others else ""
        raise DataError(
            f"the id {first!r} occurs twice, in {name}, rows {at[0]} and {at[1]}, column {id_name!r}{more}",
            "keep one row for each id",
        )
    return series


def _events_plan(table: Table, schema: Schema, as_text: Mapping[str, bool]) -> Plan:
    c, default = schema.columns, Columns()
    check.need(table, [c.time], "columns.time")
    optional = {"kind": c.kind, "label": c.label, "position": c.position, "dwell": c.dwell}
    for role, name in optional.items():  # a renamed column was meant to be there; a default one may be absent
        if name != getattr(default, role):
            check.need(table, [name], f"columns.{role}")
    check.need(table, [f.name for f in schema.context], "[[context]]")
    plan = Plan(table)
    check.id_column(plan, c.user, as_text[c.user])
    check.id_column(plan, c.item, as_text[c.item])
    check.time_column(plan, c.time, schema.time_unit)
    if c.label in table.columns:
        check.label_column(plan, c.label)
    if c.kind in table.columns:
        kind = check.text(table.columns[c.kind], c.kind)
        plan.select.append(kind)
        remedy = "give every row a behaviour kind, or drop the column"
        plan.checks.append(Check(c.kind, kind.is_null(), "the behaviour kind is missing", remedy))
    for name in (c.position, c.dwell):
        if name in table.columns:
            expr, checks = check.number(plan, name)
            plan.select.append(expr.alias(name))
            plan.checks.extend(checks)
    for f in schema.context:
        check.field_column(plan, f)
    return plan


def _check_events(
    plan: Plan, schema: Schema, now: float | None, check_times: bool
) -> tuple[CheckReport, dict[str, pl.Series]]:
    table, c = plan.table, schema.columns
    time = plan.select[2]
    future = (
        []
        if now is None
        else [Check(c.time, time > now, "{value} lies in the future", "mend the time or leave the row out")]
    )
    checks = plan.checks + future
    counts, report, distinct = _count(plan, plan.frame, schema, check.counted(checks))
    if report.rows == 0:
        raise DataError(f"{table.name} has no rows", "give a table with at least one event")
    check.run(table, plan.checks, counts[: len(plan.checks)])
    if check_times:
        with readable(table.name):
            median = float(plan.frame.select(pl.col(c.time).median()).collect(engine="streaming").item())
        problem = check.unit_problem(table, schema, median)
        if problem:
            raise problem
    check.run(table, future, counts[len(plan.checks) :])
    if report.clicks == 0:
        raise DataError(
            f"no clicks at all: column {c.label!r} of {table.name} is 0 in all {report.rows} rows",
            "give a log in which something was clicked; is 1 the label of a click?",
        )
    for h in schema.history:
        missing = [k for k in h.kinds if k not in report.kinds]
        if missing:
            found = (
                f"kinds in {table.name} are {', '.join(report.kinds)}"
                if c.kind in table.columns
                else "there is no kind column"
            )
            raise SchemaError(f"history {h.name!r} counts the kind {missing[0]!r}, which no event has", found)
    return report, distinct


def _count(
    plan: Plan, frame: pl.LazyFrame, schema: Schema, bad: list[pl.Expr]
) -> tuple[list[int], CheckReport, dict[str, pl.Series]]:
    """Bad rows a check, report and distinct values, in one pass over the table."""
    c = schema.columns
    names = [c.user, c.item, *(f.name for f in schema.context)]
    labelled = c.label in plan.table.columns
    stats = frame.select(
        pl.len(),
        (pl.col(c.label) == 1).sum() if labelled else pl.len().alias("clicks"),
        pl.col(c.time).min().alias("from"),
        pl.col(c.time).max().alias("until"),
    )
    queries = [plan.table.frame.select(pl.len().alias("rows"), *bad), stats]
    queries += [frame.select(pl.col(n).unique()) for n in names]
    if c.kind in plan.table.columns:
        queries.append(frame.group_by(c.kind).agg(pl.len().alias("rows")))
    with readable(plan.table.name):
        counts, totals, *rest = pl.collect_all(queries, engine="streaming")
    rows, clicks, first, last = totals.row(0)
    kinds = dict(sorted(rest[len(names)].rows())) if len(rest) > len(names) else {}
    distinct = {n: r.to_series().drop_nulls() for n, r in zip(names, rest, strict=False)}
    report = CheckReport(
        rows, clicks, 0, 0, first or 0.0, last or 0.0, {k: v for k, v in kinds.items() if k is not None}
    )
    return list(counts.row(0)[1:]), report, distinct


def _unknown(
    table: Table,
    frame: pl.LazyFrame,
    report: CheckReport,
    role: str,
    name: str,
    known: pl.Series,
    seen: pl.Series,
    mode: str,
) -> tuple[pl.LazyFrame, CheckReport]:
    unknown = seen.filter(~seen.is_in(known.implode()))
    if len(unknown) == 0:
        return frame, report
    with readable(table.name):
        hit = pl.col(name).is_in(unknown.implode())
        row, first = (
            frame.with_row_index("__row__", offset=1).filter(hit).select("__row__", name).head(1).collect().row(0)
        )
    where = f"first {first!r} in row {row}, column {name!r}"
    said = f"{len(unknown)} {role} of {table.name} are not in the {role} table ({where})"
    if mode == "error":
        raise DataError(said, f'add them to the {role} table, or use on_unknown="keep" or "drop"')
    done = "their fields are missing" if mode == "keep" else "their events are dropped"
    counts = {f"unknown_{role}": len(unknown), "warnings": (*report.warnings, f"{said}: {done}")}
    report = replace(report, **counts)  # type: ignore[arg-type]  # keys are fields of the report
    if mode == "drop":
        report = replace(report, dropped=1)
        frame = frame.filter(~hit)
    return frame, report


def _recount(
    plan: Plan, frame: pl.LazyFrame, schema: Schema, before: CheckReport
) -> tuple[CheckReport, dict[str, pl.Series]]:
    _, report, distinct = _count(plan, frame, schema, [])
    if report.clicks == 0:
        raise DataError(
            f"no click of {plan.table.name} is of a known user and item", "do the ids of the tables have the same form?"
        )
    return replace(
        report,
        dropped=before.rows - report.rows,
        unknown_users=before.unknown_users,
        unknown_items=before.unknown_items,
        warnings=before.warnings,
    ), distinct


def _misnamed(table: Table, c: Columns) -> tuple[str, ...]:
    """Warnings for columns that are nearly called like an optional one."""
    taken = {c.user, c.item, c.time, c.kind, c.label, c.position, c.dwell}
    out = []
    for name in (c.kind, c.label, c.position, c.dwell):
        if name not in table.columns:
            near = check.close(name, (n for n in table.columns if n not in taken), cutoff=0.8)
            if near:
                out.append(f"{table.name} has no column {name!r} but has {near!r}: is it misnamed?")
    return tuple(out)


def _few(report: CheckReport) -> tuple[str, ...]:
    return tuple(
        f"there is only one {what}: nothing can be learned from this log"
        for what, n in (("user", report.users), ("item", report.items))
        if n == 1
    )
