"""The parameters of a world: tastes, what users' and items' fields say about them, who likes what.

A taste is one of K (K - 1) discrete profiles (first topic, second topic), so that sums over everything that is hidden
are sums over a short axis and the oracle can be exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from kinfolk.data.synthetic.config import REGIMES, Config

Floats = NDArray[np.float64]

TOPICS = 12
N_TAGS = 200
STRONG = "section"
WEAK = {  # name -> number of values
    "income": 5,
    "education": 6,
    "carrier": 8,
    "household": 10,
    "language": 12,
    "occupation": 16,
    "phone": 24,
    "province": 32,
    "channel": 48,
    "city": 60,
}
AGES = np.arange(14, 91)
PUBLISHERS = 40
_PARAMETERS = 0  # stream of Config.rng
_STRONG_VALUES = 24
_STRONG_NOISE = 0.35  # share of users whose section has nothing to do with their taste
_WEAK_TILT = 0.15  # share of a weak field's values drawn by taste
_TAGS_MEAN = 3.0
_TAGS_TILT = 0.1
_AGE_SPREAD = 14.0
_PUBLISHER_TILT = 0.3
_CATEGORY_NOISE = 0.3


@dataclass(frozen=True)
class World:
    """Everything fixed about a world but its people and items. P = 132 profiles, K = 12 topics, A kinds of appeal.

    Args:
        config: the config it belongs to.
        profiles: float64[P, K], taste of each profile: 0.7 on its first topic, 0.3 on its second.
        first: int64[P], first topic of each profile.
        prior: float64[P], share of each profile among users.
        fields: name -> float64[P, values], distribution of each categorical user field (and age) given the profile.
        tags: float64[P, 200], probability of carrying each tag given the profile, independent of the other tags.
        appeals: float64[A, K], 1 on the topics an item of that kind appeals to.
        appeal_prior: float64[A], share of each kind among new items.
        interest: float64[A, P], min(1, background + gain * taste . appeal).
        publisher, category: float64[A, 40], float64[A, K], distribution of these item fields given the appeal.
    """

    config: Config
    profiles: Floats
    first: NDArray[np.int64]
    prior: Floats
    fields: dict[str, Floats]
    tags: Floats
    appeals: Floats
    appeal_prior: Floats
    interest: Floats
    publisher: Floats
    category: Floats


def world(config: Config) -> World:
    """Draw the parameters of `config`'s world."""
    rng, regime = config.rng(_PARAMETERS), REGIMES[config.regime]
    prevalence = np.arange(1, TOPICS + 1) ** -0.8
    prevalence /= prevalence.sum()
    first, second = (
        np.array(x) for x in zip(*[(a, b) for a in range(TOPICS) for b in range(TOPICS) if a != b], strict=True)
    )
    companions = rng.dirichlet(np.ones(TOPICS - 1), TOPICS)  # row a: second topics of those whose first is a
    prior = prevalence[first] * companions.reshape(-1)
    profiles = 0.7 * np.eye(TOPICS)[first] + 0.3 * np.eye(TOPICS)[second]

    weak = {name: _Tilted.draw(rng, size, 0.3) for name, size in {**WEAK, STRONG: _STRONG_VALUES}.items()}
    named = np.full((TOPICS, _STRONG_VALUES), _STRONG_NOISE / _STRONG_VALUES)
    per_topic = _STRONG_VALUES // TOPICS
    for topic in range(TOPICS):
        named[topic, topic * per_topic : (topic + 1) * per_topic] += (1 - _STRONG_NOISE) / per_topic
    fields = {STRONG: named[first], **{name: weak[name].table(profiles, _WEAK_TILT) for name in WEAK}}
    if not regime.strong_field:
        share = sum(information(table, prior) for table in fields.values()) / len(fields)
        fields = {name: weak[name].reaching(share, profiles, prior) for name in fields}
    fields["age"] = _ages(rng.uniform(30, 52, TOPICS))[first]
    tags = np.minimum(_TAGS_MEAN * _Tilted.draw(rng, N_TAGS, 0.05).table(profiles, _TAGS_TILT), 0.9)

    liked = np.array(list(combinations(range(TOPICS), regime.liked)))
    appeals = np.zeros((len(liked), TOPICS))
    np.put_along_axis(appeals, liked, 1.0, axis=1)
    single = regime.liked == 1
    appeal_prior = (prevalence + 1 / TOPICS) / 2 if single else np.full(len(appeals), 1 / len(appeals))
    topics = appeals / appeals.sum(axis=1, keepdims=True)
    return World(
        config=config,
        profiles=profiles,
        first=first,
        prior=prior,
        fields=fields,
        tags=tags,
        appeals=appeals,
        appeal_prior=appeal_prior,
        interest=np.minimum(1.0, config.background + config.gain * appeals @ profiles.T),
        publisher=_Tilted.draw(rng, PUBLISHERS, 0.3).table(topics, _PUBLISHER_TILT),
        category=(1 - _CATEGORY_NOISE) * topics + _CATEGORY_NOISE / TOPICS,
    )


def information(table: Floats, prior: Floats) -> float:
    """Mutual information in nats of a hidden class (`prior`: [P]) and a value drawn from `table`: [P, values]."""
    ratio = table / (prior @ table)
    return float(prior @ np.sum(table * np.log(np.where(table > 0, ratio, 1.0)), axis=1))


@dataclass(frozen=True)
class _Tilted:
    """A field that mixes a distribution common to all (base: [V]) with one per topic (topics: [K, V])."""

    base: Floats
    topics: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int, concentration: float) -> _Tilted:
        base = rng.permutation(np.arange(1, size + 1) ** -0.7)
        return cls(base / base.sum(), rng.dirichlet(np.full(size, concentration), TOPICS))

    def table(self, taste: Floats, tilt: float) -> Floats:
        return (1 - tilt) * self.base + tilt * taste @ self.topics

    def reaching(self, nats: float, taste: Floats, prior: Floats) -> Floats:
        """The table whose tilt gives it `nats` of information (tilt 1 where that is not enough)."""
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            enough = information(self.table(taste, middle), prior) >= nats
            low, high = (low, middle) if enough else (middle, high)
        return self.table(taste, high)


def _ages(means: Floats) -> Floats:
    """[K, ages]: a normal distribution cut into years; the first and last year take the tails."""
    edges = (np.append(AGES[1:] - 0.5, np.inf) - means[:, None]) / _AGE_SPREAD
    return np.diff(ndtr(edges), axis=1, prepend=0.0)
