"""How much of the way from popularity to the Bayes oracle the models go, on the frozen synthetic feed.

For every regime and seed (of world and training): RALM, RALM with average and RALM with concatenated fields are trained
before the last quarter of the log and asked about items born after it (protocol `new-item`, warm users). The figure is
the mean eAUC over candidates and numbers of seeds; popularity is constant within a candidate, 0.5.

    python benchmarks/synthetic_gap.py --regimes one_taste,many_taste,balanced --seeds 5 --json gap.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl

from kinfolk.baselines import registry
from kinfolk.baselines.bayes_oracle import BayesOracle
from kinfolk.baselines.method import Method
from kinfolk.baselines.ralm import Ralm
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import Log
from kinfolk.data.synthetic import Config, load, truth
from kinfolk.evaluate.intervals import bootstrap
from kinfolk.evaluate.new_item import run_new_item
from kinfolk.evaluate.protocol import Protocol, defaults
from kinfolk.presets import Preset, preset

PEERS = ("als_lda", "lr_als_fields_activity", "lr_fields_history")
ORACLE = "bayes_oracle"


def concat(chosen: Preset) -> Preset:
    """The same preset with fields side by side in place of the attention merge."""
    encoder = replace(chosen.represent.encoder, merge="concat")
    return replace(chosen, represent=replace(chosen.represent, encoder=encoder))


def methods(log: Log, protocol: Protocol, config: Config, name: str, without: list[str]) -> list[Method]:
    chosen, shared = preset(name), Shared()
    every: list[Method] = [
        BayesOracle(truth(config)),
        Ralm(name="ralm", seed=config.seed, preset=chosen, shared=shared),
        Ralm(name="ralm_average", seed=config.seed, preset=chosen, pooling="average", shared=shared),
        Ralm(name="ralm_concat", seed=config.seed, preset=concat(chosen), shared=shared),
        *(registry.make(p, config.seed, window=protocol.window, shared=shared) for p in PEERS),
    ]
    return [m for m in every if m.name not in without]


def one_world(
    regime: str, seed: int, name: str, candidates: int, users: int, world: int, without: list[str]
) -> pl.DataFrame:
    config = Config(seed=seed, regime=regime, n_users=world)
    log = load(config)
    terms = replace(
        defaults("synthetic", log), n=(10, 30, 100), max_candidates=candidates, common=candidates // 2, max_users=users
    )
    rows = run_new_item(log, terms, methods(log, terms, config, name, without))
    return rows.with_columns(regime=pl.lit(regime), seed=pl.lit(seed))


def summary(rows: pl.DataFrame) -> Iterator[dict[str, object]]:
    """A row a regime and method: mean over worlds of the world's mean eAUC, share of the gap closed, paired to RALM."""
    warm = rows.filter((pl.col("group") == "warm") & pl.col("main"))
    worlds = warm.group_by("regime", "seed", "method").agg(pl.col("eauc").mean(), pl.col("auc").mean())
    for (regime,), part in worlds.partition_by("regime", as_dict=True, maintain_order=True).items():
        wide = part.pivot(on="method", index="seed", values="eauc").sort("seed")
        best, ours = wide[ORACLE].to_numpy(), wide["ralm"].to_numpy()
        for method in wide.columns[1:]:
            values = wide[method].to_numpy()
            closed = (values - 0.5) / (best - 0.5)
            behind = bootstrap(ours - values, seed=1)
            yield {
                "regime": regime,
                "method": method,
                "eauc": float(values.mean()),
                "eauc_sd": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
                "gap_closed": float(closed.mean()),
                "gap_closed_min": float(closed.min()),
                "ralm_minus": behind.mean,
                "ralm_minus_low": behind.low,
                "ralm_minus_high": behind.high,
                "auc": float(part.filter(pl.col("method") == method)["auc"].mean()),
            }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--regimes", default="one_taste,many_taste,balanced")
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--first-seed", type=int, default=0)
    p.add_argument("--preset", default="kinfolk")
    p.add_argument("--candidates", type=int, default=40)
    p.add_argument("--users", type=int, default=3000)
    p.add_argument("--world", type=int, default=20_000, help="users of every world")
    p.add_argument("--without", default="", help="methods to leave out, by name: ralm_concat costs as much as the rest")
    p.add_argument("--rows", type=Path, help="write every row here as parquet, to be summed up with others' by --read")
    p.add_argument("--read", type=Path, nargs="*", help="sum up rows written before instead of running anything")
    p.add_argument("--json", type=Path, default=None)
    args = p.parse_args()
    without = args.without.split(",") if args.without else []
    frames: list[pl.DataFrame] = []
    for regime in [] if args.read else args.regimes.split(","):
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            began = perf_counter()
            frames.append(one_world(regime, seed, args.preset, args.candidates, args.users, args.world, without))
            print(f"{regime} {seed}: {perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            if args.rows is not None:
                pl.concat(frames).write_parquet(args.rows)
    frames += [pl.read_parquet(path) for path in args.read or ()]
    table = list(summary(pl.concat(frames)))
    print("| regime | method | eAUC | sd | gap closed | least | RALM minus it |\n|---|---|---|---|---|---|---|")
    for r in sorted(table, key=lambda r: (str(r["regime"]), -float(r["eauc"]))):
        low, high = r["ralm_minus_low"], r["ralm_minus_high"]
        print(
            f"| {r['regime']} | {r['method']} | {r['eauc']:.4f} | {r['eauc_sd']:.4f} | {100 * r['gap_closed']:.0f} % | "
            f"{100 * r['gap_closed_min']:.0f} % | {r['ralm_minus']:+.4f} [{low:+.4f}, {high:+.4f}] |"
        )
    out = {"bench": "synthetic_gap", "preset": args.preset, "seeds": args.seeds, "world": args.world, "rows": table}
    if args.json is not None:
        args.json.write_text(json.dumps(out, indent=1), encoding="utf-8")
    print(json.dumps({**out, "rows": None, "ralm_gap_closed": _closed(table)}))


def _closed(table: list[dict[str, object]]) -> dict[str, float]:
    return {str(r["regime"]): float(np.round(float(r["gap_closed"]), 4)) for r in table if r["method"] == "ralm"}


if __name__ == "__main__":
    main()
