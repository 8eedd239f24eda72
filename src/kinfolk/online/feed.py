"""What to show one user: the feed of all live candidates, and a ranking service's list re-ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import OptionError
from kinfolk.lookalike.rerank import reranked
from kinfolk.lookalike.score import score_pairs
from kinfolk.lookalike.topk import top
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
        score: float32[C], eq. 2; None for a user without an embedding.
        weight: float64[C] of the score. fallback: float64[C]. segment: whose popularity it is.
    """

    final: F32
    score: F32 | None
    weight: F64
    fallback: F64
    segment: str


def embedding(d: Deployment, served: Served, key: int) -> F32 | None:
    """E_u float32[h] of a user with their newest clicks, or None: unknown, or forgotten."""
    if served.is_gone(key):
        return None
    return served.space.embed_live(key, trail(d, key))


def trail(d: Deployment, key: int) -> list[str]:
    """The user's newest clicks, oldest first; none where the settings do not follow users."""
    return d.backend.seeds.trail(key, d.settings.trail_length)[0] if d.settings.follow_users else []


def scores_of(served: Served, table: Table, vector: F32) -> F32:
    """float32[C], eq. 2, in the table's order."""
    query, order = served.weights.queries(vector[None]), table.by_row
    scores = np.empty(len(order), np.float32)
    scores[order] = score_pairs(table.index, vector[None], query, np.zeros(len(order), np.int64), table.rows[order])
    return scores


def blend(d: Deployment, served: Served, table: Table, key: int, vector: F32 | None) -> Blend:
    """Scores where the user has an embedding, popularity for the rest, as ralm.md §4 says."""
    segment = "" if served.is_gone(key) else served.segment(key)
    n0 = d.settings.blend_n0
    if vector is None:
        place = d.popularity.places(table.ids, segment, d.clock())
        return Blend(place.astype(np.float32), None, np.zeros(len(place)), place, segment)
    score = scores_of(served, table, vector)
    exact = score.astype(np.float64)
    if n0 == 0 or not len(exact):
        return Blend(score, score, np.ones(len(exact)), exact, segment)
    fallback = on_the_scale_of(exact, d.popularity.places(table.ids, segment, d.clock()))
    final = (table.weight * exact + (1 - table.weight) * fallback).astype(np.float32)
    return Blend(final, score, table.weight, fallback, segment)


def feed(d: Deployment, user: str, n: int, offset: int = 0, explain: bool = False) -> Feed:
    """The best live candidates of a user; see `Engine.feed`."""
    s = d.settings
    check_id(user, "the user", s.max_id_length)
    check_page(n, offset, s.max_page, s.max_offset)
    served = d.served()
    version, table, key = served.index.cursor, served.table(), d.key(user)
    vector = embedding(d, served, key)
    mixed = blend(d, served, table, key, vector)
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
            )
        )
    return Feed(tuple(items), served.model, version, vector is not None, len(table.ids))


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
    vector = embedding(d, served, d.key(user))
    place = np.array([table.place.get(item, -1) for item in ids], np.int64)
    score = np.full(len(items), np.nan, np.float32)
    there = np.flatnonzero(place >= 0)
    if vector is not None and len(there):
        query = served.weights.queries(vector[None])
        rows = table.rows[place[there]]
        score[there] = score_pairs(table.index, vector[None], query, np.zeros(len(rows), np.int64), rows)
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
