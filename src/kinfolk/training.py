"""The offline half in one call: `train(log)` runs both stages and hands on a `Bundle`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from kinfolk.bundle import Bundle, Provenance
from kinfolk.bundle.place import checkpoints_of, place
from kinfolk.data.log import Log, View
from kinfolk.data.vocabulary import rows_of
from kinfolk.data.windows import Windows
from kinfolk.errors import DataError, KinfolkError
from kinfolk.lookalike.blend import learn_background, learn_weight
from kinfolk.lookalike.campaign import Campaign, CampaignConfig, build_campaign
from kinfolk.lookalike.episodes import Episodes
from kinfolk.lookalike.episodic import train_episodes
from kinfolk.lookalike.judge import JUDGED, crowd_auc
from kinfolk.lookalike.training import train_lookalike
from kinfolk.lookalike.trend import DECAYS, learn_trend
from kinfolk.lookalike.weights import Weights
from kinfolk.presets import Preset
from kinfolk.presets import preset as preset_named
from kinfolk.represent.embed import embed
from kinfolk.represent.inputs import take_inputs
from kinfolk.represent.represented import Represented
from kinfolk.represent.train import Progress, train_represent

OnProgress = Callable[[str, dict[str, float]], None]
"""Called with the stage and a dict of epoch, step, steps, loss, samples_per_second."""


@dataclass(frozen=True)
class Trained:
    """Both stages, before anyone is embedded.

    Args:
        represented: stage 1.
        weights: stage 2.
        windows: the three windows in time it learned from.
        metrics: rows of training by stage.
    """

    represented: Represented
    weights: Weights
    windows: Windows
    metrics: dict[str, list[dict[str, float]]]


def train(
    log: Log,
    *,
    until: float | None = None,
    hold_out_items: Sequence[str] = (),
    preset: str | Preset = "kinfolk",
    seed: int = 0,
    device: str = "cpu",
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Bundle:
    """Train both stages on a log and embed its users.

    Args:
        log: what to learn from.
        until: seconds since 1970; only events before it are seen. None: all.
        hold_out_items: outside ids of items removed from everything the model sees.
        preset: "kinfolk", "paper" or a `Preset`.
        seed: everything drawn at random depends on it; two runs on a CPU are equal bit for bit.
        device: any torch device.
        out: directory of the bundle; while training runs, checkpoints lie beside it. None: keep it in memory.
        resume: go on from the last epoch of a run to the same `out` that was killed.
        overwrite: replace a bundle that is at `out`.
        on_progress: see `OnProgress`.

    Raises:
        DataError: nothing to learn from.
        BundleError: something is in the way at `out`.
        OptionError: no such preset.
    """
    name, chosen = (preset, preset_named(preset)) if isinstance(preset, str) else ("custom", preset)
    removed = _removed(log, hold_out_items)
    now = float(np.nextafter(log.events.time[-1], np.inf)) if until is None and len(log.events) else until
    if now is None:
        raise DataError(f"{log.name}: no click at all", "give a log with clicks")
    view = log.view(now, removed)
    work = None
    if out is not None:
        out = place(out, overwrite=overwrite)
        work = checkpoints_of(out)
        if not resume:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
    options: _Options = {"seed": seed, "device": device, "work": work, "resume": resume, "on_progress": on_progress}
    try:
        trained = train_stages(view, chosen, **options)
    except BaseException as e:  # a kill leaves its checkpoints to go on from, bad input leaves nothing
        if work is not None and ((isinstance(e, KinfolkError) and not resume) or not any(work.iterdir())):
            shutil.rmtree(work, ignore_errors=True)
        raise
    bundle = make_bundle(view, trained, preset_name=name, seed=seed, removed_items=tuple(hold_out_items))
    if out is None:
        return bundle
    saved = bundle.save(out, overwrite=overwrite)
    assert work is not None
    shutil.rmtree(work, ignore_errors=True)
    return saved


def train_stages(
    view: View,
    chosen: Preset,
    *,
    seed: int,
    device: str = "cpu",
    work: Path | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    learned: Represented | None = None,
) -> Trained:
    """Stage 1 on the first window; stage 2 on seeds of the second and samples of the third, or by episodes.

    Args:
        view: everything that may be learned from.
        chosen: how.
        seed: of everything drawn.
        device: any torch device.
        work: folder for checkpoints and metrics as JSON lines.
        resume: go on from the checkpoints there.
        on_progress: see `OnProgress`.
        learned: stage 1, where it is there already: `learn_users` of the same view, preset and seed.

    Raises:
        DataError: the view holds too little to split in time.
    """
    options: _Options = {"seed": seed, "device": device, "work": work, "resume": resume, "on_progress": on_progress}
    windows = split(view, chosen)
    # a log that has no episodes is refused before anything is trained on it
    episodes = None if chosen.episodes is None else Episodes(view, chosen.episodes)
    represented = learned or learn_users(view, chosen, **options)
    told = None if on_progress is None else lambda at: on_progress("look-alike", at)
    files: _Files = {
        "checkpoint": work,
        "resume": resume,
        "metrics_path": None if work is None else work / "lookalike.jsonl",
    }
    if episodes is None:
        campaign = _campaign(view, windows, represented, chosen.campaign, seed)
        model, rows = train_lookalike(
            campaign, chosen.lookalike, chosen.training, seed=seed, device=device, on_progress=told, **files
        )
    else:
        represented, model, rows = train_episodes(
            represented, episodes, chosen.lookalike, seed=seed, device=device, on_progress=told, **files
        )
    metrics = {"users": represented.metrics, "look-alike": rows}
    weights = Weights.of(model)
    if chosen.discriminant and weights.config.pooling == "attention":
        weights = weights.with_background(learn_background(represented, weights, view))
    if chosen.co_click and episodes is not None:
        learned_weight = learn_weight(represented, weights, episodes, seed=seed)
        weights = weights.with_co_click(learned_weight.weight).with_activity(learned_weight.active)
        weights = weights.with_bias(learned_weight.bias)
        told_of = asdict(learned_weight)
        metrics["activity"] = [told_of.pop("active")]
        metrics["co-click"] = [told_of]
    trend = learn_trend(view, seed=seed) if chosen.trend else None
    if trend is not None:
        weights = weights.with_trend(trend)
        metrics["trend"] = [dict(zip(map(str, DECAYS), trend.tolist(), strict=True))]
    return Trained(represented, weights, windows, metrics)


class _Files(TypedDict):
    checkpoint: Path | None
    resume: bool
    metrics_path: Path | None


class _Options(TypedDict):
    seed: int
    device: str
    work: Path | None
    resume: bool
    on_progress: OnProgress | None


def learn_users(
    view: View,
    chosen: Preset,
    *,
    seed: int,
    device: str = "cpu",
    work: Path | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Represented:
    """Stage 1, on the first of the three windows; arguments as `train_stages`."""
    windows = split(view, chosen)
    config = replace(chosen.represent, seed=seed, device=device)
    judge: Callable[[Represented], float] | None = None
    if chosen.judged:
        config = replace(config, validation=0.0)
        few = replace(JUDGED, min_seeds=chosen.campaign.min_seeds)

        def judge(model: Represented) -> float:
            return crowd_auc(_campaign(view, windows, model, few, seed))

    return train_represent(
        view.log.view(windows.seeds_from, view.removed),
        view.log.schema,
        config,
        checkpoint=None if work is None else work / "users.safetensors",
        resume=resume,
        metrics_path=None if work is None else work / "users.jsonl",
        on_progress=None if on_progress is None else _stage_one(on_progress),
        judge=judge,
    )


def _campaign(view: View, windows: Windows, model: Represented, config: CampaignConfig, seed: int) -> Campaign:
    until = view.log.view(windows.until, view.removed)

    def embedder(users: NDArray[np.int32], now: float, without: NDArray[np.int32]) -> NDArray[np.float32]:
        return embed(model, until, users, now=now, without=without)

    return build_campaign(until, windows, embedder, config, seed=seed)


def split(view: View, chosen: Preset) -> Windows:
    """The three windows in time.

    Raises:
        DataError: the view holds too little.
    """
    if len(np.unique(view.pairs.user)) < 2:
        raise DataError(
            f"{view.log.name}: fewer than two users clicked anything before {view.now:.0f}",
            "a look-alike model needs a crowd; train on a longer log",
        )
    return Windows.split(view, chosen.seeds_share, chosen.samples_share)


def make_bundle(view: View, trained: Trained, *, preset_name: str, seed: int, removed_items: tuple[str, ...]) -> Bundle:
    """Embed every user of the log as of `view.now`."""
    universal = embed(trained.represented, view, np.arange(view.log.n_users, dtype=np.int32))
    provenance = Provenance(
        data=view.log.name,
        preset=preset_name,
        seed=seed,
        trained_until=view.now,
        removed_items=removed_items,
        windows=(trained.windows.seeds_from, trained.windows.samples_from, trained.windows.until),
        metrics=trained.metrics,
    )
    lookalike = trained.weights.transform(universal)
    inputs = take_inputs(trained.represented.features, view)
    return Bundle(
        provenance, trained.weights, view.log.user_ids, universal, lookalike, trained.represented, inputs=inputs
    )


def check_out(out: Path, *, overwrite: bool) -> None:
    """Before hours of training: raises BundleError if the result could not be written to `out`."""
    place(out, overwrite=overwrite)


def _removed(log: Log, ids: Sequence[str]) -> NDArray[np.int64]:
    rows = rows_of(log.item_ids, np.asarray(list(ids), np.str_)) if ids else np.zeros(0, np.int32)
    if (rows < 0).any():
        unknown = [i for i, row in zip(ids, rows, strict=True) if row < 0]
        raise DataError(
            f"{len(unknown)} of {len(ids)} items to hold out are not in {log.name}, {unknown[0]!r} among them",
            "give ids as they stand in the events table",
        )
    return rows.astype(np.int64)


def _stage_one(on_progress: OnProgress) -> Callable[[Progress], None]:
    def show(p: Progress) -> None:
        at = {"epoch": p.epoch - 1, "step": p.done, "steps": p.total, "loss": p.loss}
        on_progress("users", {**at, "samples_per_second": p.samples_per_s})

    return show
