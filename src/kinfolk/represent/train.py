"""Training of stage 1: `train_represent`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kinfolk.data.log import View
from kinfolk.errors import DataError
from kinfolk.represent.config import Progress, RepresentConfig
from kinfolk.represent.features import UserFeatures
from kinfolk.represent.represented import Represented
from kinfolk.represent.run import Run
from kinfolk.represent.samples import positives
from kinfolk.schema import Schema

__all__ = ["Progress", "RepresentConfig", "train_represent"]


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
    judge: Callable[[Represented], float] | None = None,
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
        judge: says after every epoch how good the model is, higher is better; the best one is kept, in place of the one
            with the least loss on what `config.validation` holds out.

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
    nothing = np.zeros((0, 0), np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        run = Run(view, features, samples, config)
        judged = None if judge is None else lambda encoder: judge(Represented(encoder, features, nothing, []))
        rows = run.fit(checkpoint, resume, on_progress, metrics_path, judged)
    return Represented(run.encoder.cpu().eval(), features, run.item_embeddings(), rows)
