"""Table 1 (RALM, KDD 2019, section 6.4) on public data, protocol P3: five models, AUC, prec@10 and prec@50."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import polars as pl

from kinfolk.baselines import registry
from kinfolk.baselines.method import Method
from kinfolk.baselines.ralm import Ralm
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.youtube_dnn import DNN, YoutubeDnn
from kinfolk.data.log import Log
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.summary import TABLE1_METRICS, TITLES
from kinfolk.evaluate.table1 import run_table1, thirds
from kinfolk.presets import Preset, preset
from kinfolk.reproduce import figures, svg
from kinfolk.reproduce.described import of_data, of_seeds
from kinfolk.reproduce.kept import Kept, fingerprint
from kinfolk.reproduce.outcome import OnStep, Outcome
from kinfolk.reproduce.quick import small, small_represent
from kinfolk.reproduce.spread import DRAWN, cells, compared, matrices, over_both, told
from kinfolk.training import OnProgress

OURS = "ralm"
PAPER = (OURS, "youtube_dnn", "ralm_average", "yahoo_lookalike", "lr")
"""Best first, in the paper's Table 1, by each of the three metrics."""
UNSEEDED = ("lr",)
"""Models that draw nothing in training: one training is every seed's."""
_KEYS = ("variant", "seed", "terms")
_EQUAL = 1e-9


def run(
    log: Log,
    terms: Protocol,
    seeds: Sequence[int],
    *,
    dataset: str,
    kept: Kept,
    quick: bool = False,
    on_step: OnStep | None = None,
    on_training: OnProgress | None = None,
) -> Outcome:
    """See `kinfolk.reproduce.outcome.Experiment`."""
    log, terms = parted(log, terms)
    chosen = small(preset("paper")) if quick else preset("paper")
    names = [n for n in registry.names("table1") if n in PAPER]
    frames: list[pl.DataFrame] = []
    once: dict[str, pl.DataFrame] = {}
    for seed in seeds:
        shared = Shared()
        for name in names:
            mark = fingerprint(log, terms, name, chosen if name.startswith(OURS) else (DNN, quick))

            def make(name: str = name, seed: int = seed, shared: Shared = shared) -> pl.DataFrame:
                if name in once:
                    return once[name].drop(_KEYS)
                method = _method(name, seed, chosen, shared, quick, on_training)
                return run_table1(log, terms, [method]).drop("method")

            frames.append(kept.of(name, seed, mark, make))
            if name in UNSEEDED:
                once[name] = frames[-1]
            if on_step is not None:
                on_step(len(frames), len(seeds) * len(names), f"{name}, seed {seed}")
    rows = pl.concat(frames, how="diagonal_relaxed")
    against = {name: None if name == OURS else OURS for name in PAPER}
    table = compared(rows, TABLE1_METRICS, "user", against).sort("auc", descending=True)
    first = rows.filter(pl.col("variant") == OURS)
    settings = {
        **of_data(log, terms, dataset, quick=quick),
        "training seeds": f"{of_seeds(seeds)} ({', '.join(UNSEEDED)} draws nothing: one training is every seed's)",
        "users asked": int(first["user"].n_unique()),
        "candidates": int(first["candidates"].to_numpy().max()),
        "intervals": DRAWN.format(unit="users"),
        "Δ": f"paired difference to {OURS}",
    }
    plot = {
        TITLES[m]: {r["variant"]: over_both(matrices(rows, m, "user")[r["variant"]]) for r in table.to_dicts()}
        for m in TABLE1_METRICS
    }
    return Outcome(
        "table1",
        dataset,
        f"Table 1 on {dataset}",
        settings,
        [ordering(rows, m) for m in TABLE1_METRICS],
        [cells(table, TABLE1_METRICS, first="model")],
        {"models": table},
        {"": svg.draw(figures.points(plot), f"Table 1 on {dataset}")},
        rows,
    )


def parted(log: Log, terms: Protocol) -> tuple[Log, Protocol]:
    """The log and terms that `run_table1` would make of them: each user's list in three parts, where times are made up.

    Made once, so that every training sees one and the same log and shares what methods have in common.
    """
    if terms.uses_time:
        return log, terms
    return thirds(log, terms.seed), replace(terms, t1=1.0, end=3.0, table1=(1.0, 1.0), uses_time=True)


def ordering(rows: pl.DataFrame, metric: str) -> str:
    """The observed order of the models beside the paper's, pair by pair, with what contradicts it."""
    found = {name: values for name, values in matrices(rows, metric, "user").items() if name in PAPER}
    means = {name: over_both(values).mean for name, values in found.items()}
    observed = sorted((name for name in PAPER if name in found), key=lambda name: -round(means[name], 9))
    order = observed[0]
    for better, worse in pairwise(observed):
        order += (" = " if abs(means[better] - means[worse]) < _EQUAL else " > ") + worse
    agreed = sure = even = 0
    against = []
    pairs = list(combinations([name for name in PAPER if name in found], 2))
    for better, worse in pairs:
        d = over_both(found[better] - found[worse])
        if abs(d.mean) < _EQUAL:
            even += 1
        elif d.mean > 0:
            agreed, sure = agreed + 1, sure + (d.low > 0)
        else:
            against.append(f"{better} − {worse} {told(d)}{'' if d.high < 0 else ', within the interval'}")
    theirs = " > ".join(name for name in PAPER if name in found)
    said = f"{TITLES[metric]}: observed {order}; the paper has {theirs}."
    said += f" {agreed} of {len(pairs)} pairs lie as in the paper, {sure} of them beyond the interval"
    said += f"; {even} are equal" if even else ""
    return said + (f"; the other way round: {'; '.join(against)}." if against else ".")


def _method(
    name: str, seed: int, chosen: Preset, shared: Shared, quick: bool, on_training: OnProgress | None
) -> Method:
    if name in (OURS, "ralm_average"):
        pooling = "average" if name == "ralm_average" else "attention"
        return Ralm(name=name, seed=seed, preset=chosen, pooling=pooling, shared=shared, on_progress=on_training)
    if quick and name == "youtube_dnn":
        return YoutubeDnn(name, seed, small_represent(DNN), shared=shared)
    return registry.make(name, seed, shared=shared)
