"""P1, seeds -> users: an item is minutes old and has n clickers; which of the users on line now come next?

For candidate c and n: seeds are its first n clickers since T1, t_n the time of the n-th. Universe: users with any
event in (t_n, t_n + W] and no click on c at or before t_n. Positives: those whose first click on c lies in that window.
Static methods know clicks before T1, fresh ones those before t_n, nobody the window. Simulated new items are missing
from every history. Ties are broken at random, never by id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates, Method
from kinfolk.data.log import Log, UserIndex
from kinfolk.errors import OptionError, ProtocolError
from kinfolk.evaluate.cases import Case, new_items, plan, plan_from, question, simulated_items
from kinfolk.evaluate.forked import map_cases
from kinfolk.evaluate.metrics import ranking_metrics
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.scoring import checked_scores, usable
from kinfolk.evaluate.since import Since, activity_index, clicks_since, history_degree, met_before

__all__ = ["ORACLE", "Case", "Progress", "plan", "run_new_item", "simulated_items"]

Progress = Callable[[int, int, str], None]
"""Called with: steps done, steps in all, what was done."""
ORACLE = "ORACLE_window_activity"


@dataclass(frozen=True)
class _World:
    """What every case of one training of the methods needs."""

    log: Log
    protocol: Protocol
    methods: tuple[Method, ...]
    since: Since
    simulated: NDArray[np.int64]
    activity: UserIndex
    degree: NDArray[np.int64]
    met: tuple[NDArray[np.int32], NDArray[np.int32]]


def _evaluate(world: _World, case: Case) -> list[dict[str, object]]:
    """Rows of one case: method x group; none where too little is left to ask."""
    log, protocol = world.log, world.protocol
    q = question(log, protocol, case.item, case.n, world.since, world.met)
    warm = world.degree[q.users] > 0
    seeds_warm = int((world.degree[q.seeds] > 0).sum())
    if (q.positive & warm).sum() < protocol.min_positives or seeds_warm == 0:
        return []
    active = world.activity.counts(q.users, q.t_n)
    groups = {"warm": warm, "cold": ~warm, "new": active == 0, "all": np.ones(len(warm), bool)}
    strata = np.floor(np.log2(1.0 + active)).astype(np.int64)
    view = log.view(q.t_n, removed=np.union1d(world.simulated, [case.item]))
    candidates = Candidates.one(case.item, q.seeds, q.times, rng=(protocol.seed, case.item, case.n))
    meta = {
        "item": case.item,
        "item_id": str(log.item_ids[case.item]),
        "n": case.n,
        "main": case.main,
        "common": case.common,
        "t_n": q.t_n,
        "age": q.t_n - q.born,
        "universe": q.universe,
        "seeds_warm": seeds_warm,
    }
    rows: list[dict[str, object]] = []
    answers: list[tuple[str, NDArray[np.floating]]] = [(ORACLE, q.events - q.positive)]
    answers += [(m.name, checked_scores(m, q.users, candidates, view)[:, 0]) for m in world.methods]
    for name, scores in answers:
        for group, inside in groups.items():
            y = q.positive[inside]
            hits = int(y.sum())
            if hits < protocol.min_positives or len(y) - hits < protocol.min_negatives:
                continue
            values = ranking_metrics(scores[inside].astype(np.float32), y, q.events[inside], strata[inside])
            counted = {"users": len(y), "positives": hits, "base_rate": hits / len(y)}
            rows.append({**meta, "method": name, "group": group, **counted, **values})
    return rows


def run_new_item(
    log: Log,
    protocol: Protocol,
    methods: Sequence[Method],
    *,
    on_progress: Progress | None = None,
    jobs: int = 1,
    fit: bool = True,
) -> pl.DataFrame:
    """Fit every method on what is known before T1 and ask it every question of `plan`.

    Args:
        log, protocol: data and terms.
        methods: what to compare; the row `ORACLE_window_activity` is added to them.
        on_progress: called after every method fitted and every case.
        jobs: forked processes that score; more than one needs OMP_NUM_THREADS=1.
        fit: False where the methods are fitted already; not with `rolling`.

    Returns: one row a (item, n, method, group), sorted so. item int64 row, item_id str, n, main, common bool, t_n and
        age (since first click) in s, universe (before sampling), seeds_warm, method, group (warm: has a usable history
        item before T1; cold; new: no click before t_n; all), users, positives, base_rate of the group, and the metrics
        auc, eauc, sauc, prec_100, recall_1, lift_1. Groups with too few positives or negatives have no row.

    Raises:
        ProtocolError: nothing is eligible, every candidate is left with too few positives, a method answers NaN.
        OptionError: two methods of one name, too many jobs, `rolling` without `fit`.
    """
    if protocol.rolling and not fit:
        raise OptionError(
            "rolling trains again every day, and these methods are not to be fitted", "leave out one of the two"
        )
    methods = usable(methods, protocol)
    since = clicks_since(log, protocol.t1)
    new = new_items(log, protocol, since)
    cases = plan_from(protocol, since, new, protocol.ends(log), log.name)
    simulated = np.sort(new) if protocol.simulate_new is not None else np.zeros(0, np.int64)
    trainings = _trainings(protocol, since, cases)
    activity, met = activity_index(log, protocol.t1, simulated), met_before(log, protocol.t1)
    total, done = len(cases) + len(methods) * len(trainings), 0
    rows: list[dict[str, object]] = []
    for until, part in trainings:
        view = log.view(until, removed=simulated)
        for method in methods if fit else ():
            method.fit(view)
            done += 1
            if on_progress is not None:
                on_progress(done, total, f"fit {method.name}")
        world = _World(log, protocol, methods, since, simulated, activity, history_degree(view), met)
        for result in map_cases(partial(_evaluate, world), part, jobs):
            rows += result
            done += 1
            if on_progress is not None:
                on_progress(done, total, "candidates")
    if not rows:
        raise ProtocolError(
            f"{log.name}: each of {len(cases)} candidates has fewer than {protocol.min_positives} positives among warm "
            f"users, or no warm seed, or fewer than {protocol.min_negatives} negatives",
            "use a longer --window, a smaller --n, more users (--max-users), or a later --t1",
        )
    return pl.DataFrame(rows, infer_schema_length=None).sort("item", "n", "method", "group")


def _trainings(protocol: Protocol, since: Since, cases: list[Case]) -> list[tuple[float, list[Case]]]:
    """(moment until which to train, its cases), in time order; a single one at t1 unless rolling."""
    if not protocol.rolling:
        return [(protocol.t1, cases)]
    by_day: dict[float, list[Case]] = {}
    for case in cases:
        day = protocol.local_midnight(float(since.clickers(case.item)[1][0]))
        by_day.setdefault(max(protocol.t1, day), []).append(case)
    return sorted(by_day.items(), key=itemgetter(0))
