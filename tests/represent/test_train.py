from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from kinfolk.data.log import Events, Log
from kinfolk.errors import BundleError, DataError, OptionError
from kinfolk.represent import EncoderConfig, Progress, RepresentConfig, Represented, embed, train_represent
from kinfolk.represent.samples import positives, split

CONFIG = RepresentConfig(
    encoder=EncoderConfig(embedding_size=16, attention_size=8, hidden=(16,), dropout=0.1),
    epochs=4,
    batch_size=64,
    lr=0.01,
    validation=0.2,
    patience=10,
    seed=3,
)


class KilledError(Exception):
    pass


def same(a: Represented, b: Represented) -> bool:
    one, other = a.to_tensors()[0], b.to_tensors()[0]
    return all(np.array_equal(one[k], other[k]) for k in one) and one.keys() == other.keys()


def losses(model: Represented) -> list[tuple[float, float | None]]:
    return [(row["loss"], row.get("validation_loss")) for row in model.metrics]


@pytest.mark.parametrize(
    "options",
    [{}, {"shared_negatives": 8, "logq": True}, {"tie_item_embeddings": True}, {"logq": True}, {"concurrent": True}],
)
def test_training_learns_who_likes_what(make_log: Callable[..., Log], options: dict[str, object]) -> None:
    log = make_log(n_users=120, n_items=200, n_events=3000)
    model = train_represent(log.view(1e9), log.schema, replace(CONFIG, **options))  # type: ignore[arg-type]  # options vary
    validation = [row["validation_loss"] for row in model.metrics]
    assert min(validation) < validation[0]
    assert model.metrics[-1]["loss"] < model.metrics[0]["loss"]
    x = embed(model, log, np.arange(log.n_users))
    city = log.users["city"].codes  # type: ignore[union-attr]  # a categorical column: the user's taste, where known
    known = city > 0
    near = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (x / np.linalg.norm(x, axis=1, keepdims=True)).T
    alike = city[:, None] == city
    pairs = known[:, None] & known & ~np.eye(len(x), dtype=bool)
    assert near[pairs & alike].mean() > near[pairs & ~alike].mean() + 0.2
    scores = x @ model.item_embeddings.T
    taste = np.array([int(i[1:]) % 4 for i in model.features.item_ids])
    own = taste == (city[:, None] - 1)
    assert scores[known][own[known]].mean() > scores[known][~own[known]].mean()


def test_the_same_seed_repeats_bit_for_bit_and_another_does_not(log: Log) -> None:
    a, b = (train_represent(log.view(150.0), log.schema, CONFIG) for _ in range(2))
    assert same(a, b)
    assert losses(a) == losses(b)
    assert not same(a, train_represent(log.view(150.0), log.schema, replace(CONFIG, seed=4)))


@pytest.mark.parametrize("options", [{}, {"tie_item_embeddings": True}, {"validation": 0.0, "shared_negatives": 5}])
def test_a_killed_run_resumes_to_the_same_bits(log: Log, tmp_path: Path, options: dict[str, object]) -> None:
    config = replace(CONFIG, **options)  # type: ignore[arg-type]  # options vary
    view, file, lines = log.view(150.0), tmp_path / "stage1.safetensors", tmp_path / "metrics.jsonl"
    whole = train_represent(view, log.schema, config)

    def kill(p: Progress) -> None:
        if p.epoch == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train_represent(view, log.schema, config, checkpoint=file, metrics_path=lines, on_progress=kill)
    assert len(lines.read_text().splitlines()) == 2
    resumed = train_represent(view, log.schema, config, checkpoint=file, resume=True, metrics_path=lines)
    assert same(whole, resumed)
    assert losses(whole) == losses(resumed)
    assert [json.loads(line)["epoch"] for line in lines.read_text().splitlines()] == [1, 2, 3, 4]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.jsonl", "stage1.safetensors"]
    with safe_open(file, framework="np") as f:  # readable without torch, so nothing in it is code
        assert any(name.startswith("row_adam.") for name in f.keys())  # noqa: SIM118  # safe_open is not a dict


def test_a_checkpoint_of_another_run_is_refused(log: Log, tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    train_represent(log.view(150.0), log.schema, replace(CONFIG, epochs=1), checkpoint=file)
    with pytest.raises(BundleError, match="lr differ"):
        train_represent(log.view(150.0), log.schema, replace(CONFIG, lr=0.5), checkpoint=file, resume=True)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BundleError, match="damaged"):
        train_represent(log.view(150.0), log.schema, CONFIG, checkpoint=file, resume=True)


def test_nothing_after_until_moves_a_weight(log: Log) -> None:
    e = log.events
    later = e.time >= 90
    moved = replace(log, events=Events(e.user, np.where(later, 0, e.item).astype(np.int32), e.time, e.kind, e.context))
    a = train_represent(log.view(90.0), log.schema, CONFIG)
    assert same(a, train_represent(log.view(150.0), log.schema, CONFIG, until=90.0))
    assert same(a, train_represent(moved.view(150.0), log.schema, CONFIG, until=90.0))


def test_removed_items_are_not_learned(log: Log) -> None:
    model = train_represent(log.view(150.0, np.array([0, 5])), log.schema, replace(CONFIG, epochs=1))
    assert not set(log.item_ids[[0, 5]].tolist()) & set(model.features.item_ids.tolist())


def test_early_stopping_keeps_the_best_weights(log: Log) -> None:
    wild = replace(CONFIG, epochs=30, patience=2, lr=0.1)
    model = train_represent(log.view(150.0), log.schema, wild)
    validation = [row["validation_loss"] for row in model.metrics]
    best = int(np.argmin(validation))
    assert len(validation) == best + 1 + 2 < 30
    assert same(model, train_represent(log.view(150.0), log.schema, replace(wild, epochs=best + 1)))


def test_training_goes_on_for_the_least_number_of_steps(log: Log) -> None:
    """However bad the loss looks: neither `epochs` nor `patience` ends it earlier."""
    view = log.view(150.0)
    wild = replace(CONFIG, epochs=1, patience=1, lr=0.5, batch_size=16)
    seen: list[int] = []
    one = train_represent(view, log.schema, wild, on_progress=lambda p: seen.append(p.total))
    assert len(one.metrics) == 1
    steps = -(-seen[-1] // 16)
    longer = train_represent(view, log.schema, replace(wild, min_steps=3 * steps + 1))
    assert len(longer.metrics) == 4


def test_what_is_held_out_is_the_last_in_time(log: Log) -> None:
    samples = positives(log.view(150.0))
    train, held_out = split(samples, 0.2)
    assert train.time.max() < held_out.time.min()
    assert set(held_out.item.tolist()) <= set(train.item.tolist())
    assert 0.1 < len(held_out) / len(samples) < 0.3
    assert len(split(samples, 0.0)[1]) == 0
    assert len(split(samples.take(slice(0, 1)), 0.5)[0]) == 1


def test_progress_ends_with_the_whole_epoch(log: Log) -> None:
    told: list[Progress] = []
    train_represent(log.view(150.0), log.schema, CONFIG, on_progress=told.append)
    ends = [p for p in told if p.done == p.total]
    assert [p.epoch for p in ends] == [1, 2, 3, 4]
    assert all(np.isfinite(p.loss) and p.samples_per_s > 0 for p in told)


def test_nothing_to_learn_from(make_log: Callable[..., Log]) -> None:
    log = make_log(n_events=0)
    with pytest.raises(DataError, match="no click before"):
        train_represent(log.view(10.0), log.schema, CONFIG)


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": 0.0},
        {"validation": 1.0},
        {"shared_negatives": 0},
        {"max_positives_per_user": 0},
    ],
)
def test_impossible_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        RepresentConfig(**bad)  # type: ignore[arg-type]  # what is tested
