"""Checked tables to a `Log`: ids to rows, values to codes, events sorted by time without exact duplicates.

Text is coded inside polars' streaming engine; only columns of numbers reach numpy.
The result does not depend on the order of the rows in the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.data.check import need
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Codes, Column, Events, Impressions, JaggedCodes, Log, Numbers
from kinfolk.data.report import CheckReport
from kinfolk.data.source import Table, readable
from kinfolk.data.store import open_log, save_log
from kinfolk.data.tables import Tables
from kinfolk.data.vocabulary import as_str, sort_ids
from kinfolk.errors import DataError
from kinfolk.schema import Continuous, Field, MultiCategorical, Schema

DEFAULT_KIND = "event"
"""The only behaviour kind of a log without a kind column."""

_CHUNK = 1 << 20


def encode(
    tables: Tables,
    schema: Schema,
    *,
    name: str,
    seed: int = 0,
    out: Path | None = None,
    prior: pl.DataFrame | None = None,
) -> Log:
    """A log of everything in the tables; see `encode_counted`."""
    return encode_counted(tables, schema, name=name, seed=seed, out=out, prior=prior)[0]


def encode_counted(
    tables: Tables,
    schema: Schema,
    *,
    name: str,
    seed: int = 0,
    out: Path | None = None,
    prior: pl.DataFrame | None = None,
) -> tuple[Log, CheckReport]:
    """A log, and the tables' report with the exact duplicates counted.

    Rows of users and items are the ranks of their ids, by number if every id is an integer, else by text. Event
    rows equal in every column the schema uses are one event. Events of equal time are in an order drawn from `seed`.

    Args:
        tables: from `read_tables` with the same schema.
        schema: kept in the log.
        name: of the log, for messages.
        seed: of the order of ties.
        out: a new folder to write the log to and open it from, memory-mapped; nothing half-written is ever left there.
        prior: pairs known to have met before the first event: columns named as the schema's user and item.

    Raises:
        DataError: as `read_tables`; `out` exists.
    """
    c = schema.columns
    prior = _prior(prior, tables, schema)
    user_ids = _ids(c.user, tables.distinct[c.user], tables.users, prior)
    item_ids = _ids(c.item, tables.distinct[c.item], tables.items, prior)
    present = tables.events.collect_schema().names()
    kinds = tuple(tables.report.kinds) if c.kind in present else (DEFAULT_KIND,)
    contexts = {f.name: np.sort(as_str(tables.distinct[f.name])) for f in schema.context}
    coded = [(c.user, user_ids), (c.item, item_ids), *contexts.items()]
    coded += [(c.kind, np.array(kinds))] if c.kind in present else []
    with readable(tables.sources["events"]):
        raw = _coded(tables.events, coded).collect(engine="streaming")
    columns = {n: raw[n].to_numpy() for n in raw.columns}
    del raw
    columns, duplicates = _sort_distinct(columns, c.time, seed)
    log = Log(
        name=name,
        schema=schema,
        user_ids=user_ids,
        item_ids=item_ids,
        kinds=kinds,
        events=_events(columns, schema),
        impressions=_impressions(columns, schema),
        users=_side(tables.users, c.user, user_ids, schema.user, tables.sources.get("users", "")),
        items=_side(tables.items, c.item, item_ids, schema.item, tables.sources.get("items", "")),
        context_values=contexts,
        prior=_prior_rows(prior, c.user, c.item, user_ids, item_ids),
    )
    report = replace(tables.report, duplicates=duplicates, users=len(user_ids), items=len(item_ids))
    if out is not None:
        save_log(log, out)
        log = open_log(out)
    return log, report


def _prior(prior: pl.DataFrame | None, tables: Tables, schema: Schema) -> pl.DataFrame | None:
    if prior is None:
        return None
    names = [schema.columns.user, schema.columns.item]
    need(Table("prior", prior.lazy(), dict(prior.schema)), names, "[columns]")
    prior = prior.select(pl.col(n).cast(tables.events.collect_schema()[n]) for n in names).unique()
    if prior.select(pl.any_horizontal(pl.all().is_null()).any()).item():
        raise DataError("prior holds a pair without a user or an item", "leave it out")
    return prior


def _ids(name: str, seen: pl.Series, side: pl.LazyFrame | None, prior: pl.DataFrame | None) -> NDArray[np.str_]:
    parts = [seen]
    if side is not None:
        parts.append(side.select(name).collect(engine="streaming").to_series())
    if prior is not None:
        parts.append(prior[name])
    every = pl.concat([p.cast(seen.dtype) for p in parts]).unique()
    return as_str(every.sort()) if every.dtype.is_integer() else sort_ids(as_str(every))


def _coded(frame: pl.LazyFrame, coded: list[tuple[str, NDArray[np.str_]]]) -> pl.LazyFrame:
    """With the outside values of some columns replaced by int32 indices into the given arrays; null becomes -1."""
    types = frame.collect_schema()
    for name, values in coded:
        outside = pl.Series(name, values).cast(types[name]) if len(values) else pl.Series(name, [], types[name])
        key = pl.DataFrame([outside, pl.Series("__code__", np.arange(len(values), dtype=np.int32))]).lazy()
        frame = (
            frame.join(key, on=name, how="left")
            .with_columns(pl.col("__code__").fill_null(-1).alias(name))
            .drop("__code__")
        )
    return frame


def _sort_distinct(
    columns: dict[str, NDArray[np.generic]], time: str, seed: int
) -> tuple[dict[str, NDArray[np.generic]], int]:
    """Rows by time, ties by a seeded hash of the row, equal rows once; and how many rows were removed."""
    n = len(columns[time])
    keys = pl.DataFrame({"time": columns[time], "hash": _hashes(columns, seed)})
    order = keys.select(pl.arg_sort_by("time", "hash")).to_series().to_numpy()
    del keys
    again = np.ones(n, bool)
    if n:
        again[0] = False
    for name in list(columns):
        columns[name] = columns[name][order]
        same = columns[name][1:] == columns[name][:-1]
        if columns[name].dtype.kind == "f":
            same |= np.isnan(columns[name][1:]) & np.isnan(columns[name][:-1])
        again[1:] &= same
    removed = int(again.sum())
    if removed:
        columns = {name: values[~again] for name, values in columns.items()}
    return columns, removed


def _hashes(columns: Mapping[str, NDArray[np.generic]], seed: int) -> NDArray[np.uint64]:
    """uint64[n]: a hash of every row's content (splitmix64 over its columns), so that equal rows become neighbours."""
    n = len(next(iter(columns.values())))
    out = np.empty(n, np.uint64)
    start = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64))
    for low in range(0, n, _CHUNK):
        part = slice(low, low + _CHUNK)
        h = np.repeat(start, len(out[part]))
        for values in columns.values():
            v = values[part]
            wide = v.astype(np.float64) + 0.0 if v.dtype.kind == "f" else v.astype(np.int64)  # + 0.0: one zero only
            h = _mix(h ^ wide.view(np.uint64))
        out[part] = h
    return out


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _events(columns: Mapping[str, NDArray[np.generic]], schema: Schema) -> Events:
    c = schema.columns
    keep = columns[c.label] == 1 if c.label in columns else slice(None)
    user = columns[c.user][keep].astype(np.int32)
    return Events(
        user=user,
        item=columns[c.item][keep].astype(np.int32),
        time=columns[c.time][keep].astype(np.float64),
        kind=columns[c.kind][keep].astype(np.int16) if c.kind in columns else np.zeros(len(user), np.int16),
        context={f.name: columns[f.name][keep].astype(np.int32) + np.int32(1) for f in schema.context},
    )


def _impressions(columns: Mapping[str, NDArray[np.generic]], schema: Schema) -> Impressions | None:
    c = schema.columns
    if c.label not in columns:
        return None
    optional = {n: columns[n].astype(np.float32) if n in columns else None for n in (c.position, c.dwell)}
    return Impressions(
        user=columns[c.user].astype(np.int32),
        item=columns[c.item].astype(np.int32),
        time=columns[c.time].astype(np.float64),
        label=columns[c.label].astype(np.int8),
        position=optional[c.position],
        dwell=optional[c.dwell],
    )


def _side(
    frame: pl.LazyFrame | None, id_name: str, ids: NDArray[np.str_], fields: tuple[Field, ...], source: str
) -> dict[str, Column]:
    """The columns of a users or items table in the order of `ids`; rows without an entry are missing."""
    if frame is None or not fields:
        return {}
    dtype = frame.collect_schema()[id_name]
    key = pl.DataFrame([pl.Series(id_name, ids).cast(dtype)]).lazy()
    with readable(source):
        table = key.join(frame, on=id_name, how="left", maintain_order="left").collect(engine="streaming")
    return {f.name: _column(table[f.name], f) for f in fields}


def _column(series: pl.Series, f: Field) -> Column:
    if isinstance(f, Continuous):
        return Numbers(series.cast(pl.Float32).fill_null(float("nan")).to_numpy())
    if not isinstance(f, MultiCategorical):
        codes, values = _codes(series)
        return Codes(codes, values)
    lengths = series.list.len().fill_null(0).to_numpy().astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    flat = series.filter(pl.Series(lengths > 0)).explode()
    codes, values = _codes(flat)
    return JaggedCodes(Jagged(codes, offsets), values)


def _codes(series: pl.Series) -> tuple[NDArray[np.int32], NDArray[np.str_]]:
    """(int32[n] codes, values by text): 0 where null."""
    distinct = series.drop_nulls().unique().sort()
    code = pl.Series("code", np.arange(1, len(distinct) + 1, dtype=np.int32))
    table = pl.DataFrame([distinct.alias("value"), code])
    found = series.alias("value").to_frame().join(table, on="value", how="left", maintain_order="left")
    return found["code"].fill_null(0).to_numpy(), as_str(distinct)


def _prior_rows(
    prior: pl.DataFrame | None, user: str, item: str, user_ids: NDArray[np.str_], item_ids: NDArray[np.str_]
) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
    if prior is None:
        return None
    rows = _coded(prior.lazy(), [(user, user_ids), (item, item_ids)]).sort(user, item).collect()
    return rows[user].to_numpy(), rows[item].to_numpy()
