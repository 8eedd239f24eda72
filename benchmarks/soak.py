"""A server for twenty minutes: does its memory stay flat, is nothing refused, does the refresher keep up?

A real `kinfolk serve` on SQLite, refreshing every 10 s, takes 2,000 clicks/s in batches of 100 and 50 requests/s (feed
and re-ranking, half each) from a second process, while candidates are created, given seeds and retired, one of each a
second. Every 5 s its resident memory is read, and what it tells of itself. After `--warm` of the minutes (a quarter) a
line is fitted to the memory.

What grows by design until it is full must be full when the warm-up ends, else the soak would measure that. So the
server remembers identities of clicks for half of the warm-up instead of an hour (12 to 34 bytes a click), and keeps as
many seeds of a candidate as come in that time instead of 3,000,000 (on the disk; but a round reads and clusters them).

Fails (exit code 1) if memory rises by more than 1 MB a minute after warm-up, if any answer was not 200, if background
work failed, or if in the second half after warm-up the oldest crowd that is due is older than in the first.

    python benchmarks/soak.py --minutes 20
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from kinfolk.bundle import Bundle
from kinfolk.testing.served import ServedProcess, served
from load.world import drive, fill, make_bundle, metrics, result

EVERY_S = 5.0
CLICKS_A_S = 2_000
LIVE = 50  # candidates that come and go
MOST_MB_A_MINUTE = 1.0
REFRESH_S = 10


def churn(server: ServedProcess, ids: list[str], n: int, rng: np.random.Generator) -> int:
    """The n-th candidate comes and the one `LIVE` before it goes; how many answers were not 200."""
    seeds = [ids[i] for i in rng.integers(0, len(ids), 20)]
    asked: list[tuple[str, str, object]] = [("POST", f"/v1/candidates/passing-{n}/seeds", {"users": seeds})]
    if n >= LIVE:
        asked.append(("DELETE", f"/v1/candidates/passing-{n - LIVE}", None))
    return sum(server.ask(*one)[0] != 200 for one in asked)


def watch(server: ServedProcess, ids: list[str], seconds: float) -> tuple[list[dict[str, float]], int]:
    """What is seen every 5 s, and failures among the comings and goings."""
    rng, bad, n = np.random.default_rng(0), 0, 0
    seen: list[dict[str, float]] = []
    start = time.monotonic()
    while (at := time.monotonic() - start) < seconds:
        bad += churn(server, ids, n, rng)
        n += 1
        if at >= EVERY_S * len(seen):
            found = metrics(server)
            seen.append(
                {
                    "minute": at / 60,
                    "rss_mb": found["kinfolk_memory_bytes"] / 2**20,
                    "age_s": found["kinfolk_refresh_age_ms"] / 1000,
                    "round_s": found["kinfolk_refresher_duration_ms"] / 1000,
                    "stale": found["kinfolk_stale"],
                    "candidates": found["kinfolk_candidates"],
                    "seeds": found["kinfolk_seeds"],
                    "errors": sum(v for name, v in found.items() if name.startswith("kinfolk_") and "error" in name),
                }
            )
            print("  ".join(f"{name} {value:9.2f}" for name, value in seen[-1].items()), file=sys.stderr, flush=True)
        time.sleep(max(0.0, start + n - time.monotonic()))
    return seen, bad


def slope(seen: list[dict[str, float]], name: str) -> float:
    """Of a line through the values, a minute."""
    if len(seen) < 3:
        return 0.0
    return float(np.polyfit([s["minute"] for s in seen], [s[name] for s in seen], 1)[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--warm", type=float, default=0.25, help="share of the time before memory counts")
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--bundle", type=Path, help="serve this one instead of a synthetic one")
    parser.add_argument("--json", action="store_true", help="one line of JSON alone")
    a = parser.parse_args()
    names = [f"c{i:05}" for i in range(a.candidates)]
    with tempfile.TemporaryDirectory(prefix="kinfolk-soak-") as name:
        folder = Path(name)
        bundle = a.bundle or make_bundle(folder / "bundle", a.users)
        ids = [str(u) for u in Bundle.load(bundle).user_ids]
        full = max(60.0, 60 * a.minutes * a.warm / 2)  # seconds
        kept = round(full * CLICKS_A_S / len(names))
        settings = {"refresh_every": REFRESH_S, "remember": full, "max_seeds": kept}
        with served(bundle, f"sqlite:///{folder}/soak.db", folder, **settings) as server:
            fill(server, ids, names, 50)
            streams: list[dict[str, Any]] = [
                {"name": "clicks", "kind": "clicks", "rate": CLICKS_A_S / 100, "batch": 100}
                | {"users": ids, "items": names},
                {"name": "feed", "kind": "feed", "rate": 25, "users": ids, "n": 20},
                {"name": "rank", "kind": "rank", "rate": 25, "users": ids, "items": names, "count": 50},
            ]
            load = drive(server.url, 60 * a.minutes, streams)
            seen, bad = watch(server, ids, 60 * a.minutes)
            found = result(load)
            code = server.stop()
    later = [s for s in seen if s["minute"] >= a.minutes * a.warm]
    others = {
        f"{name} {status}": n
        for name, s in found["streams"].items()
        for status, n in s["status"].items()
        if status != "200"
    }  # status 0: the connection broke
    refused = bad + sum(others.values())
    half = len(later) // 2
    age = [float(np.median([s["age_s"] for s in part])) for part in (later[:half], later[half:])]
    out = {
        "minutes": a.minutes,
        "rss_mb": round(later[-1]["rss_mb"], 1),
        "rss_slope_mb_per_minute": round(slope(later, "rss_mb"), 3),
        "refused": refused,
        "refused_by_status": others | ({"passing": bad} if bad else {}),
        "background_errors": later[-1]["errors"],
        "refresh_age_s_early_late": [round(x, 1) for x in age],
        "refresh_round_s": round(float(np.median([s["round_s"] for s in later])), 2),
        "clicks_per_s": round(found["streams"]["clicks"]["accepted"] / found["seconds"]),
        **{f"{n}_p99_ms": round(s["ms"]["p99"], 1) for n, s in found["streams"].items()},
        "generator_cpu": round(found["cpu_share"], 2),
        "exit_code": code,
        "sizes": {"users": len(ids), "candidates": len(names), "max_seeds": kept},
    }
    problems = [
        said
        for said, wrong in {
            "memory grows": out["rss_slope_mb_per_minute"] > MOST_MB_A_MINUTE,
            "requests were refused": refused > 0,
            "background work failed": later[-1]["errors"] > 0,
            "crowds fall behind": age[1] > 2 * age[0] + REFRESH_S,
            "it did not stop well": code != 0,
        }.items()
        if wrong
    ]
    out["problems"] = problems
    if not a.json:
        for key, value in out.items():
            print(f"{key:28} {value}")
    print(json.dumps(out))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
