"""One comparison from start to end: `compare_methods` fits ours and the baselines, asks, and sums up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from kinfolk.baselines import registry
from kinfolk.baselines.method import Method
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import Log
from kinfolk.evaluate.feed import run_feed
from kinfolk.evaluate.new_item import Progress, run_new_item
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.scoring import over_seeds
from kinfolk.evaluate.summary import (
    summarise_feed,
    summarise_impressions,
    summarise_new_item,
    summarise_table1,
)
from kinfolk.evaluate.table1 import run_table1

Question = Literal["new-item", "feed", "table1"]


@dataclass(frozen=True)
class Comparison:
    """What was measured.

    Args:
        scores: one row a unit (candidate and n, user-day, or user), method and training seed.
        tables: heading -> `summarise` table, for reports.
        ours: names of our methods.
    """

    scores: pl.DataFrame
    tables: Mapping[str, pl.DataFrame]
    ours: tuple[str, ...]


def compare_methods(
    log: Log,
    protocol: Protocol,
    question: Question,
    ours: Callable[[int], Sequence[Method]],
    baselines: Sequence[str],
    *,
    seeds: Sequence[int] = (0,),
    on_progress: Progress | None = None,
) -> Comparison:
    """Fit and ask everything once for each training seed.

    Args:
        log, protocol: data and terms.
        question: "new-item" (P1), "feed" (P2) or "table1" (P3).
        ours: training seed -> our methods, unfitted; the first is what the others are paired with.
        baselines: names or groups of the registry.
        seeds: training seeds, of ours and of the baselines.

    Raises:
        OptionError: an unknown baseline, or one that makes no sense for the question.
        ProtocolError: nothing to ask.
    """
    names = registry.resolve(baselines, question)
    found: tuple[str, ...] = ()
    shown: list[pl.DataFrame] = []

    def methods(seed: int) -> list[Method]:
        nonlocal found
        mine, shared = list(ours(seed)), Shared()
        found = tuple(m.name for m in mine)
        peers = [registry.make(n, seed, window=protocol.window, tau=protocol.tau, shared=shared) for n in names]
        return [*mine, *(p for p in peers if p.name not in found)]

    def ask(chosen: Sequence[Method]) -> pl.DataFrame:
        if question == "new-item":
            return run_new_item(log, protocol, chosen, on_progress=on_progress)
        if question == "table1":
            return run_table1(log, protocol, chosen, on_progress=on_progress)
        result = run_feed(log, protocol, chosen, on_progress=on_progress)
        shown.append(result.impressions)
        return result.user_days

    scores = over_seeds(ask, methods, seeds)
    reference = found[0] if found else None
    tables: dict[str, pl.DataFrame] = {}
    if question == "new-item":
        tables["New items: who comes next?"] = summarise_new_item(scores, reference=reference)
        if scores.filter(pl.col("common"))["item"].n_unique() >= 3:
            tables["The same candidates at every n"] = summarise_new_item(scores, sample="common", reference=reference)
    elif question == "feed":
        tables["Feed: which of the live items?"] = summarise_feed(scores, reference=reference)
        impressions = pl.concat(shown)
        if len(impressions):
            tables["Inside impressions: clicked against shown"] = summarise_impressions(impressions)
    else:
        tables["Known items (the paper's Table 1)"] = summarise_table1(scores, reference=reference)
    return Comparison(scores, tables, found)
