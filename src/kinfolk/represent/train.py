"""Training of stage 1: `train_represent`, an explicit loop over positives and sampled negatives.

Every epoch draws its order and its negatives from (seed, epoch) alone, so a run resumed after a kill goes on exactly as
the uninterrupted one would have, bit for bit on a CPU with the same number of threads.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kinfolk.data.log import View
from kinfolk.errors import BundleError, DataError, OptionError
from kinfolk.nn.checkpoint import load_checkpoint, optimiser_tensors, restore_optimiser, save_checkpoint
from kinfolk.nn.row_adam import RowAdam
from kinfolk.represent.concurrent import blocks_in_time, concurrent
from kinfolk.represent.encoder import EncoderConfig, UserEncoder
from kinfolk.represent.features import UserFeatures
from kinfolk.represent.loss import Contrast, draw, sampled_softmax
from kinfolk.represent.negatives import LogUniform
from kinfolk.represent.represented import Represented
from kinfolk.represent.samples import Samples, positives
from kinfolk.schema import Schema

_CHUNK = 1 << 15  # samples whose features are gathered at once


@dataclass(frozen=True)
class RepresentConfig:
    """How stage 1 is trained.

    Args:
        encoder: shape of the encoder.
        epochs: passes over the positives, at most.
        batch_size: positives a step.
        lr: learning rate of Adam; tables take lazy Adam (`RowAdam`).
        negatives: negatives for each positive, log-uniform by popularity rank.
        shared_negatives: distinct negatives shared by a whole batch, instead; much faster for the same number of
            contrasts.
        concurrent: instead of either, negatives are what others consumed at the same time (`concurrent`).
        logq: correct the logits for how often an item is drawn.
        tie_item_embeddings: the embeddings of the (first) history are those of the softmax.
        item_min_count: items that fewer users consumed are unknown.
        skip_unknown_items: leave unknown items out of histories instead of giving them the unknown code.
        max_positives_per_user: so that the most active users do not dominate; None means all.
        validation: share of the positives, the last in time, that training holds out to stop early; 0 holds out none.
        patience: epochs without a better validation loss before training stops.
        seed: of everything random.
        device: any torch device.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    epochs: int = 10
    batch_size: int = 256
    lr: float = 1e-3
    negatives: int = 10
    shared_negatives: int | None = None
    concurrent: bool = False
    logq: bool = False
    tie_item_embeddings: bool = False
    item_min_count: int = 1
    skip_unknown_items: bool = False
    max_positives_per_user: int | None = 50
    validation: float = 0.05
    patience: int = 2
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "negatives", "patience", "item_min_count"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give it a value of at least 1")
        for name in ("shared_negatives", "max_positives_per_user"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"{name} is {value}", "give it a value of at least 1, or leave it out")
        if not 0 <= self.validation < 1:
            raise OptionError(f"validation is {self.validation}", "use a share from 0 up to, not including, 1")
        if not self.lr > 0:
            raise OptionError(f"lr is {self.lr}", "use a positive learning rate")


@dataclass(frozen=True)
class Progress:
    """Where training is: `done` of `total` samples of an epoch (from 1), mean loss so far, and speed."""

    epoch: int
    epochs: int
    done: int
    total: int
    loss: float
    samples_per_s: float


def train_represent(
    view: View,
    schema: Schema,
    config: RepresentConfig | None = None,
    *,
    until: float | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    metrics_path: Path | None = None,
) -> Represented:
    """Learn universal user embeddings from what `view` shows.

    Args:
        view: the training time; nothing beyond it, and none of its removed items, is touched.
        schema: fields to use, a subset of the log's.
        config: how to train.
        until: an earlier end of the training time, in seconds.
        checkpoint: file written after every epoch (aside, then renamed).
        resume: go on from `checkpoint` if it is there.
        on_progress: called about every second and at the end of every epoch.
        metrics_path: file of one JSON line an epoch.

    Raises:
        DataError: nothing to learn from.
        BundleError: the checkpoint is damaged or of another run.
        SchemaError: the log lacks a field.
    """
    config = config or RepresentConfig()
    if until is not None and until < view.now:
        view = view.log.view(until, view.removed)
    options = {"item_min_count": config.item_min_count, "skip_unknown_items": config.skip_unknown_items}
    features = UserFeatures.fit(view, schema, **options)  # type: ignore[arg-type]  # mypy joins int and bool
    samples = positives(view, max_per_user=config.max_positives_per_user, seed=config.seed)
    samples = samples.take(features.item_codes(view.log)[samples.item] > 1)
    if len(samples) == 0:
        raise DataError(
            f"{view.log.name}: no click before {view.now:.0f} to learn from",
            "train on a longer log, or a later --until",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        run = Run(view, features, samples, config)
        rows = run.fit(checkpoint, resume, on_progress, metrics_path)
    return Represented(run.encoder.cpu().eval(), features, run.item_embeddings(), rows)


class Run:
    """One training run: weights, optimisers, and the samples they see."""

    def __init__(self, view: View, features: UserFeatures, samples: Samples, config: RepresentConfig) -> None:
        self.view, self.features, self.config = view, features, config
        self.device = torch.device(config.device)
        self.train, self.held_out = split(samples, config.validation)
        self.encoder = UserEncoder(features.schema, config.encoder, features.sizes)
        self.items: nn.Parameter | None = None
        self.first_row = 0
        if config.tie_item_embeddings:
            if not features.schema.history:
                raise OptionError("tie_item_embeddings without a history", "declare one, or do not tie")
            self.first_row = features.starts[features.schema.history[0].name] + 2
        else:
            std, m = config.encoder.init_std, config.encoder.embedding_size
            self.items = nn.Parameter((torch.randn(features.n_items, m) * std).to(self.device))
        self.encoder.to(self.device)
        self.ranks = LogUniform(features.n_items)
        tables = [] if self.encoder.fields is None else [self.encoder.fields.weight]
        tables += [] if self.items is None else [self.items]
        dense = [p for p in self.encoder.parameters() if all(p is not t for t in tables)]
        self.row_adam = RowAdam(tables, config.lr)
        self.adam = torch.optim.Adam(dense, config.lr, fused=self.device.type in ("cpu", "cuda"))

    @property
    def item_table(self) -> Tensor:
        """float[V, m]; item of rank r in row first_row + r."""
        if self.items is not None:
            return self.items
        assert self.encoder.fields is not None  # a history is looked up
        return self.encoder.fields.weight

    def item_embeddings(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """float32[D, m], a copy."""
        table = self.item_table.detach().cpu().numpy()
        return table[self.first_row : self.first_row + self.features.n_items].copy()

    def fit(
        self,
        checkpoint: Path | None,
        resume: bool,
        on_progress: Callable[[Progress], None] | None,
        metrics_path: Path | None,
    ) -> list[dict[str, float]]:
        """Train to the end; weights are the best ones where something was held out, else the last."""
        rows: list[dict[str, float]] = []
        best: dict[str, Tensor] | None = None
        if resume and checkpoint is not None:
            rows, best = self._resume(checkpoint)
        while len(rows) < self.config.epochs and not self._stalled(rows):
            rows.append(self.epoch(len(rows), on_progress))
            losses = [row["validation_loss"] for row in rows if "validation_loss" in row]
            if losses and losses[-1] == min(losses):
                best = {k: v.clone() for k, v in self._weights().items()}
            if checkpoint is not None:
                self._save(checkpoint, rows, best)
            if metrics_path is not None:
                _write(metrics_path, "".join(json.dumps(row) + "\n" for row in rows))
        if best is not None:
            self._load_weights(best)
        return rows

    def epoch(self, epoch: int, on_progress: Callable[[Progress], None] | None = None) -> dict[str, float]:
        """One pass over the training samples (`epoch` counts from 0); returns its row of metrics."""
        rng = np.random.default_rng([self.config.seed, epoch])
        torch.manual_seed(int(rng.integers(2**62)))
        self.encoder.train()
        n = len(self.train)
        order = blocks_in_time(n, self.config.batch_size, rng) if self.config.concurrent else rng.permutation(n)
        began = told = time.perf_counter()
        total, done = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for losses in self.losses(self.train, order, rng):
            self.step(losses)
            total += losses.detach().sum()
            done += len(losses)
            now = time.perf_counter()
            if on_progress is not None and (now - told > 1 or done == len(order)):
                told = now
                progress = (done, len(order), float(total) / done, done / (now - began))
                on_progress(Progress(epoch + 1, self.config.epochs, *progress))
        seconds = time.perf_counter() - began
        row = {"epoch": epoch + 1, "loss": float(total) / done, "seconds": seconds, "samples_per_s": done / seconds}
        if len(self.held_out):
            row["validation_loss"] = self.validation_loss()
        return row

    def step(self, losses: Tensor) -> None:
        """Go down the gradient of the mean of a batch's losses (float[B])."""
        losses.mean().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.update()

    def update(self) -> None:
        """Apply the gradients and forget them."""
        self.row_adam.step()
        self.adam.step()
        self.row_adam.zero_grad()
        self.adam.zero_grad()

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean loss of what was held out, always against the same negatives."""
        self.encoder.eval()
        rng = np.random.default_rng([self.config.seed, 2**32])
        parts = self.losses(self.held_out, np.arange(len(self.held_out)), rng)
        return float(sum(losses.double().sum() for losses in parts)) / len(self.held_out)

    def losses(self, samples: Samples, order: np.ndarray[Any, Any], rng: np.random.Generator) -> Iterator[Tensor]:
        """Yield float[B] of each batch of samples in the given order."""
        c, ranks = self.config, self.features.item_codes(self.view.log)[samples.item] - 2
        size = max(_CHUNK // c.batch_size, 1) * c.batch_size
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            part = samples.take(rows)
            chunk = self.features.batch(self.view, part.user, part.time, without=part.item)
            for first in range(0, len(rows), c.batch_size):
                last = min(first + c.batch_size, len(rows))
                contrast = self._contrast(part.user[first:last], ranks[rows[first:last]], rng).to(self.device)
                x = self.encoder(chunk.part(first, last).to(self.device))
                yield sampled_softmax(x, self.item_table, contrast, self.first_row)

    def _contrast(
        self, user: np.ndarray[Any, Any], rank: np.ndarray[Any, Any], rng: np.random.Generator
    ) -> Contrast:
        c = self.config
        if c.concurrent:
            return concurrent(user, rank)
        shared = None if c.shared_negatives is None else min(c.shared_negatives, max(self.features.n_items // 2, 1))
        return draw(rank, self.ranks, rng, negatives=c.negatives, shared=shared, logq=c.logq)

    def _stalled(self, rows: list[dict[str, float]]) -> bool:
        losses = [row["validation_loss"] for row in rows if "validation_loss" in row]
        return bool(losses) and len(losses) - 1 - losses.index(min(losses)) >= self.config.patience

    def _weights(self) -> dict[str, Tensor]:
        out = {f"encoder.{k}": v.detach() for k, v in self.encoder.state_dict().items()}
        return out if self.items is None else {**out, "items": self.items.detach()}

    @torch.no_grad()
    def _load_weights(self, weights: dict[str, Tensor]) -> None:
        for name, tensor in self._weights().items():
            tensor.copy_(weights[name])

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        config = {**asdict(self.config), "epochs": None, "device": None}
        data = {"log": self.view.log.name, "now": self.view.now, "samples": len(self.train) + len(self.held_out)}
        run: dict[str, Any] = json.loads(json.dumps({**config, **data, "sizes": self.features.sizes}))
        return run

    def _save(self, path: Path, rows: list[dict[str, float]], best: dict[str, Tensor] | None) -> None:
        tensors = {f"weights.{k}": v for k, v in self._weights().items()}
        tensors |= {f"row_adam.{k}": v for k, v in self.row_adam.state().items()}
        tensors |= optimiser_tensors(self.adam)
        tensors |= {f"best.{k}": v for k, v in (best or {}).items()}
        save_checkpoint(path, tensors, {"run": self._identity(), "rows": rows})

    def _resume(self, path: Path) -> tuple[list[dict[str, float]], dict[str, Tensor] | None]:
        found = load_checkpoint(path)
        if found is None:
            return [], None
        tensors, meta = found
        if meta.get("run") != self._identity():
            now, then = self._identity(), meta.get("run", {})
            changed = sorted(k for k in {*now, *then} if now.get(k) != then.get(k))
            raise BundleError(
                f"{path}: the checkpoint is of another run ({', '.join(changed)} differ)",
                "train with the same data and options, or without --resume",
            )
        self._load_weights(_under(tensors, "weights."))
        self.row_adam.load_state(_under(tensors, "row_adam."))
        restore_optimiser(self.adam, tensors)
        best = {k: v.to(self.device) for k, v in _under(tensors, "best.").items()}
        return meta["rows"], best or None


def split(samples: Samples, share: float) -> tuple[Samples, Samples]:
    """(train, held out): the last `share` in time is held out, as far as its items occur in the rest."""
    nothing = samples.take(slice(0, 0))
    if share == 0 or len(samples) < 2:
        return samples, nothing
    cut = samples.time[min(int(len(samples) * (1 - share)), len(samples) - 1)]
    first = int(np.searchsorted(samples.time, cut, side="left"))
    if first == 0:
        return samples, nothing
    train, rest = samples.take(slice(0, first)), samples.take(slice(first, None))
    return train, rest.take(np.isin(rest.item, train.item))


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
