"""Training of stage 1 beside torch-rechub's YoutubeDNN: the same positives, fields, sizes, batch, Adam, negatives.

Both see 1,000,000 positives of 100,000 users and 100,000 items, each with two univalent fields, one multivalent
(4 values), two numbers and a history of 50, 10 log-uniform negatives a positive, embeddings of 128 and an MLP of
(128, 128). Ours reads the log: gathering features and drawing negatives is inside its time. The peer runs its own
`MatchTrainer` epoch over tensors that were batched, padded and given negatives beforehand: that work is outside its
time. Seconds are those of a fixed number of steps, ours and the peer's in turn, scaled to all positives; the fastest
turn of each counts.

`tied`: one item table for history and softmax, as in the peer's examples; this decides `peer_over_ours`. `untied`: two
tables on both sides, kinfolk's default. kinfolk steps tables by lazy (sparse) Adam, torch-rechub by dense Adam.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Codes, Events, JaggedCodes, Log, Numbers
from kinfolk.represent import EncoderConfig, RepresentConfig, Samples, UserFeatures
from kinfolk.represent.loss import draw, sampled_softmax
from kinfolk.represent.negatives import LogUniform
from kinfolk.represent.run import Run
from kinfolk.schema import Categorical, Continuous, History, MultiCategorical, Schema

USERS, ITEMS, POSITIVES, LENGTH, NEGATIVES, SIZE, TASTES = 100_000, 100_000, 1_000_000, 50, 10, 128, 50
SCHEMA = Schema(
    user=(Categorical("city"), Categorical("job"), MultiCategorical("tags"), Continuous("age"), Continuous("visits")),
    history=(History("history", LENGTH),),
)


def make_log(seed: int = 0) -> Log:
    """60 clicks of every user, three of four on items of their own taste, popularity log-uniform."""
    rng = np.random.default_rng(seed)
    clicks = LENGTH + POSITIVES // USERS
    taste = rng.integers(0, TASTES, USERS)
    user = np.repeat(np.arange(USERS, dtype=np.int32), clicks)
    rank = LogUniform(ITEMS // TASTES).sample((len(user),), rng)
    own = np.where(rng.random(len(user)) < 0.75, taste[user], rng.integers(0, TASTES, len(user)))
    order = np.argsort(np.tile(np.arange(clicks), USERS), kind="stable")  # everyone's first click, then the second ...
    item = (rank * TASTES + own).astype(np.int32)
    events = Events(user[order], item[order], np.arange(len(user), dtype=np.float64), np.zeros(len(user), np.int16))
    tags = rng.integers(1, 201, (USERS, 4)).astype(np.int32)
    users = {
        "city": Codes(taste.astype(np.int32) + 1, np.arange(TASTES).astype(str)),
        "job": Codes(rng.integers(1, 1001, USERS).astype(np.int32), np.arange(1000).astype(str)),
        "tags": JaggedCodes(Jagged(tags.ravel(), np.arange(0, 4 * USERS + 1, 4)), np.arange(200).astype(str)),
        "age": Numbers(rng.random(USERS).astype(np.float32)),
        "visits": Numbers(rng.random(USERS).astype(np.float32)),
    }
    ids = [np.char.zfill(np.arange(n).astype(str), 6) for n in (USERS, ITEMS)]
    return Log("bench", SCHEMA, ids[0], ids[1], ("click",), events, users=users)


def ours(log: Log, config: RepresentConfig) -> tuple[Run, Samples]:
    """A run of kinfolk over the last clicks of everyone."""
    view = log.view(np.inf)
    p = view.pairs
    last = slice(len(p) - POSITIVES, None)
    samples = Samples(p.user[last], p.item[last], p.time[last])
    torch.manual_seed(0)
    return Run(view, UserFeatures.fit(view, SCHEMA), samples, config), samples


def step_ours(run: Run) -> Callable[[int], None]:
    """A function that trains n steps, going on where it stopped."""
    rng = np.random.default_rng(0)

    def batches() -> Iterator[Tensor]:
        while True:
            yield from run.losses(run.train, rng.permutation(len(run.train)), rng)

    endless = batches()

    def steps(n: int) -> None:
        for _ in range(n):
            run.step(next(endless))

    return steps


def step_peer(run: Run, batch_size: int, tied: bool, distinct: int) -> Callable[[int], None]:
    """A function that trains torch-rechub n steps on `distinct` prepared batches, over and over."""
    from torch_rechub.basic.features import DenseFeature, SequenceFeature, SparseFeature
    from torch_rechub.models.matching import YoutubeDNN
    from torch_rechub.trainers import MatchTrainer

    torch.manual_seed(0)
    sizes, vocabulary = run.features.sizes, ITEMS + 2
    shared = "item" if tied else None
    user = [
        SparseFeature("city", sizes["city"], SIZE),
        SparseFeature("job", sizes["job"], SIZE),
        SequenceFeature("tags", sizes["tags"], SIZE, padding_idx=0),
        DenseFeature("age"),
        DenseFeature("visits"),
        SequenceFeature("history", vocabulary, SIZE, shared_with=shared, padding_idx=0),
    ]
    item = [SparseFeature("item", vocabulary, SIZE)]
    negative = [SequenceFeature("negatives", vocabulary, SIZE, pooling="concat", shared_with="item")]
    model = YoutubeDNN(user, item, negative, {"dims": [SIZE, SIZE]}, temperature=0.05)
    rng = np.random.default_rng(0)
    prepared = [peer_batch(run, batch_size, rng) for _ in range(distinct)]
    trainer = MatchTrainer(model, mode=2, optimizer_params={"lr": 1e-3}, n_epoch=1)

    def steps(n: int) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            trainer.train_one_epoch([prepared[i % distinct] for i in range(n)])

    return steps


def peer_batch(run: Run, batch_size: int, rng: np.random.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """What kinfolk's batch holds, padded, int64."""
    part = run.train.take(rng.integers(0, len(run.train), batch_size))
    batch = run.features.batch(run.view, part.user, part.time, without=part.item)
    offsets, starts, x = batch.offsets.numpy(), run.features.starts, {}
    for i, (name, width) in enumerate({"city": 1, "job": 1, "tags": 4, "history": LENGTH}.items()):
        rows = np.zeros((batch_size, width), np.int64)
        begin, end = offsets[:-1][i :: batch.n_lookups], offsets[1:][i :: batch.n_lookups]
        for b in range(batch_size):
            rows[b, : end[b] - begin[b]] = batch.index.numpy()[begin[b] : end[b]] - starts[name]
        x[name] = torch.from_numpy(rows[:, 0] if width == 1 else rows)
    x["age"], x["visits"] = batch.numbers[:, 0].clone(), batch.numbers[:, 1].clone()
    x["item"] = torch.from_numpy(run.features.item_codes(run.view.log)[part.item].astype(np.int64))
    x["negatives"] = torch.from_numpy(run.ranks.sample((batch_size, NEGATIVES), rng).astype(np.int64) + 2)
    return x, torch.zeros(batch_size, dtype=torch.long)


def in_turn(mine: Callable[[int], None], theirs: Callable[[int], None], n: int, repeats: int) -> tuple[float, float]:
    """Fastest seconds a step of each, after one warm-up."""
    best = [np.inf, np.inf]
    for steps in (mine, theirs):
        steps(2)
    for _ in range(repeats):
        for i, steps in enumerate((mine, theirs)):
            began = time.perf_counter()
            steps(n)
            best[i] = min(best[i], (time.perf_counter() - began) / n)
    return best[0], best[1]


def shares(run: Run, batch_size: int, steps: int) -> dict[str, float]:
    """Share of a step's time in each of its parts, forwards and backwards together."""
    spent: dict[str, float] = defaultdict(float)
    encoder, rng = run.encoder, np.random.default_rng(1)
    ranks = run.features.item_codes(run.view.log)[run.train.item] - 2

    def timed(name: str, f: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        out = f()
        spent[name] += time.perf_counter() - began
        return out

    for _ in range(steps):
        rows = rng.integers(0, len(run.train), batch_size)
        part = run.train.take(rows)
        batch = timed("gather", lambda p=part: run.features.batch(run.view, p.user, p.time, without=p.item))
        contrast = timed("negatives", lambda r=rows: draw(ranks[r], run.ranks, rng, negatives=NEGATIVES))
        M = timed("embedding and merge", lambda b=batch: encoder.merged(b)[0])
        M_ = M.detach().requires_grad_()
        x = timed("mlp", lambda v=M_: encoder.mlp(v))
        x_ = x.detach().requires_grad_()
        loss = timed("loss", lambda v=x_, c=contrast: sampled_softmax(v, run.item_table, c, run.first_row).mean())
        timed("loss", loss.backward)
        timed("mlp", lambda x=x, g=x_: x.backward(g.grad))
        timed("embedding and merge", lambda M=M, g=M_: M.backward(g.grad))
        timed("optimiser", run.update)
    total = sum(spent.values())
    return {name: round(s / total, 3) for name, s in spent.items()}


def shared_against_own(log: Log, config: RepresentConfig, shared: int, repeats: int) -> dict[str, Any]:
    """One epoch each with negatives of their own and with shared ones; held-out loss measured in the same way."""
    out: dict[str, Any] = {"shared_negatives": shared, "batch": config.batch_size}
    for name, variant in (("own", config), ("shared", replace(config, shared_negatives=shared))):
        seconds = np.inf
        for _ in range(repeats):
            run, _ = ours(log, replace(variant, validation=0.05))
            row = run.epoch(0)
            seconds = min(seconds, row["seconds"])
        run.config = replace(run.config, shared_negatives=None)
        out[name] = {"seconds": round(seconds, 2), "validation_loss": round(run.validation_loss(), 4)}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    parser.add_argument("--quick", action="store_true", help="fewer steps and repeats; the same sizes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tell = (lambda *_: None) if args.json else print
    repeats = 3 if args.quick else 5
    log = make_log()
    base = RepresentConfig(
        encoder=EncoderConfig(embedding_size=SIZE, hidden=(SIZE,)), validation=0, negatives=NEGATIVES
    )
    rows: dict[str, dict[str, Any]] = {}
    tell(f"{'tables':8}{'merge':12}{'batch':>7}{'ours s':>10}{'peer s':>10}{'peer/ours':>11}")
    cases = [(True, "attention", 256), (True, "attention", 4096), (False, "attention", 256), (False, "attention", 4096)]
    cases += [] if args.quick else [(True, "concat", 256), (True, "concat", 4096)]
    for tied, merge, batch_size in cases:
        config = replace(
            base, batch_size=batch_size, tie_item_embeddings=tied, encoder=replace(base.encoder, merge=merge)
        )
        run, _ = ours(log, config)
        n = (20 if args.quick else 100) if batch_size == 256 else (4 if args.quick else 20)
        mine, theirs = in_turn(step_ours(run), step_peer(run, batch_size, tied, distinct=8), n, repeats)
        scale = POSITIVES / batch_size
        row = {"ours_s": round(mine * scale, 2), "peer_s": round(theirs * scale, 2), "ratio": round(theirs / mine, 2)}
        rows[f"{'tied' if tied else 'untied'} {merge} {batch_size}"] = row
        row["shares"] = shares(run, batch_size, n)
        tables = "tied" if tied else "untied"
        tell(f"{tables:8}{merge:12}{batch_size:7}{row['ours_s']:10.2f}{row['peer_s']:10.2f}{row['ratio']:11.2f}")
    smaller = min((rows[f"tied attention {b}"] for b in (256, 4096)), key=lambda r: r["ratio"])
    shared = shared_against_own(log, replace(base, batch_size=4096), 1024, 1 if args.quick else 2)
    if not args.json:
        for name, row in rows.items():
            print(f"{name:24}", "  ".join(f"{k} {v:.0%}" for k, v in row["shares"].items()))
        print("shared negatives:", shared)
    line = {
        "bench": "train_represent",
        "ours_s": smaller["ours_s"],
        "peer_s": smaller["peer_s"],
        "limit_s": None,
        "peer_over_ours": smaller["ratio"],
        "identical": None,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "sizes": {
            "positives": POSITIVES,
            "users": USERS,
            "items": ITEMS,
            "history": LENGTH,
            "fields": 6,
            "embedding": SIZE,
            "negatives": NEGATIVES,
            "threads": args.threads,
        },
        "cases": rows,
        "shared_negatives": shared,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
