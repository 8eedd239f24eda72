"""The click-through ranker of both arms: an item's own rate, smoothed and forgetting, times what a logistic model says
of this user's fields for the item's category; learned on line from every impression of both arms.

    logit pctr(u, i) = logit(rate of i) + Σ_f W[category of i, value of u in field f]

The rate of i counts clicks over impressions weighted by how much a position is looked at (learned from the warm-up's
lists, which are in random order), halves what it knows every `half_life` hours because items age, and starts at the
average. It reads the users' fields and the items' categories as any ranker would, and nothing of the truth.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.log import Codes, Log, Numbers
from kinfolk.simulate.shown import Shown

Float = NDArray[np.float64]
_BINS = 8  # of a continuous field


@dataclass(frozen=True)
class RankerConfig:
    """Choices of the ranker.

    Args:
        prior: impressions at the average rate that every item starts with.
        half_life: hours after which an impression counts half.
        lr: learning rate of AdaGrad.
        decay: of the weights, a step.
    """

    prior: float = 20.0
    half_life: float = 6.0
    lr: float = 0.05
    decay: float = 1e-4


class Ranker:
    """State of the ranker; `learn` changes it, `copy` gives one that goes its own way.

    Args:
        log: fields of users and items; its events are not read here.
        positions: length of a list.
        config: choices.
    """

    def __init__(self, log: Log, positions: int, config: RankerConfig | None = None) -> None:
        self.config = config or RankerConfig()
        self.fields, n_values = _user_fields(log)
        category = log.items["category"]
        assert isinstance(category, Codes)
        self.category = category.codes.astype(np.int64)
        self.weights = np.zeros((len(category.values) + 1, n_values))
        self.squares = np.full(self.weights.shape, 1e-2)
        self.clicks, self.views = np.zeros(log.n_items), np.zeros(log.n_items)
        self.average, self.looked_at = 0.1, np.ones(positions)

    def copy(self) -> Ranker:
        """An independent ranker that knows the same."""
        return copy.deepcopy(self)

    def warm(self, shown: Shown, steps_an_hour: int) -> None:
        """Learn from the warm-up: positions and the average first, then everything in order of time."""
        at = shown.position
        rate = np.bincount(at, shown.clicked, len(self.looked_at)) / np.maximum(
            np.bincount(at, None, len(self.looked_at)), 1
        )
        if rate[0] > 0:
            self.looked_at = np.maximum(rate / rate[0], 0.01)
        self.average = float(np.clip(shown.clicked.sum() / max(self.looked_at[at].sum(), 1.0), 1e-4, 0.9))
        for part in shown.split(steps_an_hour):
            self.learn(part, steps_an_hour)

    def pctr(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> Float:
        """Chance of a click at the first position: float64[users, items]."""
        taste = self.weights[:, self.fields[users]].sum(axis=-1)  # [categories, users]
        return _sigmoid(_logit(self.rate(items))[None] + taste[self.category[items]].T)

    def rate(self, items: NDArray[np.int64]) -> Float:
        """Smoothed clicks per look, whoever looks: float64[items]."""
        prior = self.config.prior
        return (self.clicks[items] + prior * self.average) / (self.views[items] + prior)

    def learn(self, shown: Shown, steps: int = 1) -> None:
        """Impressions of `steps` steps."""
        c, seen = self.config, self.looked_at[shown.position]
        category, fields = self.category[shown.item], self.fields[shown.user]
        taste = self.weights[category[:, None], fields].sum(axis=1)
        p = np.minimum(seen * _sigmoid(_logit(self.rate(shown.item)) + taste), 0.99)
        flat = (category[:, None] * self.weights.shape[1] + fields).reshape(-1)
        pull: Float = np.repeat(shown.clicked - p, fields.shape[1])
        gradient = np.bincount(flat, pull, self.weights.size).reshape(self.weights.shape)
        self.squares += gradient**2
        self.weights = (1 - c.decay * steps) * self.weights + c.lr * gradient / np.sqrt(self.squares)
        kept = 0.5 ** (steps / (12 * c.half_life))
        self.clicks = kept * self.clicks + np.bincount(shown.item, shown.clicked, len(self.clicks))
        self.views = kept * self.views + np.bincount(shown.item, seen, len(self.views))


def _user_fields(log: Log) -> tuple[NDArray[np.int64], int]:
    """int64[users, fields]: a column of the weights for the value of every field, missing being a value of its own."""
    columns, used = [], 0
    for column in log.users.values():
        if isinstance(column, Codes):
            codes, size = column.codes.astype(np.int64), len(column.values) + 1
        elif isinstance(column, Numbers):
            numbers = np.asarray(column.numbers, np.float64)
            there = ~np.isnan(numbers)
            edges = np.quantile(numbers[there], np.arange(1, _BINS) / _BINS) if there.any() else np.zeros(0)
            codes, size = np.where(there, 1 + np.searchsorted(edges, numbers), 0), _BINS + 1
        else:
            continue  # the tags of a user are left to the look-alike model
        columns.append(used + codes)
        used += size
    return np.stack(columns, axis=1), used


def _logit(p: Float) -> Float:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)))


def _sigmoid(x: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-x)))
