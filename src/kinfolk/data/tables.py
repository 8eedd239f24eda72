"""Users, items and events from files or frames, read lazily and checked: `read_tables`.

Every mistake is one `DataError` line: what, in which file, row (1 = first data row) and column, and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from kinfolk.data.check import Plan, counted, field_column, id_column, is_signed_integer, need, run
from kinfolk.data.check_events import check_events, count, drop_unknown, events_plan, find_unknown
from kinfolk.data.report import CheckReport
from kinfolk.data.source import Table, TableSource, open_table, readable
from kinfolk.errors import DataError, OptionError, SchemaError
from kinfolk.schema import Continuous, Field, MultiCategorical, Schema


@dataclass(frozen=True)
class Tables:
    """Checked tables, unread: only the columns the schema uses, under the schema's names.

    Args:
        events: user, item (Int64 or String), time (Float64 seconds), and where the table has them kind (String), label
            (Int8), position, dwell (Float64), context columns (String).
        users, items: the id and the fields (String, List(String) or Float64); None where there is no table.
        sources: role -> name for messages.
        report: counts.
        distinct: distinct values of the events' user, item and context columns.
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
            missing; reported), "drop" the events (reported), or "error".
        check_times: False for a data set whose times are not real moments (no check of the unit, nor that they
            lie between 1990 and 2100).

    Raises:
        DataError: a table is missing, empty or unreadable, or holds something that cannot be used.
        SchemaError: the schema does not fit the tables.
        OptionError: `on_unknown` is none of the three.
    """
    if on_unknown not in ("keep", "drop", "error"):
        raise OptionError(f"on_unknown is {on_unknown!r}", 'use "keep", "drop" or "error"')
    c = schema.columns
    given = {"users": users, "items": items, "events": events}
    opened = {role: _open(schema, role, source) for role, source in given.items() if source is not None}
    keys, fields = {"users": c.user, "items": c.item}, {"users": schema.user, "items": schema.item}
    for role in keys:
        if fields[role] and role not in opened:
            raise SchemaError(
                f"the schema has {role[:-1]} fields ({', '.join(f.name for f in fields[role])}) but no {role} table",
                f"give the {role} table, or take the fields out of the schema",
            )
    as_text = {  # where one table's ids are text, the other's must be too
        key: not all(is_signed_integer(opened[r].columns[key]) for r in (role, "events") if r in opened)
        for role, key in keys.items()
    }
    plans = {
        role: _entity_plan(opened[role], role, key, fields[role], as_text[key])
        for role, key in keys.items()
        if role in opened
    }
    ids = {role: _check_entities(plan, keys[role]) for role, plan in plans.items()}

    plan = events_plan(opened["events"], schema, as_text)
    counts = check_events(plan, schema, now, check_times)
    frame, unknown, warnings = plan.frame, {}, list(counts.report.warnings)
    for role, known in ids.items():
        unknown[role], said = find_unknown(plan, role, keys[role], known, counts.distinct[keys[role]])
        if said and on_unknown == "error":
            raise DataError(said, f'add them to the {role} table, or use on_unknown="keep" or "drop"')
        if said:
            warnings.append(f"{said}: " + {"keep": "their fields are missing", "drop": "dropped"}[on_unknown])
    report, distinct = counts.report, counts.distinct
    if on_unknown == "drop" and any(len(ids) for ids in unknown.values()):
        frame = drop_unknown(frame, {keys[role]: missing for role, missing in unknown.items()})
        after = count(plan, frame, schema, [])
        report = replace(after.report, dropped=report.rows - after.report.rows)
        distinct = after.distinct
        if report.clicks == 0:
            raise DataError(
                f"no click of {plan.table.name} is of a known user and item", "do the ids of the tables agree in form?"
            )
    totals = {
        role: pl.concat([distinct[key], ids.get(role, distinct[key].clear())]).n_unique() for role, key in keys.items()
    }
    warnings += [f"there is only one {role[:-1]}: nothing can be learned" for role, n in totals.items() if n == 1]
    report = replace(
        report,
        users=totals["users"],
        items=totals["items"],
        unknown_users=len(unknown.get("users", ())),
        unknown_items=len(unknown.get("items", ())),
        warnings=tuple(warnings),
    )
    sides = {role: plans[role].frame if role in plans else None for role in keys}
    names = {role: table.name for role, table in opened.items()}
    return Tables(frame, sides["users"], sides["items"], names, report, distinct)


def _open(schema: Schema, role: str, source: TableSource) -> Table:
    c = schema.columns
    ids = {"users": {"user": c.user}, "items": {"item": c.item}, "events": {"user": c.user, "item": c.item}}[role]
    fields: tuple[Field, ...] = {"users": schema.user, "items": schema.item, "events": schema.context}[role]
    texts = [*ids.values(), *(f.name for f in fields if not isinstance(f, Continuous | MultiCategorical))]
    numbers = [f.name for f in fields if isinstance(f, Continuous)]
    if role == "events":
        texts += [c.kind, c.time]  # a number in nanoseconds has more digits than a float64
        numbers += [c.label, c.position, c.dwell]
    table = open_table(source, role, texts, numbers)
    for key, name in ids.items():
        need(table, [name], f"columns.{key}")
    return table


def _entity_plan(table: Table, role: str, key: str, fields: tuple[Field, ...], as_text: bool) -> Plan:
    need(table, [f.name for f in fields], f"[[{role[:-1]}]]")
    plan = Plan(table)
    id_column(plan, key, as_text)
    for f in fields:
        field_column(plan, f)
    return plan


def _check_entities(plan: Plan, key: str) -> pl.Series:
    """The ids of a users or items table, all checks passed."""
    name = plan.table.name
    queries = [
        plan.table.frame.select(pl.len().alias("__rows__"), *counted(plan.checks)),
        plan.table.frame.select(plan.select[0]),
    ]
    with readable(name):
        counts, column = pl.collect_all(queries, engine="streaming")
    rows, *bad = counts.row(0)
    if rows == 0:
        raise DataError(f"{name} has no rows", "give a table with at least one row")
    run(plan.table, plan.checks, bad)
    ids = column.to_series()
    twice = ids.is_duplicated()
    if twice.any():
        first = ids.filter(twice)[0]
        at = [int(i) + 1 for i in (ids == first).arg_true()[:2]]
        others = ids.filter(twice).n_unique() - 1
        more = f" (and {others} more ids)" if others else ""
        raise DataError(
            f"the id {first!r} occurs twice, in {name}, rows {at[0]} and {at[1]}, column {key!r}{more}",
            "keep one row for each id",
        )
    return ids
