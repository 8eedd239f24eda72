"""One training run of stage 1: weights, optimisers, the samples they see, and checkpoints (`Run`).

Every epoch draws its order and its negatives from (seed, epoch) alone, so a run resumed after a kill goes on exactly as
the uninterrupted one would have, bit for bit on a CPU with the same number of threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinfolk.data.log import View
from kinfolk.errors import OptionError
from kinfolk.nn.checkpoint import (
    load_own,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
    under,
    write_rows,
)
from kinfolk.nn.row_adam import RowAdam
from kinfolk.represent.concurrent import blocks_in_time, concurrent
from kinfolk.represent.config import Progress, RepresentConfig
from kinfolk.represent.encoder import UserEncoder
from kinfolk.represent.factors import activity_scale, item_factors
from kinfolk.represent.features import UserFeatures
from kinfolk.represent.loss import Contrast, draw, sampled_softmax
from kinfolk.represent.negatives import LogUniform
from kinfolk.represent.samples import Samples, split

_CHUNK = 1 << 15  # samples whose features are gathered at once


class Run:
    """One training run.

    Args:
        view: bounds what features of samples may show.
        features: of the model.
        samples: positives whose items the features know; the last in time are held out as `config` says.
        config: how to train.
    """

    def __init__(
        self,
        view: View,
        features: UserFeatures,
        samples: Samples,
        config: RepresentConfig,
    ) -> None:
        self.view, self.features, self.config = view, features, config
        self.device = torch.device(config.device)
        self.train, self.held_out = split(samples, config.validation)
        self.encoder = UserEncoder(features.schema, config.encoder, features.sizes)
        if self.encoder.factors is not None:
            found = item_factors(view, features, self.encoder.factors.shape[1], config.seed)
            self.encoder.factors.copy_(torch.from_numpy(found))
        if self.encoder.activity is not None:
            scale = activity_scale(view, features, config.encoder.factors)
            self.encoder.activity.copy_(torch.from_numpy(scale))
        self.items: nn.Parameter | None = None
        self.first_row = 0
        if config.tie_item_embeddings:
            if not features.schema.history:
                raise OptionError("tie_item_embeddings without a history", "declare one, or do not tie")
            self.first_row = features.starts[features.schema.history[0].name] + 2
        else:
            std, m = config.encoder.init_std, self.encoder.deep_size
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

    @property
    def epochs(self) -> int:
        """Passes at most."""
        return max(self.config.epochs, self._least)

    @property
    def _least(self) -> int:
        """Passes at least: those that `min_steps` take."""
        return -(-self.config.min_steps // max(-(-len(self.train) // self.config.batch_size), 1))

    def fit(
        self,
        checkpoint: Path | None,
        resume: bool,
        on_progress: Callable[[Progress], None] | None,
        metrics_path: Path | None,
        judge: Callable[[UserEncoder], float] | None = None,
    ) -> list[dict[str, float]]:
        """Train to the end; keeps the best weights where something is held out or a judge is there, else the last."""
        rows: list[dict[str, float]] = []
        best: dict[str, Tensor] | None = None
        if resume and checkpoint is not None:
            rows, best = self._resume(checkpoint)
        while len(rows) < self.epochs and not self._stalled(rows):
            rows.append(self.epoch(len(rows), on_progress))
            if judge is not None:
                rows[-1]["validation_auc"] = judge(self.encoder)
            verdicts = _verdicts(rows)
            if verdicts and verdicts[-1] == max(verdicts):
                best = {k: v.clone() for k, v in self._weights().items()}
            if checkpoint is not None:
                self._save(checkpoint, rows, best)
            if metrics_path is not None:
                write_rows(metrics_path, rows)
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
                on_progress(Progress(epoch + 1, self.epochs, *progress))
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
        c, items = self.config, self.features.item_codes(self.view.log)[samples.item] - 2
        size = max(_CHUNK // c.batch_size, 1) * c.batch_size
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            part = samples.take(rows)
            chunk = self.features.batch(self.view, part.user, part.time, without=part.item)
            for first in range(0, len(rows), c.batch_size):
                last = min(first + c.batch_size, len(rows))
                contrast = self._contrast(part.user[first:last], items[rows[first:last]], rng).to(self.device)
                x = self.encoder.deep(chunk.part(first, last).to(self.device))
                yield sampled_softmax(x, self.item_table, contrast, self.first_row)

    def _contrast(self, user: NDArray[np.int32], row: NDArray[np.int32], rng: np.random.Generator) -> Contrast:
        c = self.config
        if c.concurrent:
            return concurrent(user, row)
        shared = None if c.shared_negatives is None else min(c.shared_negatives, max(self.features.n_items // 2, 1))
        kinds = {"negatives": c.negatives, "shared": shared, "logq": c.logq}
        return draw(row, self.ranks, rng, **kinds)  # type: ignore[arg-type]  # mypy joins int, bool

    def _stalled(self, rows: list[dict[str, float]]) -> bool:
        verdicts = _verdicts(rows)
        if len(rows) < self._least:
            return False
        return bool(verdicts) and len(verdicts) - 1 - verdicts.index(max(verdicts)) >= self.config.patience

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
        data = {
            "log": self.view.log.name,
            "now": self.view.now,
            "removed": self.view.removed.tolist(),
            "samples": len(self.train) + len(self.held_out),
        }
        run: dict[str, Any] = json.loads(json.dumps({**config, **data, "sizes": self.features.sizes}))
        return run

    def _save(self, path: Path, rows: list[dict[str, float]], best: dict[str, Tensor] | None) -> None:
        tensors = {f"weights.{k}": v for k, v in self._weights().items()}
        tensors |= {f"row_adam.{k}": v for k, v in self.row_adam.state().items()}
        tensors |= optimiser_tensors(self.adam)
        tensors |= {f"best.{k}": v for k, v in (best or {}).items()}
        save_checkpoint(path, tensors, {"run": self._identity(), "rows": rows})

    def _resume(self, path: Path) -> tuple[list[dict[str, float]], dict[str, Tensor] | None]:
        found = load_own(path, self._identity())
        if found is None:
            return [], None
        tensors, meta = found
        self._load_weights(under(tensors, "weights."))
        self.row_adam.load_state(under(tensors, "row_adam."))
        restore_optimiser(self.adam, tensors)
        best = {k: v.to(self.device) for k, v in under(tensors, "best.").items()}
        return meta["rows"], best or None


def _verdicts(rows: list[dict[str, float]]) -> list[float]:
    """How good each epoch was, higher is better; empty if nobody said."""
    if rows and "validation_auc" in rows[0]:
        return [row["validation_auc"] for row in rows]
    return [-row["validation_loss"] for row in rows if "validation_loss" in row]
