"""The default preset against what one would use instead, paired: protocols P1 and P2, and the gates it must pass.

Opponents are those of the gates (group `opponents`); `gate_figures` says how they are chosen and paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from kinfolk.baselines import registry
from kinfolk.baselines.method import Method
from kinfolk.baselines.ralm import Ralm, among_new_items, in_feed
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import Log
from kinfolk.evaluate.feed import run_feed
from kinfolk.evaluate.intervals import Interval
from kinfolk.evaluate.new_item import ORACLE, run_new_item
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.summary import TITLES, Cells, strongest, summarise
from kinfolk.presets import preset
from kinfolk.reproduce import figures, svg
from kinfolk.reproduce.described import of_data, of_seeds
from kinfolk.reproduce.gate_figures import Figures, flat, own, peers, sizes, verdicts
from kinfolk.reproduce.kept import Kept, fingerprint
from kinfolk.reproduce.outcome import OnStep, Outcome
from kinfolk.reproduce.quick import small
from kinfolk.reproduce.spread import DRAWN, matrices, over_both, shown
from kinfolk.training import OnProgress

OURS = "kinfolk"
PEERS = "opponents"
"""The variant under which their rows are kept."""
METRICS = ("eauc", "auc", "recall_1")
DRAWN_LINES = 3
"""Opponents in the plot: the best in eAUC, and the best in AUC among the others."""
_P1: registry.Protocol = "new-item"
_P2: registry.Protocol = "feed"
_Told = Callable[[str], None]


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
    name: str = OURS,
) -> Outcome:
    """See `kinfolk.reproduce.outcome.Experiment`; `name`: of the preset that is compared."""
    chosen = small(preset(name)) if quick else preset(name)
    frames: list[pl.DataFrame] = []
    for seed in seeds:

        def told(what: str, seed: int = seed) -> None:
            if on_step is not None:
                on_step(len(frames), 2 * len(seeds), f"seed {seed}: {what}")

        def of_peers(seed: int = seed, told: _Told = told) -> pl.DataFrame:
            return _asked(log, terms, *_peers(terms, seed, quick), told)

        def of_ours(seed: int = seed, told: _Told = told) -> pl.DataFrame:
            ours = Ralm(name=OURS, seed=seed, preset=chosen, fresh=terms.fresh, on_progress=on_training)
            rows = _asked(log, terms, among_new_items(ours), in_feed(ours), told)
            return rows.filter(pl.col("method").str.starts_with(OURS))  # rows of reference are among the opponents'

        # Apart, so that the opponents of a seed serve every preset, and a run that was stopped goes on from either.
        frames.append(kept.of(PEERS, seed, fingerprint(log, terms, quick), of_peers))
        told("opponents asked")
        frames.append(kept.of(name, seed, fingerprint(log, terms, chosen, quick), of_ours))
        told("asked")
    rows = pl.concat(frames, how="diagonal_relaxed")
    items, days = (rows.filter(pl.col("question") == q) for q in (_P1, _P2))
    out = flat(items, days, OURS)
    gates = verdicts(out)
    curves = over_n(items)
    order = alternatives(items)
    settings = {
        **of_data(log, terms, dataset, quick=quick),
        "preset": name,
        "training seeds": of_seeds(seeds),
        "candidates": f"{items.filter(pl.col('common'))['item'].n_unique()} common ones, warm users; opponents chosen "
        "on the main ones",
        "intervals": f"of means: {DRAWN.format(unit='candidates')}; of differences: over candidates, each by its mean "
        "over the seeds",
    }
    feed = [] if days.is_empty() else [_feed_cells(days)]
    picture = figures.curves(panels(curves, order), "n seeds", ticks=sizes(out), highlight=OURS)
    failed = [g for g in gates if not g.passed]
    said = [f"{len(gates) - len(failed)} of {len(gates)} gates are passed."]
    said += [f"Not passed: {g.gate} ({g.said})." for g in failed]
    return Outcome(
        "gates",
        dataset,
        f"Against the best alternatives on {dataset}",
        settings,
        said,
        [_against(out), *(_cells(curves, m) for m in METRICS), *feed],
        {
            "flat": pl.DataFrame([out]),
            "gates": pl.DataFrame([{"gate": g.gate, "passed": g.passed, "said": g.said} for g in gates]),
            "curves": curves,
            "alternatives": pl.DataFrame({"method": order}),
        },
        {"": svg.draw(picture, f"{OURS} on {dataset}")},
        rows,
    )


def _peers(terms: Protocol, seed: int, quick: bool) -> tuple[list[Method], list[Method]]:
    """The opponents of the gates, who answer P1 and P2; with `quick` those of them that take seconds."""
    asked = [registry.names("opponents", question) for question in (_P1, _P2)]
    if quick:
        asked = [[p for p in names if p in registry.names("quick")] for names in asked]
    shared = Shared()  # of both questions: where they hide nothing, one training serves both
    made = {
        p: registry.make(p, seed, window=terms.window, tau=terms.tau, shared=shared)
        for p in dict.fromkeys(asked[0] + asked[1])
    }
    return [made[p] for p in asked[0]], [made[p] for p in asked[1]]


def _asked(log: Log, terms: Protocol, first: Sequence[Method], live: Sequence[Method], told: _Told) -> pl.DataFrame:
    """Rows of both protocols, told apart by the column "question"; of P1 alone where times are made up.

    first, live: who answers P1 and P2.
    """

    def step(done: int, total: int, what: str) -> None:
        if what.startswith("fit"):
            told(what)

    items = run_new_item(log, terms, first, on_progress=step)
    items = items.filter(pl.col("method") != ORACLE).with_columns(question=pl.lit(_P1))
    if not terms.uses_time:
        return items
    hidden = terms.simulate_new is not None
    if not hidden:  # then what P1 has fitted is what P2 asks
        view = log.view(terms.t1)
        for method in live:
            if method not in first:
                method.fit(view)
    days = run_feed(log, terms, live, fit=hidden, on_progress=step).user_days
    return pl.concat([items, days.with_columns(question=pl.lit(_P2))], how="diagonal_relaxed")


def over_n(items: pl.DataFrame) -> pl.DataFrame:
    """Means on the common candidates, warm users: method, n, and for each of `METRICS` m, m_low, m_high."""
    common = items.filter((pl.col("group") == "warm") & pl.col("common")).with_columns(variant=pl.col("method"))
    out = []
    for n in sorted(common["n"].unique()):
        part = common.filter(pl.col("n") == n)
        found = {m: matrices(part, m, "item") for m in METRICS}
        for method in sorted(part["method"].unique()):
            row: dict[str, Any] = {"method": method, "n": n}
            for m in METRICS:
                i = over_both(found[m][method])
                row |= {m: i.mean, f"{m}_low": i.low, f"{m}_high": i.high}
            out.append(row)
    return pl.DataFrame(out)


def alternatives(items: pl.DataFrame, most: int = DRAWN_LINES) -> list[str]:
    """The opponents worth a line, chosen on the main candidates: by eAUC, the last one by AUC."""
    found: list[str] = []
    for metric in (["eauc"] * (most - 1) + ["auc"])[: len(peers(items, OURS))]:
        found.append(strongest(items, metric, exclude=[*own(OURS), *found]))
    return found


def panels(curves: pl.DataFrame, order: Sequence[str], of: str = "") -> dict[str, dict[str, figures.Line]]:
    """eAUC and AUC against n, a panel each, for `figures.curves`; ours first, then `order`; `of`: in their titles."""
    out: dict[str, dict[str, figures.Line]] = {}
    for m in ("eauc", "auc"):
        lines: dict[str, figures.Line] = {}
        for method in (OURS, *order):
            part = curves.filter(pl.col("method") == method).sort("n")
            known = part.select(m, f"{m}_low", f"{m}_high").cast(pl.Float64).fill_null(np.nan)
            values = [Interval(mean, low, high, 0) for mean, low, high in known.rows()]
            lines[method] = part["n"].to_list(), values
        out[f"{TITLES[m]}{of}"] = lines
    return out


def _against(out: Figures) -> Cells:
    def paired(name: str, n: int) -> str:
        return shown(*(out.get(f"{name}{end}_{n}") for end in ("", "_low", "_high")), signed=True)

    rows = [
        (
            str(n), shown(out[f"ours_eauc_{n}"]), f"{shown(out[f'best_peer_eauc_{n}'])} {out[f'best_peer_{n}']}",
            paired("diff", n), shown(out[f"mde_{n}"]), f"{paired('auc_diff', n)} {out[f'best_auc_peer_{n}']}",
            paired("recall1_knn_diff", n), str(out[f"candidates_{n}"]),
        )
        for n in sizes(out)
    ]  # fmt: skip
    columns = (
        "n", f"{OURS}, eAUC", "best other", "difference", "least one could see", "AUC, difference to the best in AUC",
        "recall@1%, difference to item-kNN", "candidates",
    )  # fmt: skip
    return Cells("Paired with the best other", columns, tuple(rows))


def _cells(curves: pl.DataFrame, metric: str) -> Cells:
    """A row a method, best first; a column for each n."""
    ns = sorted(curves["n"].unique())
    order = curves.group_by("method").agg(pl.col(metric).mean()).sort(metric, "method", descending=[True, False])
    by_key = {(r["method"], r["n"]): r for r in curves.iter_rows(named=True)}
    rows = []
    for method in order["method"]:
        found = [by_key.get((method, n), {}) for n in ns]
        rows.append((method, *(shown(r.get(metric), r.get(f"{metric}_low"), r.get(f"{metric}_high")) for r in found)))
    return Cells(TITLES[metric], ("method", *(f"n = {n}" for n in ns)), tuple(rows))


def _feed_cells(days: pl.DataFrame) -> Cells:
    metrics = ("prec_10", "prec_50", "pauc")
    table = summarise(days, metrics, by=(), unit=("h0", "user", "n"), cluster="h0")
    rows = [
        (str(r["method"]), *(shown(r[m], r[f"{m}_low"], r[f"{m}_high"]) for m in metrics))
        for r in table.iter_rows(named=True)
    ]
    return Cells("In the feed (P2), mean over the least n", ("method", *(TITLES[m] for m in metrics)), tuple(rows))
