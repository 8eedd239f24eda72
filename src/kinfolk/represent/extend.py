"""Learn items born after training without moving anything else: `extend_items`.

News grows old within days, and an encoder that does not know what its users read today says little. Retraining moves
every coordinate, so that stored vectors and centroids become worthless; here all weights stay as they are, bit for bit,
and only the new items' rows (as history and as the softmax's item) learn, from the later events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinfolk.data.log import View
from kinfolk.represent.config import Progress, RepresentConfig
from kinfolk.represent.features import UserFeatures
from kinfolk.represent.represented import Represented
from kinfolk.represent.run import Run
from kinfolk.represent.samples import positives


def extend_items(
    model: Represented,
    view: View,
    since: float,
    config: RepresentConfig | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    metrics_path: Path | None = None,
) -> Represented:
    """Give the items that the model does not know rows of their own, and train these alone.

    Args:
        model: stays as it is.
        view: what may be learned from.
        since: positives before this moment (seconds) are left out, usually the end of the model's training.
        config: how to train; its encoder and `item_min_count` in force are the model's and the given one's.
        on_progress, metrics_path: as in `train_represent`.

    Returns:
        A model that knows the old items under their old ranks and the new ones after them, most frequent first. Users
        whose histories hold no new item have the vectors they had. The same model if there is no new item to learn.
    """
    config = config or RepresentConfig()
    config = replace(config, encoder=model.encoder.config, tie_item_embeddings=_tied(model))
    old, log = model.features, view.log
    counts = np.bincount(view.pairs.item, minlength=log.n_items)
    new = np.flatnonzero((old.item_codes(log) == 1) & (counts >= config.item_min_count))
    new = new[np.argsort(-counts[new], kind="stable")]
    features = replace(old, item_ids=np.concatenate([old.item_ids, log.item_ids[new]]), _coded=[])
    samples = positives(view, max_per_user=config.max_positives_per_user, seed=config.seed, since=since)
    samples = samples.take(features.item_codes(log)[samples.item] > 1)
    if len(new) == 0 or len(samples) == 0:
        return model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        run = Run(view, features, samples, config, _by_recent_count(view, features, since))
        _take_over(run, model)
        rows = run.fit(None, False, on_progress, metrics_path)
    return Represented(run.encoder.cpu().eval(), features, run.item_embeddings(), [*model.metrics, *rows])


def _tied(model: Represented) -> bool:
    if model.encoder.fields is None or not model.features.schema.history:
        return False
    start = model.features.starts[model.features.schema.history[0].name] + 2
    table = model.encoder.fields.weight.detach().cpu().numpy()
    return bool(np.array_equal(table[start : start + model.features.n_items], model.item_embeddings))


def _by_recent_count(view: View, features: UserFeatures, since: float) -> NDArray[np.int32]:
    """int32[D]: ranks of the features' items, the most often consumed since then first."""
    p = view.pairs
    codes = features.item_codes(view.log)[p.item[np.searchsorted(p.time, since, side="left") :]]
    counts = np.bincount(codes, minlength=features.n_items + 2)[2:]
    return np.argsort(-counts, kind="stable").astype(np.int32)


@torch.no_grad()
def _take_over(run: Run, model: Represented) -> None:
    """Put the model's weights into the run and let only the rows of new items learn."""
    old, new, D = model.features, run.features, model.features.n_items
    weights = dict(model.encoder.named_parameters())
    for name, parameter in run.encoder.named_parameters():
        if name != "fields.weight":
            parameter.copy_(weights[name])
            parameter.requires_grad_(False)
    if run.encoder.fields is not None:
        table = run.encoder.fields.weight
        learn = torch.zeros(len(table), dtype=torch.bool, device=table.device)
        for name, size in old.sizes.items():
            at = new.starts[name]
            table[at : at + size] = weights["fields.weight"][old.starts[name] : old.starts[name] + size].to(
                table.device
            )
            learn[at + size : at + new.sizes[name]] = True
        _only(table, learn)
    if run.items is not None:
        run.items[:D] = torch.from_numpy(model.item_embeddings).to(run.items.device)
        _only(run.items, torch.arange(len(run.items), device=run.items.device) >= D)


def _only(table: Tensor, learn: Tensor) -> None:
    """Let only the rows where `learn` (bool[V]) is True have a gradient."""

    def rows(grad: Tensor) -> Tensor:
        index, values = grad._indices(), grad._values()
        kept = learn[index[0]]
        return torch.sparse_coo_tensor(index[:, kept], values[kept], grad.shape, check_invariants=False)

    table.register_hook(rows)  # type: ignore[no-untyped-call]  # untyped in torch
