"""What is learned once both stages are: what co-clicks and activity count for beside RALM's score (`learn_weight`, on
episodes of held-out items, decisions 7 and 12), whom a crowd is told apart from (`learn_background`, decision 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import View
from kinfolk.lookalike.activity import Active
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

RECENT = 0.2
"""Newness is that of the last so many clicks of the log."""
EPISODES = 160


@dataclass(frozen=True)
class Learned:
    """weight: of the co-clicks. auc: mean over episodes with it. auc_without: by RALM's score alone. bias: of the
    logit, so that its sigmoid is a probability. active: what one dose of activity is."""

    weight: float
    auc: float
    auc_without: float
    bias: float
    active: Active


def learn_weight(represented: Represented, weights: Weights, episodes: Episodes, *, seed: int) -> Learned:
    """The weight of co-clicks: the log's `newness` times the median ratio of the two standard deviations, so that where
    every click goes to a new item they spread the users of a question as wide as RALM's score does; and the unit of
    activity, the median ratio of the standard deviations of the score with co-clicks and of log activity.

    The first is not chosen by the AUC of these episodes. Stage 1 has met their clicks, so that RALM's score holds what
    co-clicks could add; and no item in their histories is younger than the model, as many will be when it serves.

    Args:
        represented, weights: both stages, trained on `episodes` with `seed`.
        episodes: those of training.
        seed: of the draw.

    Returns:
        weight 0 where nobody shares anything, unit 0 where all are equally active.
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
    active: list[NDArray[np.float64]] = []
    for i, e in enumerate(asked):
        own = users[bounds[i] : bounds[i + 1]]
        score = score_users(index.take(np.array([i])), own, weights.queries(own))[:, 0]
        seen = episodes.view.log.view(e.now, np.union1d(episodes.view.removed, [e.item]))
        asking = Jagged(e.seeds, np.array([0, len(e.seeds)]))
        shared = view_co_clicks(represented.features.schema, seen, others[i], asking)[:, 0]
        found.append((score, shared, len(e.positives)))
        active.append(np.log1p(kept_lengths(represented.features.schema, seen, others[i])))
    ratios = [float(score.std() / shared.std()) for score, shared, _ in found if shared.std() > 0]
    share = newness(episodes.view, episodes.window)
    weight = share * float(np.median(ratios)) if len(ratios) > EPISODES // 4 else 0.0
    auc, alone = (float(np.mean([_auc(s + w * np.asarray(c), n) for s, c, n in found])) for w in (weight, 0.0))
    doses = [float((s + weight * c).std() / a.std()) for (s, c, _), a in zip(found, active, strict=True) if a.std() > 0]
    unit = float(np.median(doses)) if doses else 0.0
    came = np.concatenate([s[:p] + weight * c[:p] for s, c, p in found])
    stayed = np.concatenate([s[p:] + weight * c[p:] for s, c, p in found])
    bias = even_bias(weights.scale * came, weights.scale * stayed)
    return Learned(weight, auc, alone, bias, Active(unit, float(np.concatenate(active).mean())))


def even_bias(came: NDArray[np.floating], stayed: NDArray[np.floating]) -> float:
    """b with mean sigmoid(came + b) + mean sigmoid(stayed + b) = 1: both kinds count as half, whatever their numbers.

    A logistic regression with balanced classes and the slope given ends there. Found by halving, to 1e-9.

    Args:
        came, stayed: logits of those who clicked and of those who did not.
    """
    most = float(max(np.abs(came).max(), np.abs(stayed).max())) + 1
    low, high = -most, most
    while high - low > 1e-9:
        b = (low + high) / 2
        over = sum(float((1 / (1 + np.exp(-(x.astype(np.float64) + b)))).mean()) for x in (came, stayed)) - 1
        low, high = (low, b) if over > 0 else (b, high)
    return (low + high) / 2


def newness(view: View, window: float) -> float:
    """The share of the last clicks that went to items first clicked less than `window` seconds before: 0 to 1.

    Where it is high a model soon meets histories of items that it has never seen, which co-clicks know.
    """
    item, time = view.pairs.item, view.pairs.time
    if not len(item):
        return 0.0
    born = np.full(view.log.n_items, np.inf)
    np.minimum.at(born, item, time)
    last = slice(-max(round(RECENT * len(item)), 1), None)
    return float(np.mean(time[last] - born[item[last]] < window))


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
    length = _kept(schema)
    if not length:
        return np.zeros((len(users), len(seeds)), np.float32)
    theirs = view.history(np.asarray(seeds.values), length)
    return co_clicks(view.history(users, length), theirs, seeds.offsets, view.support)


def kept_lengths(schema: Schema, view: View, users: NDArray[np.int32]) -> NDArray[np.int64]:
    """int64[U], items in the histories of users as of `view.now`, of those that a bundle keeps."""
    return np.asarray(view.history(users, max(_kept(schema), 1)).lengths, np.int64)


def _kept(schema: Schema) -> int:
    return max((kept(h) for h in schema.history), default=0)


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
