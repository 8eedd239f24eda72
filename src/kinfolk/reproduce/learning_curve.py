"""Stage 1 watched while it learns: AUC and loss on fixed pairs of the test and of training, at chosen batches.

A pair is (user, moment, item they consumed then), against items that others consumed in the same time; the user is seen
by what was known strictly before that moment, without the item, as in training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from kinfolk.data.log import Log, View
from kinfolk.errors import ProtocolError
from kinfolk.evaluate.protocol import Protocol
from kinfolk.represent.batch import UserBatch
from kinfolk.represent.config import RepresentConfig
from kinfolk.represent.features import UserFeatures
from kinfolk.represent.run import Run
from kinfolk.represent.samples import positives
from kinfolk.schema import Schema

_AT_ONCE = 1000


@dataclass(frozen=True)
class Pairs:
    """P fixed questions.

    Args:
        user, item: int32[P] rows of the log. time: float64[P] s.
        others: int32[P, Q] item rows to rank `item` against; -1 where the drawn one is none (the user met it).
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.float64]
    others: NDArray[np.int32]

    @classmethod
    def draw(
        cls,
        log: Log,
        user: NDArray[np.int32],
        item: NDArray[np.int32],
        time: NDArray[np.float64],
        *,
        most: int,
        others: int,
        seed: int,
    ) -> Pairs:
        """At most `most` of the given pairs, each against items of other pairs, as often as they occur there."""
        rng = np.random.default_rng([seed, 11])
        rows = np.sort(rng.permutation(len(user))[:most])
        drawn = item[rng.integers(0, len(item), (len(rows), others))]
        known = np.sort(log.pairs.user.astype(np.int64) * log.n_items + log.pairs.item)
        key = user[rows, None].astype(np.int64) * log.n_items + drawn
        met = known[np.minimum(np.searchsorted(known, key), len(known) - 1)] == key
        return cls(user[rows], item[rows], time[rows], np.where(met, -1, drawn).astype(np.int32))


@dataclass(frozen=True)
class Watched:
    """A training with its two sets of pairs, read once.

    Args:
        run: the training; nothing is held out.
        test, seen: (batch of P users, rank int64[P] of each item, rank int64[P, Q] of the others, -1 for none).
    """

    run: Run
    test: tuple[UserBatch, NDArray[np.int64], NDArray[np.int64]]
    seen: tuple[UserBatch, NDArray[np.int64], NDArray[np.int64]]


def watch(
    log: Log, terms: Protocol, schema: Schema, config: RepresentConfig, *, most: int = 4000, others: int = 50
) -> Watched:
    """Make a training on what happened before t1, and draw its pairs; the same pairs for every config and schema.

    Args:
        log, terms: test pairs are first clicks in [t1, t1 + window) on items that training knows.
        schema: the fields to use.
        config: of training; its validation share is not used.
        most, others: P and Q.

    Raises:
        ProtocolError: too few pairs.
    """
    view = log.view(terms.t1)
    kinds = {"item_min_count": config.item_min_count, "skip_unknown_items": config.skip_unknown_items}
    features = UserFeatures.fit(view, schema, **kinds)  # type: ignore[arg-type]  # mypy joins int and bool
    codes = features.item_codes(log)
    samples = positives(view, max_per_user=config.max_positives_per_user, seed=config.seed)
    samples = samples.take(codes[samples.item] > 1)
    every = log.pairs
    low, high = np.searchsorted(every.time, [terms.t1, min(terms.ends(log), terms.t1 + terms.window)])
    rows = low + np.flatnonzero(codes[every.item[low:high]] > 1)
    if len(rows) < 20 or len(samples) < 20:
        raise ProtocolError(
            f"{log.name}: {len(samples)} clicks to learn from, {len(rows)} on items known before t1 = {terms.t1:.0f}",
            "run it on a longer log",
        )
    size = {"most": most, "others": others, "seed": terms.seed}
    test = Pairs.draw(log, every.user[rows], every.item[rows], np.asarray(every.time)[rows], **size)
    seen = Pairs.draw(log, samples.user, samples.item, samples.time, **size)
    end = log.view(np.inf)

    def read(pairs: Pairs, source: View) -> tuple[UserBatch, NDArray[np.int64], NDArray[np.int64]]:
        batch = features.batch(source, pairs.user, pairs.time, pairs.item)
        ranks = codes.astype(np.int64) - 2
        others = np.where(pairs.others >= 0, ranks[pairs.others], -1)
        return batch, ranks[pairs.item], np.where(others >= 0, others, -1)

    torch.manual_seed(config.seed)
    run = Run(view, features, samples, replace(config, validation=0.0))
    return Watched(run, read(test, end), read(seen, view))


def learn(
    watched: Watched, epochs: int, looks: int, on_look: Callable[[int, int, float], None] | None = None
) -> pl.DataFrame:
    """Train for whole epochs and look at chosen batches, more of them early on.

    Returns: one row a look: step (batches so far), steps, auc and loss (of the test pairs), seen_auc (of training's
        own pairs), train_loss (mean over the batches since the last look). `on_look` gets step, steps, train_loss.
    """
    run, config = watched.run, watched.run.config
    n = len(run.train)
    steps = epochs * -(-n // config.batch_size)
    marks = set(np.maximum(np.round(steps * np.linspace(0, 1, looks + 1)[1:] ** 1.5), 1).astype(int).tolist())
    rows: list[dict[str, float]] = []
    step, losses_since = 0, []
    for epoch in range(epochs):
        rng = np.random.default_rng([config.seed, epoch])
        torch.manual_seed(int(rng.integers(2**62)))
        run.encoder.train()
        for losses in run.losses(run.train, rng.permutation(n), rng):
            run.step(losses)
            losses_since.append(float(losses.detach().mean()))
            step += 1
            if step in marks:
                auc, loss = _measured(run, *watched.test)
                seen, _ = _measured(run, *watched.seen)
                mean = float(np.mean(losses_since))
                rows.append(
                    {"step": step, "steps": steps, "auc": auc, "loss": loss, "seen_auc": seen, "train_loss": mean}
                )
                losses_since = []
                run.encoder.train()
                if on_look is not None:
                    on_look(step, steps, mean)
    return pl.DataFrame(rows, schema_overrides={"step": pl.Int64, "steps": pl.Int64})


@torch.no_grad()
def field_weights(watched: Watched) -> dict[str, float]:
    """field -> mean attention weight over the users of the test pairs."""
    run = watched.run
    run.encoder.eval()
    _, w = run.encoder(watched.test[0].to(run.device), return_weights=True)
    return dict(zip(run.encoder.field_names, w.double().mean(0).tolist(), strict=True))


@torch.no_grad()
def _measured(run: Run, batch: UserBatch, own: NDArray[np.int64], others: NDArray[np.int64]) -> tuple[float, float]:
    """(AUC, cross entropy) of every pair's item against its others, a mean over pairs."""
    run.encoder.eval()
    table, above, pairs, loss = run.item_table, 0.0, 0.0, 0.0
    for first in range(0, len(own), _AT_ONCE):
        part = slice(first, min(first + _AT_ONCE, len(own)))
        x = run.encoder(batch.part(part.start, part.stop).to(run.device))
        there = torch.from_numpy(others[part] >= 0)
        right = (x * table[torch.from_numpy(own[part]) + run.first_row]).sum(-1)
        rows = torch.from_numpy(np.maximum(others[part], 0)) + run.first_row
        wrong = torch.einsum("pqm,pm->pq", table[rows], x)
        better = ((right[:, None] > wrong).double() + 0.5 * (right[:, None] == wrong).double()) * there
        asked = there.any(1)
        above += float((better.sum(1) / there.sum(1).clamp_min(1))[asked].sum())
        pairs += float(asked.sum())
        logits = torch.cat([right[:, None], wrong.masked_fill(~there, -torch.inf)], 1)
        loss += float((torch.logsumexp(logits, 1) - right)[asked].double().sum())
    return above / max(pairs, 1.0), loss / max(pairs, 1.0)
