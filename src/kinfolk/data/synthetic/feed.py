"""The log of a world: who was shown what, and who clicked; hour by hour, so that any length fits in memory.

A session shows `list_length` distinct live items drawn in proportion to popularity x age decay, whoever the user is,
without those they have clicked before. Item c at position p is then clicked with probability

    appetite * looked_at(p) * pull(c) * interest(taste of the user, appeal of c)

so a click says: it was on show, it was high enough in the list, it was popular, and it was to the user's taste.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kinfolk.data.encode import encode
from kinfolk.data.log import Log
from kinfolk.data.synthetic.config import EPOCH, HOUR, Config
from kinfolk.data.synthetic.inhabitants import Truth, appetite, is_video, items, truth, users
from kinfolk.data.synthetic.tables import STRONG, WEAK
from kinfolk.data.tables import read_tables
from kinfolk.errors import DataError
from kinfolk.schema import Categorical, Continuous, MultiCategorical, Schema

_SESSIONS = 4  # stream of Config.rng
_SECONDS_A_POSITION = 5
_DEVICES = ("phone", "desktop", "tablet")
_DEVICE_SHARE = (0.7, 0.2, 0.1)
_RHYTHM = np.array([4, 2, 1, 1, 1, 2, 5, 9, 11, 9, 8, 8, 10, 9, 7, 7, 7, 8, 10, 12, 13, 12, 9, 6], np.float64)

Source = pl.DataFrame | Path


class Feed(NamedTuple):
    """The three tables, as frames or as parquet files."""

    users: Source
    items: Source
    events: Source


def schema() -> Schema:
    """What the tables of every synthetic feed hold; the same in all regimes."""
    return Schema(
        user=(
            *(Categorical(name) for name in (STRONG, *WEAK)),
            MultiCategorical("tags"),
            Continuous("age"),
            Continuous("tenure", log=True),
        ),
        item=(Categorical("publisher"), Categorical("category"), Categorical("form")),
        context=(Categorical("device"), Categorical("hour")),
        time_unit="ms",
    )


def generate(config: Config, out_dir: str | Path | None = None) -> Feed:
    """Make a feed: in memory, or as `users.parquet`, `items.parquet` and `events.parquet` in the folder `out_dir`.

    With a folder, users are made a chunk and events an hour at a time and nothing grows with the length of the log.
    The folder appears when it is complete.

    Raises:
        DataError: `out_dir` exists and holds something.
    """
    true = truth(config)
    if out_dir is None:
        return Feed(pl.concat(users(true)), items(true), pl.concat(events(true)))
    folder = Path(out_dir)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} exists already", "name a new or an empty folder")
    aside = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        for name, frames in (("users", users(true)), ("items", iter([items(true)])), ("events", events(true))):
            _write(aside / f"{name}.parquet", frames)
        if folder.exists():
            folder.rmdir()
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Feed(*(folder / f"{name}.parquet" for name in ("users", "items", "events")))


def load(config: Config, out_dir: str | Path | None = None) -> Log:
    """The feed as a `Log` named "synthetic-<regime>-<seed>"; by way of files in `out_dir` if that is given.

    Raises:
        DataError: as `generate`.
    """
    feed = generate(config, out_dir)
    tables = read_tables(schema(), feed.events, feed.users, feed.items, now=config.end)
    return encode(tables, schema(), name=f"synthetic-{config.regime}-{config.seed}", seed=config.seed)


def events(true: Truth) -> Iterator[pl.DataFrame]:
    """The events table, one frame an hour (an hour in which nothing was shown yields an empty frame), sorted by time.

    Columns: user_id, item_id int64; time int64, ms since 1970 UTC; kind "read" | "watch"; label int8, 1 = clicked;
    position int64 from 1; device, hour. Holds at most `life_hours` hours of clicks in memory.
    """
    config, n_items = true.config, len(true.appeal)
    rhythm = _RHYTHM / _RHYTHM.mean() / 24
    looked_at = appetite(true) * np.arange(1, config.list_length + 1) ** -config.position_decay
    kinds = np.where(is_video(true), "watch", "read")
    reach = np.cumsum(true.rate)
    clicked = np.zeros(0, np.int64)  # sorted keys user * n_items + item of live items only
    for hour in range(config.hours):
        rng = config.rng(_SESSIONS, hour)
        live, weight = true.live(hour)
        visits = rng.poisson(reach[-1] * rhythm[hour % 24])
        draws = rng.random(visits) * reach[-1]
        user = np.unique(np.searchsorted(reach[:-1], draws, side="right"))  # at most one session an hour
        clicked = clicked[clicked % n_items >= live.start] if len(clicked) else clicked
        session, position, item = _fill(rng, user, live, weight, clicked, n_items, config.list_length)
        who = user[session]
        interest = true.world.interest[true.appeal[item], true.profile[who]]
        label = rng.random(len(item)) < looked_at[position] * true.pull[item] * interest
        clicked = np.sort(np.concatenate([clicked, who[label] * n_items + item[label]]))
        opened = rng.integers(0, 1000 * (HOUR - _SECONDS_A_POSITION * config.list_length), len(user))
        device = rng.choice(len(_DEVICES), len(user), p=_DEVICE_SHARE)
        time = 1000 * (EPOCH + hour * HOUR) + opened[session] + 1000 * _SECONDS_A_POSITION * position
        order = np.argsort(time, kind="stable")
        yield pl.DataFrame(
            {
                "user_id": who[order],
                "item_id": item[order],
                "time": time[order],
                "kind": pl.Series(kinds[item[order]], dtype=pl.String),
                "label": label[order].astype(np.int8),
                "position": position[order] + 1,
                "device": pl.Series(np.array(_DEVICES)[device[session[order]]], dtype=pl.String),
                "hour": pl.Series(np.full(len(order), f"{hour % 24:02d}"), dtype=pl.String),
            }
        )


def _fill(
    rng: np.random.Generator,
    user: NDArray[np.int64],
    live: slice,
    weight: NDArray[np.float64],
    clicked: NDArray[np.int64],
    n_items: int,
    length: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Lists of distinct unclicked items for `user`: (session row, position from 0, item row), each int64[shown].

    Drawing with replacement and skipping what is already there is drawing without; three draws a position nearly
    always fill the list, else it is shorter.
    """
    if not len(weight) or not len(user):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    steps = np.cumsum(weight)
    drawn = live.start + np.searchsorted(steps[:-1], rng.random((len(user), 3 * length)) * steps[-1], side="right")
    order = np.argsort(drawn, axis=1, kind="stable")
    in_order = np.take_along_axis(drawn, order, axis=1)
    first = np.ones(drawn.shape, bool)
    first[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
    usable = np.empty_like(first)
    np.put_along_axis(usable, order, first, axis=1)
    if len(clicked):
        keys = user[:, None] * n_items + drawn
        at = np.minimum(np.searchsorted(clicked, keys), len(clicked) - 1)
        usable &= clicked[at] != keys
    position = np.cumsum(usable, axis=1) - 1
    session, column = np.nonzero(usable & (position < length))
    return session, position[session, column], drawn[session, column]


def _write(path: Path, frames: Iterator[pl.DataFrame]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for frame in frames:
            table: pa.Table = frame.to_arrow()
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
