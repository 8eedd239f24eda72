"""A feed with known truth whose rates are a real log's: `World`. Tastes, fields and items are the synthetic feed's
(`kinfolk.data.synthetic`, which stays as it is); who comes when, what ages how and what is clicked follow a
`ClickModel`. Somebody shown item i at position p = 1, 2, ... clicks it with probability

    level · appetite(visit) · p^-position_decay · (popularity · pull of age)^liking · interest(taste, appeal) · again

where `again` is `ClickModel.repeat` for what they clicked on an earlier visit, else 1, and the level makes the average
visit to the warm-up's feed click as often as the model says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from kinfolk.data import synthetic
from kinfolk.data.jagged import Jagged
from kinfolk.data.synthetic.config import EPOCH, HOUR, Config, RegimeName
from kinfolk.data.synthetic.inhabitants import Truth
from kinfolk.errors import OptionError
from kinfolk.simulate.chance import uniform
from kinfolk.simulate.click_model import GLOBO, ClickModel

STEP = 300
"""Seconds of a step: what is refreshed every five minutes is refreshed once a step."""
STEPS_AN_HOUR = HOUR // STEP
TAGS = 120

Float = NDArray[np.float64]
Rows = NDArray[np.int64]
_MOST = 0.95  # nobody clicks for certain
_VISITS, _TAGGING = 20, 21  # streams of Config.rng, beside those of the synthetic feed
_CLICK, _APPETITE, _POPULARITY, _LIST, _ORDER, _EXPLORE, _ARM = range(7)  # purposes of `uniform`


@dataclass(frozen=True)
class WorldConfig:
    """What kind of world; equal configs make equal worlds.

    Args:
        seed: of everything drawn.
        users: who may come.
        warm_up_hours: kept as the log to learn from, shown by an editor: at random by popularity and age.
        hours: of the test after it.
        regime: of tastes, see `synthetic.REGIMES`.
        model: rates.
        list_length: positions of a visit's list.
        explored: the last so many positions go to live items at random, in every arm: a ranker that tries nothing new
            learns nothing new.
        position_decay: as in the synthetic feed; a log of clicks does not tell.
        liking: exponent, from 0 to 1: which part of an item's rate in the log is put down to being liked. The rest is
            put down to being shown more, which is the editor's doing in the warm-up and the ranker's in the test.

    Raises:
        OptionError: a number out of its range.
    """

    seed: int = 0
    users: int = 20_000
    warm_up_hours: int = 72
    hours: int = 24
    regime: RegimeName = "one_taste"
    model: ClickModel = GLOBO
    list_length: int = 20
    explored: int = 2
    position_decay: float = 0.4
    liking: float = 0.5

    def __post_init__(self) -> None:
        if self.users < 100:
            raise OptionError(f"{self.users} users", "a world needs 100 at least")
        if self.warm_up_hours < 12 or self.hours < 1:
            raise OptionError(
                f"a warm-up of {self.warm_up_hours} hours and a test of {self.hours}",
                "give the warm-up 12 hours at least and the test 1",
            )
        if not 0 <= self.explored < self.list_length:
            raise OptionError(f"{self.explored} of {self.list_length} positions explored", "leave one to the ranker")
        if not 0 <= self.liking <= 1 or self.position_decay < 0 or self.seed < 0:
            raise OptionError(
                f"liking {self.liking}, position_decay {self.position_decay}, seed {self.seed}",
                "give liking from 0 to 1, position_decay and seed of 0 or more",
            )

    @property
    def births_an_hour(self) -> float:
        """As many as the model says for this traffic, and enough for three lists to differ."""
        m = self.model
        return max(m.births_a_visit * m.visits_a_day * self.users / 24, 3 * self.list_length / m.life_hours)


class World:
    """A world and its truth; users and items are rows that are also their ids.

    Args:
        config: what kind.

    Attributes:
        true: tastes, rates and appeals (`synthetic.Truth`); never shown to a ranker.
        tags: Jagged int64, three distinct tags of every item, from 1.
        warm_steps, steps: the test is the steps from the first to the second.
    """

    def __init__(self, config: WorldConfig) -> None:
        self.config, m = config, config.model
        self.warm_steps = config.warm_up_hours * STEPS_AN_HOUR
        self.steps = self.warm_steps + config.hours * STEPS_AN_HOUR
        own = Config(
            seed=config.seed,
            regime=config.regime,
            n_users=config.users,
            days=math.ceil((config.warm_up_hours + config.hours) / 24),
            births_per_hour=config.births_an_hour,
            life_hours=math.ceil(m.life_hours),
            sessions_per_day=m.visits_a_day,
            activity_spread=m.visits_spread,
            list_length=config.list_length,
            position_decay=config.position_decay,
        )
        drawn = synthetic.truth(own)
        self.items = np.arange(len(drawn.born))
        popularity = np.exp(m.popularity_spread * ndtri(self.uniform(_POPULARITY, self.items)))
        self.true: Truth = replace(drawn, popularity=popularity, pull=np.ones(len(popularity)))
        self.tags = _tags(self.true)
        self.looked_at = np.arange(1, config.list_length + 1) ** -config.position_decay
        self._reach = np.cumsum(self.true.rate)
        self._rhythm = np.array(m.rhythm) / sum(m.rhythm) / STEPS_AN_HOUR

    def uniform(self, purpose: int, *keys: NDArray[np.integer] | int) -> Float:
        """Common random numbers of this world, see `chance.uniform`."""
        return uniform(self.config.seed, purpose, *keys)

    def now(self, step: int) -> float:
        """Seconds since 1970 at which a step begins."""
        return float(EPOCH + step * STEP)

    def live(self, step: int) -> Rows:
        """Items on show, in order of birth."""
        life = self.config.model.life_hours * HOUR
        low, high = np.searchsorted(self.true.born, [self.now(step) - life, self.now(step)], side="right")
        return self.items[low:high]

    def pull(self, items: Rows, step: int) -> Float:
        """Rate that the model gives the items at their age, before taste: popularity · pull of age."""
        hours = (self.now(step) - self.true.born[items]) / HOUR
        return np.asarray(self.true.popularity[items] * self.config.model.pull_of_age(hours), np.float64)

    def arrivals(self, step: int) -> Rows:
        """Who comes in a step: distinct users, the same whatever anybody is shown."""
        rng = self.true.config.rng(_VISITS, step)
        hour = step // STEPS_AN_HOUR % 24
        visits = rng.poisson(self._reach[-1] * self._rhythm[hour])
        return np.unique(np.searchsorted(self._reach[:-1], rng.random(visits) * self._reach[-1], side="right"))

    def editors_list(self, users: Rows, live: Rows, step: int) -> Rows:
        """The warm-up's lists: int64[users, positions], drawn by what of the pull is not liking, in random order."""
        weight = self.pull(live, step) ** (1 - self.config.liking)
        with np.errstate(divide="ignore"):
            draw = np.log(weight) - np.log(-np.log(self.uniform(_LIST, users[:, None], live[None], step)))
        shown = live[best(draw, self.config.list_length)]
        order = np.argsort(self.uniform(_ORDER, users[:, None], shown, step), axis=1)
        return np.take_along_axis(shown, order, axis=1)

    def explored(self, users: Rows, live: Rows, taken: Rows, step: int) -> Rows:
        """int64[users, explored] live items at random that are not among the rows `taken` int64[users, n] of `live`."""
        draw = self.uniform(_EXPLORE, users[:, None], live[None], step)
        np.put_along_axis(draw, taken, -1.0, axis=1)
        return live[best(draw, min(self.config.explored, max(len(live) - taken.shape[1], 0)))]

    def interest(self, users: Rows, items: Rows) -> Float:
        """True interest of taste in appeal; `users` and `items` broadcast."""
        return self.true.world.interest[self.true.appeal[items], self.true.profile[users]]

    def probability(self, users: Rows, shown: Rows, step: int, before: NDArray[np.bool_]) -> Float:
        """Chance of a click: float64[users, positions] for the items `shown` there; `before`: clicked on earlier."""
        again = np.where(before, self.config.model.repeat, 1.0)
        return np.minimum(self.level * again * self._plain(users, shown, step), _MOST)

    def clicks(self, users: Rows, shown: Rows, step: int, before: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """bool[users, positions]: drawn with numbers that belong to user, item and step."""
        return self.uniform(_CLICK, users[:, None], shown, step) < self.probability(users, shown, step, before)

    def arm(self) -> NDArray[np.bool_]:
        """bool[users]: True for the treatment's half, by a keyed hash of the id."""
        return self.uniform(_ARM, np.arange(self.config.users)) < 0.5

    @cached_property
    def level(self) -> float:
        """Solved on lists of the editor, at hours spread over the warm-up's end."""
        plain: list[Float] = []
        for step in range(max(self.warm_steps - 24 * STEPS_AN_HOUR, 0), self.warm_steps, STEPS_AN_HOUR):
            users = self.arrivals(step)[:200]
            live = self.live(step)
            if len(users) and len(live):
                found = self._plain(users, self.editors_list(users, live, step), step)
                plain.append(found)
        if not plain:
            return 1.0
        chances = np.concatenate([p.reshape(-1) for p in plain])
        wanted = self.config.model.clicks_a_visit * sum(map(len, plain))
        low, high = -20.0, 20.0  # of the logarithm
        for _ in range(50):
            middle = (low + high) / 2
            enough = np.minimum(np.exp(middle) * chances, _MOST).sum() >= wanted
            low, high = (low, middle) if enough else (middle, high)
        return math.exp(high)

    def _plain(self, users: Rows, shown: Rows, step: int) -> Float:
        spread = self.config.model.clicks_spread
        appetite = np.exp(spread * ndtri(self.uniform(_APPETITE, users, step)) - spread**2 / 2)
        pull = self.pull(shown, step) ** self.config.liking
        seen = self.looked_at[: shown.shape[1]]
        return np.asarray(appetite[:, None] * seen * pull * self.interest(users[:, None], shown), np.float64)


def best(scores: Float, n: int) -> Rows:
    """Columns of the n largest of every row, largest first: int64[rows, min(n, columns)]."""
    n = min(n, scores.shape[1])
    return np.argsort(-scores, axis=1, kind="stable")[:, :n]


def _tags(true: Truth) -> Jagged:
    """Three distinct tags an item: ten for each topic, most from topics it appeals to."""
    rng, count = true.config.rng(_TAGGING), len(true.appeal)
    topics = true.world.appeals.shape[1]
    liked = true.world.appeals[true.appeal]
    weight = np.repeat(0.8 * liked / liked.sum(axis=1, keepdims=True) + 0.2 / topics, TAGS // topics, axis=1)
    draw = np.log(weight) + rng.gumbel(size=(count, TAGS))
    return Jagged((1 + best(draw, 3)).reshape(-1), np.arange(count + 1) * 3)
