"""How much the synthetic feed gives away: AUC inside a new item's impressions, for the oracles.

Prints the tables of docs/decisions/0002-synthetic-feed.md and one JSON line. Candidates are born in the last quarter of
the log. After their n-th click every later impression (user, clicked or not) is scored with what was known at that
click; the AUC is taken within the candidate and averaged. `common`: candidates that qualify at every n.
"""

from __future__ import annotations

import argparse
import json
from typing import Any, get_args

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Events, Impressions, Log
from kinfolk.data.synthetic import Config, Oracle, RegimeName, Truth, generate, information, schema, truth

N = (10, 30, 100)
MINIMUM = 10  # later clicks, and later impressions without a click, that a candidate must have


def plain_log(config: Config) -> Log:
    """The log without any field: the oracle brings its own."""
    feed = generate(config).events
    assert isinstance(feed, pl.DataFrame)
    arrays = {name: feed[name].to_numpy() for name in ("user_id", "item_id", "time", "label")}
    user, item = arrays["user_id"].astype(np.int32), arrays["item_id"].astype(np.int32)
    time, hit = arrays["time"] / 1000, arrays["label"] == 1
    clicks = Events(user[hit], item[hit], time[hit], np.zeros(hit.sum(), np.int16))
    ids = [np.arange(n).astype(str) for n in (config.n_users, len(truth(config).appeal))]
    shown = Impressions(user, item, time, arrays["label"].astype(np.int8))
    return Log("synthetic", schema(), ids[0], ids[1], ("read",), clicks, shown)


def mean_taste(true: Truth, users: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Cosine of true tastes to the seeds' mean taste: what averaging costs when nothing has to be learned."""
    taste = true.world.profiles[true.profile]
    mean = taste[seeds].mean(axis=0)
    return taste[users] @ mean / np.linalg.norm(taste[users], axis=1)


def measure(config: Config, limit: int) -> dict[str, Any]:
    """AUC by oracle and n, and who the seeds are."""
    true, log = truth(config), plain_log(config)
    oracle, shown = Oracle(true, log), log.impressions
    assert shown is not None
    order = np.argsort(shown.item, kind="stable")
    bounds = np.searchsorted(shown.item[order], np.arange(log.n_items + 1))
    young = np.flatnonzero(true.born >= config.end - config.days * 86_400 / 4)
    rows: dict[int, dict[int, dict[str, float]]] = {n: {} for n in N}
    dominance = []
    for c in np.random.default_rng(config.seed).permutation(young)[:limit]:
        at = order[bounds[c] : bounds[c + 1]]
        user, time, label = shown.user[at], shown.time[at], shown.label[at]
        clicks = np.flatnonzero(label)
        for n in N:
            later = time > time[clicks[n - 1]] if len(clicks) >= n else np.zeros(len(at), bool)
            hits = int(label[later].sum())
            if hits < MINIMUM or later.sum() - hits < MINIMUM:
                continue
            seeds, who, y = user[clicks[:n]], user[later], label[later]
            view = log.view(float(np.nextafter(time[clicks[n - 1]], np.inf)))
            people, back = np.unique(who, return_inverse=True)
            items = np.array([c])
            scores = {
                "bayes": oracle.score(view, people, items, Jagged(seeds, np.array([0, n])))[:, 0],
                "taste": oracle.taste_score(people, items)[:, 0],
                "mean of true tastes": mean_taste(true, people, seeds),
                "constant": np.full(len(people), 0.5),
            }
            rows[n][int(c)] = {name: float(roc_auc_score(y, s[back])) for name, s in scores.items()}
            if n == N[-1]:
                liked = np.flatnonzero(true.world.appeals[true.appeal[c]])
                count = np.bincount(true.world.first[true.profile[seeds]], minlength=12)[liked]
                dominance.append(float(count[0] / count.sum()))  # topics are numbered by prevalence
    common = set.intersection(*(set(r) for r in rows.values()))
    table = {
        kind: {
            n: {
                "candidates": len(keep),
                **{
                    name: float(np.mean([r[c][name] for c in keep]))
                    for name in ("bayes", "taste", "mean of true tastes", "constant")
                },
            }
            for n, r in rows.items()
            for keep in ([sorted(common)] if kind == "common" else [sorted(r)])
        }
        for kind in ("main", "common")
    }
    tags = true.world.tags
    bits = [information(np.stack([1 - p, p], axis=1), true.world.prior) for p in tags.T]
    return {
        "regime": config.regime,
        "seed": config.seed,
        "impressions": len(shown),
        "clicks": len(log.events),
        "items": log.n_items,
        "auc": table,
        "seeds of most prevalent liked topic": float(np.mean(dominance)),
        "nats": {name: information(t, true.world.prior) for name, t in true.world.fields.items()} | {"tags": sum(bits)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=10_000, help="candidates a world")
    parser.add_argument("--quick", action="store_true", help="one seed, 60 candidates")
    args = parser.parse_args()
    results = []
    for regime in get_args(RegimeName):
        for seed in range(1 if args.quick else args.seeds):
            result = measure(Config(seed=seed, regime=regime), 60 if args.quick else args.limit)
            results.append(result)
            head = {k: v for k, v in result.items() if k not in ("auc", "nats")}
            print(" ".join(f"{k}={v:.3f}" if isinstance(v, float) else f"{k}={v}" for k, v in head.items()))
            for kind, table in result["auc"].items():
                for n, row in table.items():
                    print(
                        f"  {kind:6} n={n:<4}"
                        + " ".join(f"{k} {v:.3f}" if k != "candidates" else f"{v:4d} cand." for k, v in row.items()),
                        flush=True,
                    )
    print(json.dumps({"bench": "synthetic_oracle", "results": results}))


if __name__ == "__main__":
    main()
