"""Why: the parts of one user's score against one candidate, and what a candidate's crowd looks like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.attend import EPSILON
from kinfolk.lookalike.background import SHARE
from kinfolk.online.answers import Cluster, ClusterPart, Clusters, ConflictError, Explanation, NotFoundError
from kinfolk.online.checks import check_id
from kinfolk.online.deployment import Deployment
from kinfolk.online.feed import asking, blend, co_click_part, trail
from kinfolk.online.served import Served

F64 = NDArray[np.float64]


def explain(d: Deployment, user: str, candidate: str) -> Explanation:
    """Every part of the score and of the feed's blend; see `Engine.explain`."""
    check_id(user, "the user", d.settings.max_id_length)
    check_id(candidate, "the candidate", d.settings.max_id_length)
    served = d.served()
    d.live(candidate)
    table, key = served.table(), d.key(user)
    row = table.place.get(candidate)
    if row is None:
        raise ConflictError(f"candidate {candidate!r} has no seed with an embedding", "post seeds that the model knows")
    who = asking(d, served, key)
    if who is None:
        raise NotFoundError("the user has no embedding", "PUT the user's features, or check the id")
    mixed = blend(d, served, table, key, who)
    assert mixed.score is not None  # there is a vector
    index = table.index.take(table.rows[row : row + 1])
    n = int(index.n_valid[0])
    crowd, sizes = index.centroids[0, :n].astype(np.float64), index.sizes[0, :n]
    x = who.vector.astype(np.float64)
    unit = x / max(float(np.linalg.norm(x)), EPSILON)
    query = served.weights.queries(who.vector[None])[0].astype(np.float64)
    weight = _softmax(index.temperature * np.tanh(crowd @ query) + index.bias[0, :n])
    local = weight @ crowd
    beta = float(index.local[0]) * float(local @ unit) / max(float(np.linalg.norm(local)), EPSILON)
    straight = float(index.linear[0].astype(np.float64) @ unit) + float(index.offset[0])
    alpha = _alpha_part(served, candidate, unit)
    cosine = crowd @ unit / np.maximum(np.linalg.norm(crowd, axis=1), EPSILON)
    order = np.argsort(-weight, kind="stable")
    parts = tuple(ClusterPart(int(sizes[j]), float(weight[j]), float(cosine[j])) for j in order)
    nearest = np.argsort(-cosine[order], kind="stable")[:3]
    return Explanation(
        user=user,
        candidate=candidate,
        model=served.model,
        score=float(mixed.score[row]),
        alpha_part=alpha,
        beta_part=beta,
        discriminant_part=straight - alpha,
        co_click_part=float(co_click_part(served, table, who, table.rows[row : row + 1])[0]),
        probability=float(served.weights.probability(mixed.score[row : row + 1])[0]),
        fields=served.space.field_weights(key, trail(d, key)),
        clusters=parts,
        nearest=tuple(int(j) for j in nearest),
        weight=float(mixed.weight[row]),
        fallback=float(mixed.fallback[row]),
        trend=None if mixed.trend is None else float(mixed.trend[row]),
        final=float(mixed.final[row]),
        segment=mixed.segment,
        seeds=int(table.seeds[row]),
    )


def _alpha_part(served: Served, candidate: str, unit: F64) -> float:
    """What the global cosine adds to the score."""
    shown = served.facts(candidate)
    assert shown is not None  # it is in the table
    overall = shown.global_embedding.astype(np.float64)
    cosine = float(overall @ unit) / max(float(np.linalg.norm(overall)), EPSILON)
    rest = 1.0 if served.weights.background is None else 1 - SHARE
    return rest * served.weights.config.alpha * cosine


def clusters(d: Deployment, candidate: str) -> Clusters:
    """The crowd of a candidate; see `Engine.clusters`."""
    check_id(candidate, "the candidate", d.settings.max_id_length)
    served = d.served()
    d.live(candidate)
    snapshot = served.snapshot(candidate)
    if snapshot is None:
        raise ConflictError(f"candidate {candidate!r} has no seed with an embedding", "post seeds that the model knows")
    order = np.argsort(-snapshot.sizes, kind="stable")[: int((snapshot.sizes > 0).sum())]
    sizes = snapshot.sizes[order]
    crowd = snapshot.centroids[order].astype(np.float64)
    unit = crowd / np.maximum(np.linalg.norm(crowd, axis=1), EPSILON)[:, None]
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    found = []
    for j in range(len(order)):
        near = int(alike[j].argmax()) if len(order) > 1 else None
        found.append(
            Cluster(
                int(sizes[j]),
                float(sizes[j] / sizes.sum()),
                near,
                None if near is None else float(alike[j, near]),
            )
        )
    return Clusters(
        candidate, snapshot.model, snapshot.made_at, snapshot.seeds_seen, snapshot.seeds_used, snapshot.inertia,
        tuple(found),
    )  # fmt: skip


def _softmax(logits: F64) -> F64:
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())
