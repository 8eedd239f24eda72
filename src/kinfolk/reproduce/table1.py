"""Table 1 (RALM, KDD 2019, section 6.4) on public data, protocol P3: five models, AUC, prec@10 and prec@50.

Beside them what asks why the order is what it is. Two rows on popularity: the number of seeds alone, and RALM's score
with it; in Top Stories RALM weighs what a click-through model has ranked, which knows popularity, and here it ranks
alone. A metric without most of popularity: pAUC. RALM whose attentions know how many seeds a cluster holds, which
the mean of the seeds does. And RALM with all that we changed: the default preset, which here sees users as of training,
as the others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.baselines import registry
from kinfolk.baselines.method import Candidates, Method
from kinfolk.baselines.ralm import Ralm
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.youtube_dnn import DNN, YoutubeDnn
from kinfolk.data.log import Log, View
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
POPULAR, WEIGHED, SIZED, CHANGED = "popularity", "ralm + popularity", "ralm, size-aware", "kinfolk"
BESIDE = (POPULAR, WEIGHED, SIZED, CHANGED)
METRICS = (*TABLE1_METRICS, "pauc")
UNSEEDED = ("lr", POPULAR)
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
    chosen, changed = (small(preset(p)) if quick else preset(p) for p in ("paper", CHANGED))
    presets = {
        SIZED: replace(chosen, lookalike=replace(chosen.lookalike, size_aware=True)),
        CHANGED: replace(changed, fresh=False),  # users as of training, as all others see them
    }
    names = [*(n for n in registry.names("table1") if n in PAPER), *BESIDE]
    frames: list[pl.DataFrame] = []
    once: dict[str, pl.DataFrame] = {}
    for seed in seeds:
        shared = Shared()
        ralm = _method(OURS, seed, chosen, shared, quick, on_training)  # in two rows, trained once
        for name in names:
            own = presets.get(name, chosen)
            mark = fingerprint(log, terms, name, own if name.startswith((OURS, CHANGED)) else (DNN, quick))

            def make(
                name: str = name, seed: int = seed, shared: Shared = shared, ralm: Method = ralm, own: Preset = own
            ) -> pl.DataFrame:
                if name in once:
                    return once[name].drop(_KEYS)
                here: dict[str, Method] = {OURS: ralm, WEIGHED: WithPopularity(ralm)}
                method = here.get(name) or _method(name, seed, own, shared, quick, on_training)
                return run_table1(log, terms, [method]).drop("method")

            frames.append(kept.of(name, seed, mark, make))
            if name in UNSEEDED:
                once[name] = frames[-1]
            if on_step is not None:
                on_step(len(frames), len(seeds) * len(names), f"{name}, seed {seed}")
    rows = pl.concat(frames, how="diagonal_relaxed")
    against = {name: None if name == OURS else OURS for name in (*PAPER, *BESIDE)}
    table = compared(rows, METRICS, "user", against).sort("auc", descending=True)
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
        for m in METRICS
    }
    return Outcome(
        "table1",
        dataset,
        f"Table 1 on {dataset}",
        settings,
        [*(ordering(rows, m) for m in TABLE1_METRICS), *why(rows)],
        [cells(table, METRICS, first="model")],
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


def why(rows: pl.DataFrame) -> list[str]:
    """What the number of seeds alone says, and what RALM's score adds to it; nothing where they were not asked."""
    found = matrices(rows, "auc", "user")
    if not {OURS, POPULAR, WEIGHED} <= set(found):
        return []
    mean = {name: over_both(found[name]).mean for name in (OURS, POPULAR, WEIGHED)}
    lead = {name: told(over_both(found[WEIGHED] - found[name])) for name in (POPULAR, "youtube_dnn") if name in found}
    added = ", ".join(f"{d} against {name}" for name, d in lead.items())
    said = [
        f"Why: the number of seeds alone, the same for every user, has AUC {mean[POPULAR]:.3f}, RALM's score, which "
        f"does not know it, {mean[OURS]:.3f}; both, each standardised within a user and added, {mean[WEIGHED]:.3f}, "
        f"that is {added}."
    ]
    if "pauc" in rows.columns:
        said.append(
            f"Without most of popularity (negatives weighted by their clickers in the test): {ordering(rows, 'pauc')}"
        )
    if {SIZED, "ralm_average"} <= set(found):
        more, over_average = (told(over_both(found[SIZED] - found[other])) for other in (OURS, "ralm_average"))
        said.append(
            f"Equations 9 and 10 take a cluster of one seed for as much as one of a hundred, and the mean of the seeds "
            f"does not: with the logarithm of its size added to their logits RALM has {more} of AUC more than without, "
            f"{over_average} more than with average."
        )
    if CHANGED in found:
        of = {m: matrices(rows, m, "user") for m in ("auc", "pauc")}
        d = {m: told(over_both(of[m][CHANGED] - of[m][OURS])) for m in of}
        said.append(f"RALM with what we changed (preset {CHANGED}) has {d['auc']} of AUC and {d['pauc']} of pAUC more.")
    return said


class WithPopularity:
    """RALM's score and the logarithm of the number of seeds, each standardised within a user, added.

    ralm: trained by `fit` where it is not yet.
    """

    def __init__(self, ralm: Method) -> None:
        self._ralm, self.name, self.fresh = ralm, WEIGHED, ralm.fresh

    def fit(self, view: View) -> None:
        """Train RALM."""
        self._ralm.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]."""
        popular = np.log1p(candidates.seeds.lengths.astype(np.float64))[None]
        return (_standard(self._ralm.score(users, candidates, view)) + _standard(popular)).astype(np.float32)


def _standard(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    centred = scores - scores.mean(axis=1, keepdims=True, dtype=np.float64)
    return np.asarray(centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-12))


def _method(
    name: str, seed: int, chosen: Preset, shared: Shared, quick: bool, on_training: OnProgress | None
) -> Method:
    if name in (OURS, "ralm_average", SIZED, CHANGED):
        pooling = "average" if name == "ralm_average" else "attention"
        return Ralm(name=name, seed=seed, preset=chosen, pooling=pooling, shared=shared, on_progress=on_training)
    if quick and name == "youtube_dnn":
        return YoutubeDnn(name, seed, small_represent(DNN), shared=shared)
    return registry.make(name, seed, shared=shared)
