"""kinfolk itself among what it is compared with: RALM under a preset, RALM with average, or a trained bundle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared, same
from kinfolk.bundle import Bundle
from kinfolk.data.jagged import Jagged, slices
from kinfolk.data.log import View
from kinfolk.errors import ProtocolError
from kinfolk.lookalike.activity import DEFAULT, bonus, check_activity
from kinfolk.lookalike.blend import kept_lengths, learn_background, view_co_clicks
from kinfolk.lookalike.score import score_users
from kinfolk.lookalike.shrinkage import share_of
from kinfolk.lookalike.trend import SEEDS, features, in_order
from kinfolk.lookalike.weights import Weights
from kinfolk.presets import Preset, preset, with_pooling
from kinfolk.represent.embed import embed
from kinfolk.represent.represented import Represented
from kinfolk.training import OnProgress, learn_users, train_stages

ON_LINE = 3000
"""Those who clicked last are everybody of a moment (decision 10)."""


class Ralm:
    """Both stages trained by `fit`; Liu et al., KDD 2019.

    Args:
        name: of the row in tables.
        seed: of training.
        preset: "kinfolk", "paper" or a `Preset`.
        pooling: "attention", or "average" for RALM with average; None: as the preset says.
        fresh: score histories as of now; None: as the preset says. Static vectors are those at the end of training.
        max_seeds: the newest this many seeds of a candidate are clustered.
        shared: so that methods that differ in stage 2 alone train stage 1 once.
        on_progress: of training.
        activity: what clicking a lot counts for (`lookalike.activity`).
    """

    def __init__(
        self,
        *,
        name: str,
        seed: int,
        preset: str | Preset = "kinfolk",
        pooling: str | None = None,
        fresh: bool | None = None,
        max_seeds: int = 2000,
        shared: Shared | None = None,
        on_progress: OnProgress | None = None,
        activity: str = DEFAULT,
    ) -> None:
        check_activity(activity)
        self.activity = activity
        self.preset = _named(preset) if pooling is None else with_pooling(_named(preset), pooling)
        self.name, self.seed, self.max_seeds, self.on_progress = name, seed, max_seeds, on_progress
        self.shared = shared or Shared()
        self.fresh = self.preset.fresh if fresh is None else fresh
        self.metrics: dict[str, list[dict[str, float]]] = {}
        self.learned_from: View | None = None

    def fit(self, view: View) -> None:
        """Train both stages on what `view` shows; another view of the same changes nothing."""
        if self.learned_from is not None and same(self.learned_from, view):
            return
        p = self.preset
        key = ("users", p.represent, p.seeds_share, p.samples_share, p.judged, p.campaign.min_seeds, self.seed)
        learned = self.shared.get(
            view, key, lambda v: learn_users(v, self.preset, seed=self.seed, on_progress=self.on_progress)
        )
        trained = train_stages(view, self.preset, seed=self.seed, on_progress=self.on_progress, learned=learned)
        self.metrics = trained.metrics
        self._ready(trained.represented, trained.weights, view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[len(users), len(candidates)], eq. 2, and co-clicks by the model's weight."""
        e, crowd, rows, offsets = self.vectors(users, candidates, view)
        weights = self.weights
        if self.fresh and weights.background is not None:  # users, seeds and everybody, all as of now
            weights = weights.with_background(learn_background(self.represented, weights, view, most=ON_LINE))
        snapshot = weights.snapshots(crowd, rows, offsets, seed=self.seed)
        scores = score_users(weights.index(snapshot), e, weights.queries(e))
        schema, seen = self.represented.features.schema, self.seen(view)
        if self.weights.co_click:
            shared = view_co_clicks(schema, seen, users, _newest(candidates.seeds, self.max_seeds))
            scores = scores + np.float32(self.weights.co_click) * shared
        if self.weights.activity is not None:
            scores = scores + bonus(kept_lengths(schema, seen, users), self.weights.activity, self.activity)[:, None]
        return np.asarray(scores, np.float32)

    def seen(self, view: View) -> View:
        """Whose histories count: those as of now, or as of training."""
        return (not self.fresh and self.learned_from) or view

    def vectors(
        self, users: NDArray[np.int32], candidates: Candidates, view: View
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """What `score` compares: E float32[U, h] of the users, and E, rows and offsets of the candidates' seeds."""
        seeds = _newest(candidates.seeds, self.max_seeds)
        if not self.fresh:
            return self.static[users], self.static, seeds.values.astype(np.int64), seeds.offsets
        own = np.repeat(candidates.item, seeds.lengths)
        crowd, rows = self._embed(view, seeds.values.astype(np.int32), own), np.arange(len(seeds.values))
        return self._embed(view, users, None), crowd, rows, seeds.offsets

    def _ready(self, represented: Represented, weights: Weights, view: View) -> None:
        self.represented, self.weights, self.learned_from = represented, weights, view
        everyone = np.arange(view.log.n_users, dtype=np.int32)
        self.static = np.zeros((0, weights.config.h), np.float32) if self.fresh else self._embed(view, everyone, None)

    def _embed(self, view: View, users: NDArray[np.int32], without: NDArray[np.int32] | None) -> NDArray[np.float32]:
        return self.weights.transform(embed(self.represented, view, users, without=without))


class BundleMethod(Ralm):
    """A trained bundle; `fit` only embeds, and refuses a bundle that has seen the test."""

    def __init__(self, bundle: Bundle, *, name: str = "kinfolk", fresh: bool | None = None) -> None:
        known = bundle.provenance.preset if bundle.provenance.preset in ("kinfolk", "paper") else "kinfolk"
        super().__init__(name=name, seed=bundle.provenance.seed, preset=known, fresh=fresh)
        self.bundle = bundle
        self.metrics = dict(bundle.provenance.metrics)

    def fit(self, view: View) -> None:
        """Embed as of `view.now`.

        Raises:
            ProtocolError: the bundle was trained past `view.now` or on an item that `view` hides.
            SchemaError: the log lacks a field the bundle reads.
        """
        p = self.bundle.provenance
        self.bundle.check_schema(view.log.schema)
        if p.trained_until > view.now:
            raise ProtocolError(
                f"the bundle has seen events until {p.trained_until:.0f}, the test starts at {view.now:.0f}",
                f"train it with --until {view.now:.0f}",
            )
        hidden = set(view.log.item_ids[view.removed].tolist()) - set(p.removed_items)
        if hidden:
            raise ProtocolError(
                f"the bundle has seen {len(hidden)} of the simulated new items, {min(hidden)!r} among them",
                "train it with --hold-out-items, or use --fit",
            )
        self._ready(self.bundle.represented, self.bundle.weights, view)


class WithActivity:
    """RALM's score with another choice of activity (`lookalike.activity`).

    Args:
        ralm: fitted already, or fitted by `fit`.
        name: of the row.
        last: shared by rows of one model, so that a question put to all of them is scored once.
        activity: what clicking a lot counts for here.
    """

    def __init__(self, ralm: Ralm, name: str, last: _Last, activity: str) -> None:
        self._ralm, self.name, self.fresh, self._last, self._activity = ralm, name, ralm.fresh, last, activity

    def fit(self, view: View) -> None:
        """As `ralm`."""
        self._ralm.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[len(users), len(candidates)]."""
        own = self._ralm
        score, active = self._last.score(users, candidates, view), own.weights.activity
        if active is None or self._activity == own.activity:
            return score
        lengths = kept_lengths(own.represented.features.schema, own.seen(view), users)
        return score + (bonus(lengths, active, self._activity) - bonus(lengths, active, own.activity))[:, None]


def among_new_items(ralm: Ralm) -> list[WithActivity]:
    """One model in a table of new items: as it is under its own name, and with activity let in (`_reach`)."""
    last = _Last(ralm)
    return [
        WithActivity(ralm, name, last, a) for name, a in ((ralm.name, ralm.activity), (f"{ralm.name}_reach", "reach"))
    ]


class InFeed:
    """What a feed is ordered by: RALM's score as a logit, and what its items are clicked now (`lookalike.trend`).

    Args:
        ralm: fitted already, or fitted by `fit`. A model without a trend is left as it is.
        name: of the row.
        last: shared by rows of one model, so that a question put to all of them is scored once.
        trend: whether what is clicked now counts; else the score alone.
    """

    fresh = True

    def __init__(self, ralm: Ralm, name: str, last: _Last, *, trend: bool) -> None:
        self.ralm, self.name, self.trend, self._last = ralm, name, trend, last

    def fit(self, view: View) -> None:
        """As `ralm`."""
        self.ralm.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[len(users), len(candidates)], not between -1 and 1."""
        score, trend = self._last.score(users, candidates, view), self.ralm.weights.trend
        if trend is None or not self.trend:
            return score
        rate, weight = features(candidates.times, view.now) @ trend, share_of(candidates.seeds.lengths, SEEDS)
        return in_order(score, weight, rate, scale=self.ralm.weights.scale).astype(np.float32)


def in_feed(ralm: Ralm) -> list[InFeed]:
    """One model in a table of feeds: with the trend under its own name, and by its score alone (`_interest`)."""
    last = _Last(ralm)
    return [InFeed(ralm, ralm.name, last, trend=True), InFeed(ralm, f"{ralm.name}_interest", last, trend=False)]


class _Last:
    """The newest answer of a model, given again to the same question: the very same arrays."""

    def __init__(self, ralm: Ralm) -> None:
        self._ralm = ralm
        self._asked: tuple[object, ...] = ()
        self._said = np.zeros((0, 0), np.float32)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        asked = (self._ralm.weights, users, candidates, view)
        if len(self._asked) != len(asked) or any(a is not b for a, b in zip(self._asked, asked, strict=True)):
            self._asked, self._said = asked, self._ralm.score(users, candidates, view)
        return self._said


def _named(chosen: str | Preset) -> Preset:
    return preset(chosen) if isinstance(chosen, str) else chosen


def _newest(seeds: Jagged, most: int) -> Jagged:
    return slices(seeds.values, np.maximum(seeds.offsets[:-1], seeds.offsets[1:] - most), seeds.offsets[1:])
