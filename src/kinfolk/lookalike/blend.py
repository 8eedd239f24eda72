"""What is learned once both stages are: how much co-clicks count beside RALM's score (`learn_weight`, on episodes of
held-out items, decision 7), and from whom a crowd is told apart (`learn_background`, decision 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import View
from kinfolk.lookalike.background import USERS, Background
from kinfolk.lookalike.coclick import co_clicks
from kinfolk.lookalike.episodes import Episode, Episodes
from kinfolk.lookalike.episodic import split_items
from kinfolk.lookalike.score import score_users
from kinfolk.lookalike.weights import Weights
from kinfolk.represent.embed import embed
from kinfolk.represent.inputs import kept
from kinfolk.represent.represented import Represented
from kinfolk.schema import Schema

SHARE = 0.4
"""Co-clicks spread the users of a question this share as wide as RALM's score does, on all data (decision 7)."""
EPISODES = 160


@dataclass(frozen=True)
class Learned:
    """weight: of the co-clicks. auc: mean over episodes with it. auc_without: by RALM's score alone."""

    weight: float
    auc: float
    auc_without: float


def learn_weight(represented: Represented, weights: Weights, episodes: Episodes, *, seed: int) -> Learned:
    """The weight that gives co-clicks their share: `SHARE` times the median ratio of the two standard deviations.

    It is not chosen by the AUC of these episodes. Stage 1 has met their clicks, so that RALM's score holds what
    co-clicks could add; and no item in their histories is younger than the model, as many will be when it serves.

    Args:
        represented, weights: both stages, trained on `episodes` with `seed`.
        episodes: those of training.
        seed: of the draw.

    Returns:
        weight 0 where nobody shares anything.
    """
    held_out = split_items(episodes, seed)[1]
    rng = np.random.default_rng([seed, 10])
    asked = [held_out.draw(rng) for _ in range(EPISODES)]
    seeds, others = [e.seeds for e in asked], [np.concatenate([e.positives, e.negatives]) for e in asked]
    offsets, bounds = _offsets(seeds), _offsets(others)
    crowd = _embedded(represented, weights, episodes.view, seeds, asked)
    users = _embedded(represented, weights, episodes.view, others, asked)
    index = weights.index(weights.snapshots(crowd, np.arange(len(crowd)), offsets, seed=seed))
    found: list[tuple[NDArray[np.float32], NDArray[np.float32], int]] = []
    for i, e in enumerate(asked):
        own = users[bounds[i] : bounds[i + 1]]
        score = score_users(index.take(np.array([i])), own, weights.queries(own))[:, 0]
        seen = episodes.view.log.view(e.now, np.union1d(episodes.view.removed, [e.item]))
        asking = Jagged(e.seeds, np.array([0, len(e.seeds)]))
        shared = view_co_clicks(represented.features.schema, seen, others[i], asking)[:, 0]
        found.append((score, shared, len(e.positives)))
    ratios = [float(score.std() / shared.std()) for score, shared, _ in found if shared.std() > 0]
    weight = SHARE * float(np.median(ratios)) if len(ratios) > EPISODES // 4 else 0.0
    auc = [float(np.mean([_auc(s + w * np.asarray(c), n) for s, c, n in found])) for w in (weight, 0.0)]
    return Learned(weight, *auc)


def learn_background(represented: Represented, weights: Weights, view: View, most: int = USERS) -> Background:
    """Everybody as of `view.now`: the `most` users who clicked last, at least two."""
    newest_first, looked = view.pairs.user[::-1], 2 * most
    users, newest = np.unique(newest_first[:looked], return_index=True)
    while len(users) < most and looked < len(newest_first):
        looked *= 2
        users, newest = np.unique(newest_first[:looked], return_index=True)
    last = users[np.argsort(newest)[:most]]
    return Background.of(weights.transform(embed(represented, view, np.sort(last).astype(np.int32))))


def view_co_clicks(schema: Schema, view: View, users: NDArray[np.int32], seeds: Jagged) -> NDArray[np.float32]:
    """co(u, S) as of `view.now`, of histories as long as a bundle keeps them (`represent.inputs.kept`).

    Args:
        schema: of the model.
        view: what may be seen.
        users: int32[U] rows of the log.
        seeds: C rows of int32 user rows.

    Returns:
        float32[U, C].
    """
    length = max((kept(h) for h in schema.history), default=0)
    if not length:
        return np.zeros((len(users), len(seeds)), np.float32)
    theirs = view.history(np.asarray(seeds.values), length)
    return co_clicks(view.history(users, length), theirs, seeds.offsets, view.support)


def _embedded(
    represented: Represented, weights: Weights, view: View, users: list[NDArray[np.int32]], asked: list[Episode]
) -> NDArray[np.float32]:
    lengths = [len(u) for u in users]
    now = np.repeat([e.now for e in asked], lengths)
    without = np.repeat(np.array([e.item for e in asked], np.int32), lengths)
    return weights.transform(embed(represented, view, np.concatenate(users), now=now, without=without))


def _offsets(rows: list[NDArray[np.int32]]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)


def _auc(scores: NDArray[np.float32], positives: int) -> float:
    above = scores[:positives, None] - scores[None, positives:]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())
