"""Fig. 6 (RALM, KDD 2019, section 6.6): how many clusters?

AUC and prec@K on Table 1's test after five epochs of stage 2, and what each k costs when a user is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from time import perf_counter

import numpy as np
import polars as pl

from kinfolk.baselines.ralm import Ralm
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import Log
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.summary import TABLE1_METRICS, TITLES, Cells
from kinfolk.evaluate.table1 import run_table1
from kinfolk.lookalike.score import score_users
from kinfolk.presets import Preset, preset
from kinfolk.reproduce import figures, svg
from kinfolk.reproduce.described import of_data, of_seeds
from kinfolk.reproduce.kept import Kept, fingerprint
from kinfolk.reproduce.outcome import OnStep, Outcome
from kinfolk.reproduce.quick import small
from kinfolk.reproduce.spread import DRAWN, compared, matrices, over_both, over_seeds, shown, told
from kinfolk.reproduce.table1 import parted
from kinfolk.training import OnProgress

K = (5, 10, 20, 50, 100)
ELBOW = 20
"""The paper's k, after which its curves hardly rise."""
EPOCHS = 5
_REPEATS = 9


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
    clock: Callable[[], float] = perf_counter,
) -> Outcome:
    """See `kinfolk.reproduce.outcome.Experiment`; `clock` gives seconds."""
    log, terms = parted(log, terms)
    frames: list[pl.DataFrame] = []
    for seed in seeds:
        shared = Shared()
        for k in K:
            chosen = with_clusters(preset("paper"), k)
            chosen = small(chosen) if quick else chosen
            method = Ralm(name=f"k = {k}", seed=seed, preset=chosen, shared=shared, on_progress=on_training)

            def make(method: Ralm = method) -> pl.DataFrame:
                rows = run_table1(log, terms, [method]).drop("method")
                cost = scoring_time(method, users=20 if quick else 500, candidates=10 if quick else 400, clock=clock)
                return rows.with_columns(k=pl.lit(method.weights.config.k), pair_ns=pl.lit(cost))

            frames.append(kept.of(method.name, seed, fingerprint(log, terms, chosen), make))
            if on_step is not None:
                on_step(len(frames), len(seeds) * len(K), f"k = {k}, seed {seed}")
    rows = pl.concat(frames, how="diagonal_relaxed")
    against: dict[str, str | None] = {f"k = {k}": None if k == ELBOW else f"k = {ELBOW}" for k in K}
    table = compared(rows, TABLE1_METRICS, "user", against).with_columns(k=pl.Series(K))
    costs = {
        k: over_seeds(rows.filter(pl.col("k") == k).group_by("seed").agg(pl.col("pair_ns").first())["pair_ns"])
        for k in K
    }
    table = table.with_columns(pair_ns=pl.Series([costs[k].mean for k in K]))
    lines = {
        TITLES[m]: {dataset: (K, [over_both(matrices(rows, m, "user")[f"k = {k}"]) for k in K])} for m in TABLE1_METRICS
    }
    lines["ns a user and candidate"] = {dataset: (K, [costs[k] for k in K])}
    settings = {
        **of_data(log, terms, dataset, quick=quick),
        "preset": "paper, all epochs run",
        "epochs of stage 2": EPOCHS,
        "training seeds": of_seeds(seeds),
        "users asked": int(rows["user"].n_unique()),
        "intervals": DRAWN.format(unit="users"),
        "Δ": f"paired difference to k = {ELBOW}",
        "time": f"median of {_REPEATS} repeats on one thread, candidates with at least k seeds each",
    }
    return Outcome(
        "fig6",
        dataset,
        f"Fig. 6 on {dataset}: how many clusters",
        settings,
        findings(rows),
        [_cells(table)],
        {"clusters": table},
        {"": svg.draw(figures.curves(lines, "clusters k", ticks=K), f"Fig. 6 on {dataset}")},
        rows,
    )


def with_clusters(chosen: Preset, k: int) -> Preset:
    """The preset with k clusters and `EPOCHS` epochs of stage 2, never stopped early."""
    training = replace(chosen.training, epochs=EPOCHS, patience=EPOCHS)
    return replace(chosen, lookalike=replace(chosen.lookalike, k=k), training=training)


def scoring_time(method: Ralm, *, users: int, candidates: int, clock: Callable[[], float]) -> float:
    """Nanoseconds a user and candidate: the fused scorer on one thread, every cluster in use; median of repeats.

    Args:
        method: fitted, of static vectors.
        users, candidates: how many; the candidates' seeds are users drawn at random, ten for each cluster.
    """
    e, k = method.static, method.weights.config.k
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(e), candidates * 10 * k)
    offsets = np.arange(0, len(rows) + 1, 10 * k, dtype=np.int64)
    index = method.weights.index(method.weights.snapshots(e, rows, offsets, seed=0, iterations=2))
    some = e[rng.integers(0, len(e), users)]
    queries = method.weights.queries(some)
    score_users(index, some[:1], queries[:1])  # compiles
    times = []
    for _ in range(_REPEATS):
        began = clock()
        score_users(index, some, queries)
        times.append(clock() - began)
    return float(1e9 * np.median(times) / (users * candidates))


def findings(rows: pl.DataFrame) -> list[str]:
    """Whether everything rises with k and stands still after 20, as in the paper."""
    out = []
    for m in TABLE1_METRICS:
        found = matrices(rows, m, "user")
        before = over_both(found[f"k = {ELBOW}"] - found[f"k = {K[0]}"])
        after = over_both(found[f"k = {K[-1]}"] - found[f"k = {ELBOW}"])
        means = [over_both(found[f"k = {k}"]).mean for k in K]
        rises = all(a < b for a, b in pairwise(means))
        out.append(
            f"{TITLES[m]} {'rises' if rises else 'does not rise'} with every k; from {K[0]} to {ELBOW} it changes by "
            f"{told(before)}, from {ELBOW} to {K[-1]} by {told(after)}. In the paper it rises, hardly after {ELBOW}."
        )
    return out


def _cells(table: pl.DataFrame) -> Cells:
    columns = ["k", *(TITLES[m] for m in TABLE1_METRICS), *(f"Δ {TITLES[m]}" for m in TABLE1_METRICS)]
    rows = []
    for r in table.iter_rows(named=True):
        means = [shown(r[m], r[f"{m}_low"], r[f"{m}_high"]) for m in TABLE1_METRICS]
        ds = [f"{m}_difference" for m in TABLE1_METRICS]
        paired = [shown(r[d], r[f"{d}_low"], r[f"{d}_high"], signed=True) for d in ds]
        rows.append((str(r["k"]), *means, *paired, shown(r["pair_ns"])))
    return Cells("", (*columns, "ns a user and candidate"), tuple(rows))
