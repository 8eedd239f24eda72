"""`kinfolk serve` under load: latency of the feed and of re-ranking, clicks a second, time from a click to its effect.

A real server process on SQLite, with `--candidates` live candidates of `--seeds` seeds each. While 2,000 clicks a
second arrive in batches of 100 and the refresher works round after round, a second process asks for feeds, then for
re-rankings of 100 items, at fixed times (open loop) at 50, 100 and 200 requests a second; latency counts from the
moment a request was due. Then clicks through HTTP in batches of 1,000, four connections, each answered once it is on
the disk; clicks behind the stores' ports in batches of 1,000, one caller after the other's answer and four at once,
beside SQLite alone with the same table and PRAGMAs; and the time until a click shows in a score, refreshing every
second.

    python benchmarks/serve.py --quick --json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from kinfolk.bundle import Bundle
from kinfolk.testing.served import ServedProcess, served
from load.stores import store_rates
from load.world import drive, fill, make_bundle, metrics, result

RATES = (50, 100, 200)
CLICKS = {"name": "clicks", "kind": "clicks", "rate": 20, "batch": 100}


def latencies(server: ServedProcess, ids: list[str], names: list[str], seconds: float) -> dict[str, Any]:
    """Of feed and rank at each rate."""
    out: dict[str, Any] = {}
    clicks = {**CLICKS, "users": ids, "items": names}
    kinds = {
        "feed": {"users": ids, "n": 20},
        "rank": {"users": ids, "items": names, "count": min(100, len(names))},
    }
    for kind, more in kinds.items():
        for rate in RATES:
            streams = [clicks, {"name": kind, "kind": kind, "rate": rate, **more}]
            seed = 1000 * list(kinds).index(kind) + rate  # else clicks of another phase would be sent again
            result(drive(server.url, 1.0, streams, seed=seed))  # a second to settle
            before = metrics(server)
            found = result(drive(server.url, seconds, streams, seed=seed + 1))
            rounds = metrics(server)["kinfolk_refresher_rounds"] - before["kinfolk_refresher_rounds"]
            own = found["streams"][kind]
            bad = {s: n for s, n in own["status"].items() if s != "200"}
            for q in (50, 95, 99):
                out[f"{kind}_p{q}_ms_at_{rate}"] = round(own["ms"][f"p{q}"], 2)
            out[f"{kind}_detail_at_{rate}"] = {
                "max_ms": round(own["ms"]["max"], 1), "errors": bad, "refresh_rounds": int(rounds),
                "clicks_p99_ms": round(found["streams"]["clicks"]["ms"]["p99"], 1),
                "clicks_per_s": round(found["streams"]["clicks"]["accepted"] / found["seconds"]),
                "generator_cpu": round(found["cpu_share"], 2),
                "generator_late_p99_ms": round(own["late_p99_ms"], 2),
            }  # fmt: skip
    return out


def http_clicks(server: ServedProcess, ids: list[str], names: list[str], seconds: float) -> dict[str, Any]:
    """Durable clicks a second in batches of 1,000."""
    stream = {"name": "c", "kind": "clicks", "connections": 4, "batch": 1000, "users": ids, "items": names}
    found = result(drive(server.url, seconds, [stream], seed=9))
    return {
        "http_clicks_per_s": round(found["streams"]["c"]["accepted"] / found["seconds"]),
        "http_clicks_detail": {
            "generator_cpu": round(found["cpu_share"], 2), "batch_p99_ms": round(found["streams"]["c"]["ms"]["p99"], 1),
            "status": found["streams"]["c"]["status"],
        },
    }  # fmt: skip


def click_to_score(server: ServedProcess, ids: list[str], rounds: int) -> list[float]:
    """Seconds from the acknowledgement of clicks to the first answer whose score they have changed."""
    out = []
    for n in range(rounds):
        name, reader = f"waited-{n}", {"user": ids[-1], "items": [{"id": f"waited-{n}", "pctr": 0.1}]}

        def score(reader: dict[str, Any] = reader) -> float:
            return float(server.ask("POST", "/v1/rank", reader)[1]["items"][0]["score"])

        server.ask("POST", f"/v1/candidates/{name}/seeds", {"users": ids[n : n + 30]})
        before = score()
        clicks = [{"user": u, "candidate": name} for u in ids[1000 + 50 * n : 1050 + 50 * n]]
        server.ask("POST", "/v1/clicks", clicks)
        start = time.perf_counter()
        while score() == before:
            if time.perf_counter() - start > 60:
                raise SystemExit("a click had no effect within a minute")
            time.sleep(0.01)
        out.append(time.perf_counter() - start)
    return sorted(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short phases and a small model")
    parser.add_argument("--json", action="store_true", help="one line of JSON alone")
    parser.add_argument("--users", type=int, help="users of the bundle")
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=100, help="of each candidate at the start")
    parser.add_argument("--seconds", type=float, help="of each phase")
    parser.add_argument("--bundle", type=Path, help="serve this one instead of a synthetic one")
    parser.add_argument("--only", choices=("latency", "http", "effect", "stores"), action="append")
    a = parser.parse_args()
    users, seconds = a.users or (5_000 if a.quick else 50_000), a.seconds or (5.0 if a.quick else 30.0)
    wanted = a.only or ["latency", "http", "effect", "stores"]
    names = [f"c{i:05}" for i in range(a.candidates)]
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="kinfolk-bench-") as name:
        folder = Path(name)
        sizes: dict[str, Any] = {"candidates": a.candidates, "seeds": a.seeds, "seconds": seconds}
        if wanted != ["stores"]:
            bundle = a.bundle or make_bundle(folder / "bundle", users)
            opened = Bundle.load(bundle)
            ids = [str(u) for u in opened.user_ids]
            config = opened.weights.config
            sizes |= {"users": len(ids), "k": config.k, "h": config.h}
            if "latency" in wanted or "http" in wanted:
                store = f"sqlite:///{folder}/k.db"
                with served(bundle, store, folder, refresh_every=1) as server:
                    fill(server, ids, names, a.seeds)
                    out |= latencies(server, ids, names, seconds) if "latency" in wanted else {}
                    out |= http_clicks(server, ids, names, seconds) if "http" in wanted else {}
                    out["server_rss_mb"] = round(metrics(server)["kinfolk_memory_bytes"] / 2**20)
            if "effect" in wanted:
                with served(bundle, f"sqlite:///{folder}/e.db", folder, refresh_every=1) as server:
                    waits = click_to_score(server, ids, 5 if a.quick else 20)
                    out |= {"click_to_score_s": round(waits[len(waits) // 2], 3)}
                    out |= {"click_to_score_max_s": round(waits[-1], 3)}
        if "stores" in wanted:
            out |= store_rates(folder, 100 if a.quick else 400)
    out["sizes"] = sizes
    out["load_average"] = os.getloadavg()[0]
    if not a.json:
        for key, value in out.items():
            print(f"{key:28} {value}")
    print(json.dumps(out))


if __name__ == "__main__":
    main()
