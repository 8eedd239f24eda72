"""What kind of world to make: `Config`, and the three regimes that differ in one thing each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kinfolk.errors import OptionError

RegimeName = Literal["one_taste", "many_taste", "balanced"]

EPOCH = 1_767_571_200
"""Seconds since 1970 of every feed's first hour: 2026-01-05 00:00 UTC, a Monday."""

HOUR = 3600


@dataclass(frozen=True)
class Regime:
    """Where the regimes differ.

    liked: how many topics an item appeals to, all equally.
    strong_field: True if one field nearly names the user's taste; False spreads the same information over all fields.
    appetite: factor on every click probability, so that the regimes yield about equally many clicks.
    """

    liked: int
    strong_field: bool
    appetite: float


REGIMES: dict[str, Regime] = {
    "one_taste": Regime(liked=1, strong_field=True, appetite=1.0),
    "many_taste": Regime(liked=3, strong_field=True, appetite=0.5),
    "balanced": Regime(liked=1, strong_field=False, appetite=1.0),
}


@dataclass(frozen=True)
class Config:
    """A world. Equal configs make equal feeds, bit for bit.

    Args:
        seed: everything that is drawn depends on it: the field tables, the users, the items and the clicks.
        regime: "one_taste", "many_taste" or "balanced", see `REGIMES`.
        n_users: people who may come on line.
        days: length of the log in days of 24 hours, from `EPOCH` on.
        births_per_hour: new items an hour, on average (a Poisson process that began `life_hours` before the log).
        life_hours: an item older than this is shown no more.
        decay_hours: an item's chance to be shown falls by the factor e in this time.
        popularity_shape: shape of the Pareto distribution of popularity; smaller means a heavier head.
        sessions_per_day: how often the average user comes on line.
        activity_spread: standard deviation of the logarithm of a user's own rate.
        list_length: positions filled in a session.
        position_decay: the chance that position p = 1, 2, ... is looked at is p to the minus this.
        background: interest in an item that has nothing to do with one's taste, > 0.
        gain: added interest for a whole match of taste; interest never exceeds 1.
        missing: share of users that lack a field, for each field on its own.

    Raises:
        OptionError: an unknown regime, or a number out of its range.
    """

    seed: int = 0
    regime: RegimeName = "one_taste"
    n_users: int = 20_000
    days: int = 8
    births_per_hour: float = 8.0
    life_hours: int = 48
    decay_hours: float = 12.0
    popularity_shape: float = 1.8
    sessions_per_day: float = 2.4
    activity_spread: float = 1.0
    list_length: int = 10
    position_decay: float = 0.4
    background: float = 0.08
    gain: float = 1.2
    missing: float = 0.1

    def __post_init__(self) -> None:
        if self.regime not in REGIMES:
            raise OptionError(f"regime is {self.regime!r}", f"use one of {', '.join(REGIMES)}")
        positive = ("n_users", "days", "births_per_hour", "life_hours", "decay_hours", "popularity_shape")
        for name in (*positive, "sessions_per_day", "list_length", "background"):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} is {getattr(self, name)!r}", "give a number above 0")
        if self.seed < 0 or not 0 <= self.missing < 1 or self.background >= 1 or self.gain < 0:
            raise OptionError(
                f"seed {self.seed}, missing {self.missing}, background {self.background}, gain {self.gain}",
                "give seed >= 0, 0 <= missing < 1, background < 1 and gain >= 0",
            )

    @classmethod
    def small(cls, seed: int = 0, regime: RegimeName = "one_taste") -> Config:
        """2,000 users, 4 days, some 17,000 clicks: for tests, made in under a second."""
        return cls(seed=seed, regime=regime, n_users=2_000, days=4, births_per_hour=2.0)

    @property
    def hours(self) -> int:
        """Length of the log in hours."""
        return self.days * 24

    @property
    def end(self) -> float:
        """Seconds since 1970 at which the log ends."""
        return float(EPOCH + self.hours * HOUR)

    def rng(self, stream: int, index: int = 0) -> np.random.Generator:
        """A generator of its own for each purpose (`stream`) and chunk (`index`), so that no part shifts another."""
        return np.random.default_rng([self.seed, stream, index])
