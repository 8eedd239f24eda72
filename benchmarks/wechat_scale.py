"""Everything offline at the size of the paper's log: where 30 minutes and 16 GB go.

A synthetic log with the counts of RALM's Table 1: 2,984,724 users, 43,500 articles, 8,891,670 clicks, made of topics
(every user has one, popularity falls as 1/rank within each). Then both stages of the preset `paper`, one epoch each:
stage 1 on the first 70 % of the clicks, seeds from the next 15 %, samples with four negatives each from the last;
every user is embedded and the newest seeds of every article, at most 3,000,000, are clustered. There is no peer and
no floor: the rows say what each part takes. With --quick the counts are a tenth, and so are the goals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from harness import arguments, cores, peak_mb, report, rounded, table
from kinfolk.data.log import Codes, Events, Log, View
from kinfolk.data.order import stable_order
from kinfolk.data.windows import Windows
from kinfolk.lookalike.campaign import build_campaign
from kinfolk.lookalike.training import train_lookalike
from kinfolk.lookalike.weights import Weights
from kinfolk.presets import preset
from kinfolk.represent.embed import embed
from kinfolk.represent.train import train_represent
from kinfolk.schema import Categorical, History, Schema

USERS, ITEMS, CLICKS, TOPICS, SEED = 2_984_724, 43_500, 8_891_670, 50, 0
SCHEMA = Schema(user=(Categorical("city"), Categorical("age")), history=(History("history", 50),))


@dataclass
class Ledger:
    """Seconds of each part, memory held after it and the most held until then, in MB."""

    tell: Callable[..., None]
    rows: list[tuple[str, float, int, int]] = field(default_factory=list)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.rows.append((name, time.perf_counter() - began, held_mb(), peak_mb()))
        self.tell(f"{name}: {self.rows[-1][1]:.1f} s", flush=True)


def held_mb() -> int:
    """Memory that this process holds now."""
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def make_log(users: int, items: int, clicks: int) -> Log:
    """Clicks in the order of time; three of four on articles of the user's own topic."""
    rng = np.random.default_rng(SEED)
    taste = rng.integers(0, TOPICS, users)
    user = np.concatenate([rng.permutation(users), rng.integers(0, users, clicks - users)]).astype(np.int32)
    rng.shuffle(user)
    rank = np.exp(rng.random(clicks) * np.log(items // TOPICS + 1)).astype(np.int64) - 1
    topic = np.where(rng.random(clicks) < 0.75, taste[user], rng.integers(0, TOPICS, clicks))
    events = Events(user, (rank * TOPICS + topic).astype(np.int32), np.arange(clicks, dtype=np.float64),
                    np.zeros(clicks, np.int16))  # fmt: skip
    ids = [np.char.zfill(np.arange(n).astype(str), 7) for n in (users, items)]
    fields = {
        "city": Codes((taste + 1).astype(np.int32), np.arange(TOPICS).astype(str)),
        "age": Codes(rng.integers(1, 9, users).astype(np.int32), np.arange(8).astype(str)),
    }
    return Log("wechat-scale", SCHEMA, ids[0], ids[1], ("click",), events, users=fields)


def crowds_of(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Rows of users by item and offsets int64[M + 1]."""
    p = view.pairs
    order = stable_order(p.item)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(p.item, minlength=view.log.n_items))])
    return p.user[order].astype(np.int64), offsets


def main() -> None:
    args = arguments(__doc__ or "", threads=True)
    torch.set_num_threads(args.threads)
    tell = (lambda *_, **__: None) if args.json else print
    part = 10 if args.quick else 1
    ledger, paper = Ledger(tell), preset("paper")
    with ledger.part("synthetic log"):
        log = make_log(USERS // part, ITEMS // part, CLICKS // part)
        view = log.view(np.inf)
        windows = Windows.split(view, paper.seeds_share, paper.samples_share)
    with ledger.part("stage 1, one epoch"):
        config = replace(paper.represent, epochs=1, seed=SEED)
        learned = train_represent(log.view(windows.seeds_from), SCHEMA, config)
    with ledger.part("samples of stage 2"):

        def embedder(users: np.ndarray, now: float, without: np.ndarray) -> np.ndarray:
            return embed(learned, until, users, now=now, without=without)

        until = log.view(windows.until)
        campaign = build_campaign(until, windows, embedder, paper.campaign, seed=SEED)
    with ledger.part("stage 2, one epoch"):
        model, rows = train_lookalike(campaign, paper.lookalike, replace(paper.training, epochs=1), seed=SEED)
    samples = len(campaign)
    del campaign
    with ledger.part("embedding of all users"):
        universal = embed(learned, view, np.arange(log.n_users, dtype=np.int32))
    with ledger.part("transform of all users"):
        weights = Weights.of(model)
        lookalike = weights.transform(universal)
    with ledger.part("clustering of all articles"):
        seeds, offsets = crowds_of(view)
        made = weights.snapshots(lookalike, seeds, offsets, seed=SEED)
    total = sum(seconds for _, seconds, _, _ in ledger.rows)
    tell(table(("", "s", "MB held", "MB at most"), [(n, f"{s:.1f}", held, most) for n, s, held, most in ledger.rows]))
    tell(f"{total:.0f} s, goal {1800 / part:.0f}; {peak_mb()} MB, goal 16,384 for all of it")
    report(
        "wechat_scale",
        sizes={
            "users": log.n_users,
            "articles": log.n_items,
            "clicks": len(log.events),
            "samples_of_stage_2": samples,
            "seeds": len(seeds),
            "candidates_with_seeds": int((made.n_seeds > 0).sum()),
            "threads": args.threads,
            "cores": cores(),
            "seed": SEED,
        },
        ours_s=total,
        goal_s=1800 / part,
        validation_auc=rounded(rows[-1]["validation_auc"]),
        parts=[[n, rounded(s), held, most] for n, s, held, most in ledger.rows],
    )


if __name__ == "__main__":
    main()
