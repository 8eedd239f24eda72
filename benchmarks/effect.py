"""How good the default preset is on real data: the experiment `gates` of `kinfolk reproduce` as flat figures.

Paired with the best of what one would use instead, chosen on other candidates (`kinfolk.reproduce.gates`).

    python benchmarks/effect.py --dataset globo --quick --json
    python benchmarks/effect.py --dataset kuairand --data DIR --seeds 5 --rows rows.parquet
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from kinfolk.data.catalog import load
from kinfolk.evaluate.output import plain
from kinfolk.evaluate.protocol import KNOWN
from kinfolk.reproduce import gates
from kinfolk.reproduce.kept import Kept

FOLDERS = {"globo": "globo_news_clicks", "kuairand": "kuairand_pure_partial", "movielens-1m": "movielens_1m"}
QUICK: dict[str, Any] = {"max_candidates": 40, "common": 30, "max_users": 3000, "snapshots": 12, "per_snapshot": 80}
_began = perf_counter()


def tell(done: int, total: int, what: str) -> None:
    """A line of progress on standard error."""
    print(f"{perf_counter() - _began:6.0f} s  {done}/{total} {what}", file=sys.stderr, flush=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dataset", choices=sorted(FOLDERS), default="globo")
    p.add_argument("--data", type=Path, help="its folder; else KINFOLK_SHARED/data/..., or shared/ beside the project")
    p.add_argument("--preset", default="kinfolk")
    p.add_argument("--seeds", type=int, help="training seeds; 5, or 1 with --quick")
    p.add_argument("--first-seed", type=int, default=0)
    p.add_argument("--quick", action="store_true", help="one training seed, fewer candidates and users")
    p.add_argument("--rows", type=Path, help="write every row as parquet, after each seed")
    p.add_argument("--json", action="store_true", help="one line of JSON alone")
    a = p.parse_args()
    shared = Path(os.environ.get("KINFOLK_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    folder = a.data or shared / "data" / FOLDERS[a.dataset]
    if not folder.is_dir():
        raise SystemExit(f"no folder {folder}; give the data set's with --data")
    terms = replace(KNOWN[a.dataset], **QUICK) if a.quick else KNOWN[a.dataset]
    seeds = range(a.first_seed, a.first_seed + (a.seeds or (1 if a.quick else 5)))
    log = load(a.dataset, folder)
    tell(0, len(seeds), f"{a.dataset}: {log.n_users} users, {len(log.events)} clicks")
    kept = Kept(a.rows, overwrite=True)
    found = gates.run(log, terms, seeds, dataset=a.dataset, kept=kept, name=a.preset, on_step=tell)
    out = {"bench": "effect", "dataset": a.dataset, "preset": a.preset, "quick": a.quick}
    out |= found.figures["flat"].row(0, named=True)
    out["gates"] = dict(found.figures["gates"].select("gate", "passed").rows())
    out["seconds"] = round(perf_counter() - _began)
    out["sizes"] = {"seeds": len(seeds), "users": log.n_users, **(QUICK if a.quick else {})}
    out = {k: round(v, 4) if isinstance(v, float) else v for k, v in out.items()}
    if not a.json:
        for key, value in out.items():
            print(f"{key:28} {value}")
    print(json.dumps(plain(out), allow_nan=False))


if __name__ == "__main__":
    main()
