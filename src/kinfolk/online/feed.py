"""What to show one user: the feed of all live candidates, and a ranking service's list re-ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import OptionError
from kinfolk.lookalike.coclick import score_profiles
from kinfolk.lookalike.rerank import reranked
from kinfolk.lookalike.score import score_pairs
from kinfolk.lookalike.topk import top
from kinfolk.lookalike.trend import in_order
from kinfolk.online.answers import Feed, Ranked, Scored
from kinfolk.online.checks import check_count, check_id, check_ids, check_page, check_pctr
from kinfolk.online.deployment import Deployment
from kinfolk.online.fallback import on_the_scale_of
from kinfolk.online.served import Served, Table

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Blend:
    """All candidates of a table for one user.

    Args:
        final: float32[C], what the feed is ordered by.
        score: float32[C], eq. 2 and what else the model's score knows; None for a user without an embedding.
        weight: float64[C] of the score. fallback: float64[C]. segment: whose popularity it is.
        trend: float64[C]; None for a model that knows none.
    """

    final: F32
    score: F32 | None
    weight: F64
    fallback: F64
    segment: str
    trend: F64 | None = None


@dataclass(frozen=True)
class Asking:
    """A user with their newest clicks: E_u float32[h], and int32[m] distinct numbers of items; none for a model whose
    score knows no co-clicks."""

    vector: F32
    items: NDArray[np.int32]


def asking(d: Deployment, served: Served, key: int) -> Asking | None:
    """None for a user without an embedding, and for one who was forgotten."""
    if served.is_gone(key):
        return None
    clicked = trail(d, key)
    vector = served.space.embed_live(key, clicked)
    if vector is None:
        return None
    items = served.space.items_of(key, clicked) if served.space.co_clicks else np.zeros(0, np.int32)
    return Asking(vector, items)


def trail(d: Deployment, key: int) -> list[str]:
    """The user's newest clicks, oldest first; none where the settings do not follow users."""
    return d.backend.seeds.trail(key, d.settings.trail_length)[0] if d.settings.follow_users else []


def scores_of(served: Served, table: Table, user: Asking) -> F32:
    """float32[C], in the table's order."""
    scores = np.empty(len(table.by_row), np.float32)
    scores[table.by_row] = scores_at(served, table, user, table.rows[table.by_row])
    return scores


def scores_at(served: Served, table: Table, user: Asking, rows: NDArray[np.int64]) -> F32:
    """float32[n], eq. 2 and what else the model's score knows, of candidates in rows int64[n] of the index."""
    query = served.weights.queries(user.vector[None])
    scores = score_pairs(table.index, user.vector[None], query, np.zeros(len(rows), np.int64), rows)
    return np.asarray(scores + co_click_part(served, table, user, rows), np.float32)


def co_click_part(served: Served, table: Table, user: Asking, rows: NDArray[np.int64]) -> F32:
    """float32[n], what co-clicks add to the score."""
    crowds = table.crowds
    shared = score_profiles(crowds.items, crowds.item_weights, crowds.sieve, rows, user.items)
    return np.asarray(np.float32(served.weights.co_click) * shared, np.float32)


def blend(d: Deployment, served: Served, table: Table, key: int, user: Asking | None) -> Blend:
    """Scores where the user has an embedding, popularity for the rest, as ralm.md §4 says; with a model that knows a
    trend, scores as logits beside it (`lookalike.trend.in_order`), and for strangers of no segment the trend alone."""
    segment = "" if served.is_gone(key) else served.segment(key)
    n0, now = d.settings.blend_n0, d.clock()
    trend = served.trends(table, now) if d.settings.trend else None
    if user is None:
        place = trend if trend is not None and not segment else d.popularity.places(table.ids, segment, now)
        return Blend(place.astype(np.float32), None, np.zeros(len(place)), place, segment, trend)
    score = scores_of(served, table, user)
    exact = score.astype(np.float64)
    if trend is not None:
        final = in_order(exact, table.weight, trend, scale=served.weights.scale).astype(np.float32)
        mean = np.full(len(exact), exact.mean() if len(exact) else 0.0)
        return Blend(final, score, table.weight, mean, segment, trend)
    if n0 == 0 or not len(exact):
        return Blend(score, score, np.ones(len(exact)), exact, segment)
    fallback = on_the_scale_of(exact, d.popularity.places(table.ids, segment, now))
    final = (table.weight * exact + (1 - table.weight) * fallback).astype(np.float32)
    return Blend(final, score, table.weight, fallback, segment)


def feed(d: Deployment, user: str, n: int, offset: int = 0, explain: bool = False) -> Feed:
    """The best live candidates of a user; see `Engine.feed`."""
    s = d.settings
    check_id(user, "the user", s.max_id_length)
    check_page(n, offset, s.max_page, s.max_offset)
    served = d.served()
    version, table, key = served.index.cursor, served.table(), d.key(user)
    who = asking(d, served, key)
    mixed = blend(d, served, table, key, who)
    rows = top(mixed.final, offset + n)[offset:]  # equal ones by id, in every process
    probability = None if mixed.score is None else served.weights.probability(mixed.score[rows])
    items = []
    for at, row in enumerate(rows.tolist()):
        items.append(
            Scored(
                table.ids[row],
                float(mixed.final[row]),
                None if mixed.score is None else float(mixed.score[row]),
                None if probability is None else float(probability[at]),
                float(mixed.weight[row]) if explain else None,
                float(mixed.fallback[row]) if explain else None,
                float(mixed.trend[row]) if explain and mixed.trend is not None else None,
            )
        )
    return Feed(tuple(items), served.model, version, who is not None, len(table.ids))


def rank(
    d: Deployment, user: str, items: Sequence[tuple[str, float]], lam: float | None = None, explain: bool = False
) -> list[Ranked]:
    """A list with its own pCTR in the order of `reranked`; see `Engine.rank`."""
    s = d.settings
    check_id(user, "the user", s.max_id_length)
    check_count(len(items), s.max_rank_items, "items")
    weight = s.lam if lam is None else float(lam)
    if not np.isfinite(weight):
        raise OptionError(f"lam is {weight}", "give a finite number")
    ids = [item for item, _ in items]
    pctr = np.array([check_pctr(p, row) for row, (_, p) in enumerate(items)], np.float64)
    check_ids(ids, "the item", s.max_id_length)
    served = d.served()
    table = served.table()
    who = asking(d, served, d.key(user))
    place = np.array([table.place.get(item, -1) for item in ids], np.int64)
    score = np.full(len(items), np.nan, np.float32)
    there = np.flatnonzero(place >= 0)
    if who is not None and len(there):
        score[there] = scores_at(served, table, who, table.rows[place[there]])
    exact, scored = score.astype(np.float64), ~np.isnan(score)
    final = reranked(pctr, exact, weight)
    columns = [ids, pctr.tolist(), _or_none(exact, scored), final.tolist()]
    if explain:
        seeds = np.zeros(len(items), np.int64)
        seeds[there] = table.seeds[place[there]]
        columns += [_or_none(served.weights.probability(score), scored), _or_none(seeds, scored)]
    told = list(zip(*columns, strict=True))
    return [Ranked(*told[i]) for i in np.argsort(-final, kind="stable").tolist()]  # equal ones stay as they came


def _or_none(values: NDArray[np.generic], there: NDArray[np.bool_]) -> list[object]:
    return [v if t else None for v, t in zip(values.tolist(), there.tolist(), strict=True)]
