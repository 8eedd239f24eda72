"""The users and items of a world, drawn from its tables: what is hidden (`Truth`) and what can be seen of them.

The hidden part never enters a table: whoever wants it must ask for `truth` by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.data.synthetic.config import EPOCH, HOUR, REGIMES, Config
from kinfolk.data.synthetic.tables import AGES, Floats, World, world

CHUNK = 16_384  # users drawn at once
_PEOPLE, _FIELDS, _ITEMS = 1, 2, 3  # streams of Config.rng


@dataclass(frozen=True)
class Truth:
    """What no model may see. User and item row r is the one whose id is r. P profiles, A kinds of appeal.

    Args:
        world: the parameters.
        profile: int16[N], taste of each user, a row of `world.profiles`.
        rate: float64[N], sessions a day.
        appeal: int16[M], kind of each item, a row of `world.appeals`; items are in order of birth.
        born: float64[M], seconds since 1970; before `EPOCH` for the initial stock.
        popularity: float64[M], Pareto, >= 1; chance to be shown.
        pull: float64[M] in [0.6, 1], chance to be clicked by somebody interested; rises with popularity.
    """

    world: World
    profile: NDArray[np.int16]
    rate: Floats
    appeal: NDArray[np.int16]
    born: Floats
    popularity: Floats
    pull: Floats

    @property
    def config(self) -> Config:
        """The config this is the truth of."""
        return self.world.config

    def live(self, hour: int) -> tuple[slice, Floats]:
        """Items on show in an hour of the log (the feed is rebuilt on the hour) and their weights, float64[live]."""
        now = EPOCH + hour * HOUR
        oldest = now - self.config.life_hours * HOUR
        low, high = np.searchsorted(self.born, [oldest, now], side="right")
        age = now - self.born[low:high]
        return slice(int(low), int(high)), self.popularity[low:high] * np.exp(-age / (self.config.decay_hours * HOUR))

    @cached_property
    def pace(self) -> Floats:
        """float64[hours, P]: mean interest of a profile in what is on show, weighted by what it would get to see."""
        out = np.ones((self.config.hours, len(self.world.prior)))
        for hour in range(self.config.hours):
            items, weight = self.live(hour)
            if len(weight):
                weight = weight * self.pull[items]
                kinds = np.bincount(self.appeal[items], weight, len(self.world.appeals))
                out[hour] = kinds @ self.world.interest / weight.sum()
        return out

    @cached_property
    def evidence(self) -> NDArray[np.float32]:
        """float32[N, P]: log-likelihood of each user's visible fields, missing ones included, under each profile."""
        return np.concatenate([log_likelihood(self.world, seen) for seen in fields(self)]).astype(np.float32)


def truth(config: Config) -> Truth:
    """Draw the users and items of `config`'s world; cheap, makes no events."""
    w = world(config)
    profile, rate = [], []
    for start in range(0, config.n_users, CHUNK):
        rng, size = config.rng(_PEOPLE, start // CHUNK), min(CHUNK, config.n_users - start)
        profile.append(np.searchsorted(np.cumsum(w.prior)[:-1], rng.random(size), side="right"))
        spread = config.activity_spread
        rate.append(config.sessions_per_day * np.exp(spread * rng.standard_normal(size) - spread**2 / 2))
    rng = config.rng(_ITEMS)
    n_items = int(rng.poisson(config.births_per_hour * (config.hours + config.life_hours)))
    born = EPOCH + HOUR * np.sort(rng.uniform(-config.life_hours, config.hours, n_items))
    appeal = np.searchsorted(np.cumsum(w.appeal_prior)[:-1], rng.random(n_items), side="right")
    rank = rng.random(n_items)  # share of items that are less popular
    return Truth(
        world=w,
        profile=np.concatenate(profile).astype(np.int16),
        rate=np.concatenate(rate),
        appeal=appeal.astype(np.int16),
        born=born,
        popularity=(1 - rank) ** (-1 / config.popularity_shape),
        pull=0.6 + 0.4 * rank,
    )


@dataclass(frozen=True)
class Fields:
    """What is visible of n users.

    Args:
        codes: name -> int64[n], column of the field's table in `World.fields`, -1 = missing.
        tags: bool[n, tags]; no tag at all where the field is missing.
        tenure: float64[n], days since registration, says nothing about taste; NaN = missing.
    """

    codes: dict[str, NDArray[np.int64]]
    tags: NDArray[np.bool_]
    tenure: Floats


def fields(true: Truth) -> Iterator[Fields]:
    """The visible fields of all users, `CHUNK` users at a time."""
    w, config = true.world, true.config
    steps = {name: np.cumsum(table, axis=1)[:, :-1] for name, table in w.fields.items()}
    for start in range(0, config.n_users, CHUNK):
        rng, profile = config.rng(_FIELDS, start // CHUNK), true.profile[start : start + CHUNK]
        codes = {}
        for name, step in steps.items():
            code = np.sum(rng.random(len(profile))[:, None] >= step[profile], axis=1)
            codes[name] = np.where(rng.random(len(profile)) < config.missing, -1, code)
        has_tags = rng.random(len(profile)) >= config.missing
        tags = rng.random((len(profile), w.tags.shape[1]), np.float32) < w.tags[profile]
        tenure = np.floor(rng.exponential(400.0, len(profile)))
        tenure[rng.random(len(profile)) < config.missing] = np.nan
        yield Fields(codes, tags & has_tags[:, None], tenure)


def log_likelihood(w: World, seen: Fields) -> Floats:
    """float64[n, P]: log-likelihood of the visible fields under each profile. A missing field says nothing; having no
    tag says a little, for it may also mean that the field is missing."""
    out = np.zeros((len(seen.tenure), len(w.prior)))
    for name, codes in seen.codes.items():
        there = codes >= 0
        out[there] += np.log(w.fields[name]).T[codes[there]]
    none = np.log1p(-w.tags).sum(axis=1)
    some = seen.tags.any(axis=1)
    out[some] += seen.tags[some].astype(np.float64) @ np.log(w.tags / (1 - w.tags)).T + none
    out[~some] += np.log(w.config.missing + (1 - w.config.missing) * np.exp(none))
    return out


def users(true: Truth) -> Iterator[pl.DataFrame]:
    """The users table, `CHUNK` users at a time."""
    start = 0
    for seen in fields(true):
        columns = {"user_id": pl.Series(np.arange(start, start + len(seen.tenure)))}
        for name, codes in seen.codes.items():
            if name == "age":
                years = pl.Series(AGES[codes], dtype=pl.Float64)
                columns[name] = years.set(pl.Series(codes < 0), None)
            else:
                columns[name] = _named(name, codes, true.world.fields[name].shape[1])
        row, tag = np.nonzero(seen.tags)
        ends = np.searchsorted(row, np.arange(1, len(seen.tenure)))
        names = np.char.add("tag_", tag.astype(str))
        columns["tags"] = pl.Series([list(map(str, t)) for t in np.split(names, ends)], dtype=pl.List(pl.String))
        columns["tenure"] = pl.Series(seen.tenure).fill_nan(None)
        yield pl.DataFrame(columns)
        start += len(seen.tenure)


def items(true: Truth) -> pl.DataFrame:
    """The items table: publisher says little of what an item is about, category more, form nothing."""
    w, rng = true.world, true.config.rng(_ITEMS, 1)
    columns = {"item_id": pl.Series(np.arange(len(true.appeal)))}
    for name, table in (("publisher", w.publisher), ("category", w.category)):
        steps = np.cumsum(table, axis=1)[:, :-1][true.appeal]
        columns[name] = _named(name, np.sum(rng.random(len(steps))[:, None] >= steps, axis=1), table.shape[1])
    columns["form"] = pl.Series(np.where(is_video(true), "video", "article"))
    return pl.DataFrame(columns)


def is_video(true: Truth) -> NDArray[np.bool_]:
    """bool[M]: one item in five is a video; it decides an event's kind and nothing else."""
    return true.config.rng(_ITEMS, 2).random(len(true.appeal)) < 0.2


def appetite(true: Truth) -> float:
    """The regime's factor on click probabilities."""
    return REGIMES[true.config.regime].appetite


def _named(name: str, codes: NDArray[np.int64], size: int) -> pl.Series:
    values = pl.Series([f"{name}_{v}" for v in range(size)])
    return values[codes].set(pl.Series(codes < 0), None)
