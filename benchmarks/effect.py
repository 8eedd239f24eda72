"""How good the default preset is on real data: paired with the best of what one would use instead.

Protocol `new-item` (P1, warm users, the candidates common to all n) and, where items are live at a moment, `feed` (P2).
Opponents are those of the gates (group `opponents`). The opponent that ours is paired with is chosen on the `main`
candidates, at each n and over all n, before the common ones are looked at; every difference is the mean over training
seeds, paired by candidate, with its 95 % bootstrap interval and the least difference one could have seen (mde).

    python benchmarks/effect.py --dataset globo --quick --json
    python benchmarks/effect.py --dataset kuairand --data DIR --seeds 5 --rows rows.parquet
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl

from kinfolk.baselines import registry
from kinfolk.baselines.method import Method
from kinfolk.baselines.ralm import Ralm
from kinfolk.baselines.shared import Shared
from kinfolk.data.catalog import load
from kinfolk.data.log import Log
from kinfolk.evaluate.feed import run_feed
from kinfolk.evaluate.intervals import Difference, compare
from kinfolk.evaluate.new_item import run_new_item
from kinfolk.evaluate.protocol import KNOWN, Protocol
from kinfolk.evaluate.summary import strongest

FOLDERS = {"globo": "globo_news_clicks", "kuairand": "kuairand_pure_partial", "movielens-1m": "movielens_1m"}
OURS, KNN = "kinfolk", "item_knn_fresh"
QUICK: dict[str, Any] = {"max_candidates": 40, "common": 25, "max_users": 4000, "snapshots": 8, "per_snapshot": 100}
_began = perf_counter()


def tell(what: str) -> None:
    """A line of progress on standard error."""
    print(f"{perf_counter() - _began:6.0f} s  {what}", file=sys.stderr, flush=True)


def one_seed(log: Log, terms: Protocol, seed: int, preset: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of P1 and of P2 (empty where times are made up) of one training seed."""
    p1, p2 = methods(terms, seed, preset, "new-item"), methods(terms, seed, preset, "feed")
    items = run_new_item(log, terms, p1, on_progress=_step).with_columns(seed=pl.lit(seed))
    tell(f"seed {seed}: new items asked")
    if not terms.uses_time:
        return items, pl.DataFrame()
    if terms.simulate_new is None:  # nothing was hidden, so what was fitted is what the feed asks
        fitted = {m.name: m for m in p1}
        p2 = [fitted.get(m.name, m) for m in p2]
        view = log.view(terms.t1)
        for method in p2:
            if method.name not in fitted:
                method.fit(view)
    days = run_feed(log, terms, p2, fit=terms.simulate_new is not None, on_progress=_step).user_days
    tell(f"seed {seed}: feeds asked")
    return items, days.with_columns(seed=pl.lit(seed))


def methods(terms: Protocol, seed: int, preset: str, question: registry.Protocol) -> list[Method]:
    """Ours and the opponents of the gates."""
    shared = Shared()
    peers = registry.names("opponents", question)
    made = [registry.make(p, seed, window=terms.window, tau=terms.tau, shared=shared) for p in peers]
    return [Ralm(name=OURS, seed=seed, preset=preset), *made]


def _step(done: int, total: int, what: str) -> None:
    if what.startswith("fit"):
        tell(what)


def figures(rows: pl.DataFrame) -> dict[str, Any]:
    """Flat figures of P1 on the common candidates."""
    common = rows.filter((pl.col("group") == "warm") & pl.col("common"))
    out: dict[str, Any] = {}
    for n in sorted(common["n"].unique()):
        part, main = common.filter(pl.col("n") == n), rows.filter(pl.col("n") == n)
        rival, rival_auc = strongest(main, exclude=[OURS]), strongest(main, "auc", exclude=[OURS])
        d = compare(part, OURS, rival, "eauc")
        worst = min((compare(part, OURS, p, "eauc") for p in peers_of(part)), key=lambda x: x.high)
        out |= {
            f"ours_eauc_{n}": mean(part, OURS, "eauc"), f"best_peer_{n}": rival,
            f"best_peer_eauc_{n}": mean(part, rival, "eauc"), **paired("diff", n, d), f"mde_{n}": d.detectable,
            f"worst_high_{n}": worst.high, f"candidates_{n}": d.count,
            f"ours_auc_{n}": mean(part, OURS, "auc"), f"best_auc_peer_{n}": rival_auc,
            **paired("auc_diff", n, compare(part, OURS, rival_auc, "auc")),
            **paired("sauc_diff", n, compare(part, OURS, strongest(main, "sauc", exclude=[OURS]), "sauc")),
            f"ours_recall1_{n}": mean(part, OURS, "recall_1"),
        }  # fmt: skip
        if KNN in part["method"]:
            out |= paired("recall1_knn_diff", n, compare(part, OURS, KNN, "recall_1"))
    rival = strongest(rows, exclude=[OURS])
    d = compare(common, OURS, rival, "eauc")
    out |= {"pooled_peer": rival, "pooled_diff": d.mean, "pooled_diff_low": d.low, "pooled_diff_high": d.high}
    return out | {"pooled_mde": d.detectable}


def feed_figures(days: pl.DataFrame) -> dict[str, Any]:
    """Flat figures of P2: mean over the values of n that a live candidate must have."""
    if days.is_empty():
        return {}
    means = days.group_by("method").agg(pl.col(m).fill_nan(None).mean() for m in ("prec_10", "prec_50", "pauc"))
    by_name = {r["method"]: r for r in means.iter_rows(named=True)}
    peers = [m for m in by_name if m != OURS and not m.startswith("ORACLE")]
    rival = max(peers, key=lambda m: float(by_name[m]["prec_10"]))
    d = compare(days, OURS, rival, "prec_10", unit=("h0", "user", "n"), cluster="h0")
    out: dict[str, Any] = {
        "p2_prec10": by_name[OURS]["prec_10"], "p2_best_peer": rival, "p2_best_peer_prec10": by_name[rival]["prec_10"],
        "p2_diff": d.mean, "p2_diff_low": d.low, "p2_pauc": by_name[OURS]["pauc"],
    }  # fmt: skip
    for peer in ("als_lda", "recency_popularity", "newest"):
        if peer in by_name:
            out |= {f"p2_{peer}_prec10": by_name[peer]["prec_10"], f"p2_{peer}_pauc": by_name[peer]["pauc"]}
    return out


def peers_of(rows: pl.DataFrame) -> list[str]:
    """Names of the opponents in a table; no oracle."""
    names = rows["method"].unique().sort().to_list()
    return [m for m in names if m != OURS and not m.startswith("ORACLE")]


def mean(rows: pl.DataFrame, method: str, metric: str) -> float:
    """Of a metric over candidates and training seeds."""
    return float(rows.filter(pl.col("method") == method)[metric].fill_nan(None).mean())  # type: ignore[arg-type]


def paired(name: str, n: int, d: Difference) -> dict[str, float]:
    """A difference and its lower limit, as flat keys."""
    return {f"{name}_{n}": d.mean, f"{name}_low_{n}": d.low}


def gates(out: dict[str, Any], n: Sequence[int]) -> dict[str, bool]:
    """Which of the gates are passed; missing figures pass nothing."""
    found = {
        "pooled eAUC above the strongest": out["pooled_diff_low"] > 0,
        "at no n below any in eAUC": all(out[f"worst_high_{k}"] >= 0 for k in n),
        "sAUC not below": all(out[f"sauc_diff_{k}"] >= 0 or out[f"sauc_diff_low_{k}"] >= -0.005 for k in n),
        "AUC not inferior": all(out[f"auc_diff_low_{k}"] > -0.005 for k in n),
        "recall@1% not below item-kNN": all(out.get(f"recall1_knn_diff_{k}", 0.0) >= 0 for k in n),
    }
    if "p2_prec10" in out:
        found["feed: prec@10 above all"] = out["p2_prec10"] > out["p2_best_peer_prec10"]
        found["feed: pAUC above ALS-LDA"] = out["p2_pauc"] > out["p2_als_lda_pauc"]
    if len(n) > 1:
        found["goal: n = 10 as good as the best at 30"] = out[f"ours_eauc_{n[0]}"] >= out[f"best_peer_eauc_{n[1]}"]
    return found


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dataset", choices=sorted(FOLDERS), default="globo")
    p.add_argument("--data", type=Path, help="its folder; else KINFOLK_SHARED/data/..., or shared/ beside the project")
    p.add_argument("--preset", default="kinfolk")
    p.add_argument("--seeds", type=int, help="training seeds; 5, or 1 with --quick")
    p.add_argument("--first-seed", type=int, default=0)
    p.add_argument("--quick", action="store_true", help="one training seed, fewer candidates and users")
    p.add_argument("--rows", type=Path, help="write every row of P1 as parquet")
    p.add_argument("--json", action="store_true", help="one line of JSON alone")
    a = p.parse_args()
    shared = Path(os.environ.get("KINFOLK_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    folder = a.data or shared / "data" / FOLDERS[a.dataset]
    if not folder.is_dir():
        raise SystemExit(f"no folder {folder}; give the data set's with --data")
    terms = replace(KNOWN[a.dataset], **QUICK) if a.quick else KNOWN[a.dataset]
    seeds = range(a.first_seed, a.first_seed + (a.seeds or (1 if a.quick else 5)))
    log = load(a.dataset, folder)
    tell(f"{a.dataset}: {log.n_users} users, {len(log.events)} clicks")
    p1, p2 = [], []
    for seed in seeds:
        items, days = one_seed(log, terms, seed, a.preset)
        p1.append(items)
        p2.append(days)
        if a.rows is not None:
            pl.concat(p1).write_parquet(a.rows)
    out = {"bench": "effect", "dataset": a.dataset, "preset": a.preset, "quick": a.quick, **figures(pl.concat(p1))}
    out |= feed_figures(pl.concat(p2))
    out["gates"] = gates(out, terms.n)
    out["seconds"] = round(perf_counter() - _began)
    out["sizes"] = {"seeds": len(seeds), "users": log.n_users, **(QUICK if a.quick else {})}
    out = {k: round(v, 4) if isinstance(v, float) else v for k, v in out.items()}
    if not a.json:
        for key, value in out.items():
            print(f"{key:28} {value}")
    print(json.dumps(out))


if __name__ == "__main__":
    main()
