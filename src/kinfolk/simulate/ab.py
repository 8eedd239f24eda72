"""Table 2 in simulation: control = a click-through ranker, treatment = the same × (1 + λ · look-alike score).

Each world is drawn, warmed up, and kinfolk is trained on its log; then the test is played once for every λ, 0 included,
with common random numbers. Two differences come of it:

* between the arms: treated users against the others, as an experimenter would measure it;
* on the same users: the treatment's users against themselves at λ = 0, which only a simulation can see. It is freer
  of noise, for the arms' users differ and the users' luck does not.

At λ = 0 the first is an A/A test. Intervals are over worlds, paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import t as student

from kinfolk.errors import OptionError
from kinfolk.evaluate.intervals import Interval
from kinfolk.presets import Preset
from kinfolk.presets import preset as preset_named
from kinfolk.simulate.measure import TITLES, measure
from kinfolk.simulate.play import as_log, play, warm_up
from kinfolk.simulate.ranker import Ranker
from kinfolk.simulate.weighting import Lookalike, Truth, Weighting
from kinfolk.simulate.world import STEPS_AN_HOUR, World, WorldConfig
from kinfolk.training import train

OnProgress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is being done."""
NONE, LOOKALIKE, TRUTH = "none", "look-alike", "truth"
_PARTS = 100  # of a run, for the bar
_TRAINING = 300  # parts that training counts


@dataclass(frozen=True)
class Plan:
    """An A/B test.

    Args:
        world: what kind of worlds; their seeds are `world.seed`, `world.seed` + 1, ...
        worlds: how many.
        lams: weights of the look-alike score, each a run of its own; 0 is always played.
        truth: a weight at which the true interest is tried in place of the score: what there is to win; None: not.
        preset: "quick" (`quick()`), "kinfolk" or "paper".

    Raises:
        OptionError: no world, no weight, a weight that is negative or not finite, no such preset.
    """

    world: WorldConfig = field(default_factory=WorldConfig)
    worlds: int = 10
    lams: tuple[float, ...] = (0.5, 1.0, 2.0)
    truth: float | None = None
    preset: str = "quick"

    def __post_init__(self) -> None:
        if self.worlds < 1:
            raise OptionError(f"{self.worlds} worlds", "ask for 1 at least, and for 10 to see an interval")
        for lam in (*self.lams, *(() if self.truth is None else (self.truth,))):
            if not (math.isfinite(lam) and lam >= 0):
                raise OptionError(f"a weight of {lam}", "give finite weights of 0 or more")
        if not self.lams:
            raise OptionError("no weight", "give one λ at least")
        self.chosen()

    def chosen(self) -> Preset:
        """The preset."""
        return quick() if self.preset == "quick" else preset_named(self.preset)


def quick() -> Preset:
    """`kinfolk`, smaller and taught for seconds: narrow vectors, few epochs, few episodes."""
    base = preset_named("kinfolk")
    assert base.episodes is not None
    encoder = replace(
        base.represent.encoder, embedding_size=32, attention_size=32, hidden=(32,), dropout=0.1, factors=8
    )
    return replace(
        base,
        judged=False,
        represent=replace(
            base.represent, encoder=encoder, epochs=8, min_steps=0, patience=2, batch_size=128, validation=0.1
        ),
        lookalike=replace(base.lookalike, m=32, h=32, attention_size=32),
        episodes=replace(base.episodes, steps=40, round=40, batch_size=4, validated=16, lr=3e-4, table_lr=3e-4),
    )


def run(plan: Plan, on_progress: OnProgress | None = None) -> pl.DataFrame:
    """Play every world.

    Returns: a row for each world, run and metric: world, weighting, lam, metric, control, treatment, untreated (the
        treatment's users in the run with λ = 0).
    """
    each = _TRAINING + _PARTS * len(_runs(plan))
    rows: list[dict[str, Any]] = []
    for number in range(plan.worlds):

        def told(done: int, note: str, number: int = number) -> None:
            if on_progress is not None:
                world = f"world {number + 1} of {plan.worlds}"
                on_progress(number * each + done, plan.worlds * each, f"{world}: {note}")

        rows += _world(plan, plan.world.seed + number, told)
    return pl.DataFrame(rows)


def _runs(plan: Plan) -> list[tuple[str, float]]:
    wanted = [(LOOKALIKE, lam) for lam in dict.fromkeys(plan.lams) if lam]
    return [(NONE, 0.0), *wanted, *([] if plan.truth is None else [(TRUTH, plan.truth)])]


def _world(plan: Plan, seed: int, told: Callable[[int, str], None]) -> list[dict[str, Any]]:
    told(0, "warm-up")
    world = World(replace(plan.world, seed=seed))
    before = warm_up(world)
    log = as_log(world, before)
    ranker = Ranker(log, world.config.list_length)
    ranker.warm(before, STEPS_AN_HOUR)

    def training(stage: str, at: dict[str, float]) -> None:
        half = _TRAINING // 2
        told(int(half * at["step"] / max(at["steps"], 1)) + (0 if stage == "users" else half), "training")

    bundle = train(log, preset=plan.chosen(), seed=seed, on_progress=training)
    treated = world.arm()
    rows: list[dict[str, Any]] = []
    untreated: dict[str, float] = {}
    for i, (kind, lam) in enumerate(_runs(plan)):

        def playing(done: int, total: int, base: int = _TRAINING + i * _PARTS, note: str = f"{kind} {lam:g}") -> None:
            told(base + _PARTS * done // total, note)

        weighting: Weighting | None = None
        if kind != NONE:
            weighting = Truth(world) if kind == TRUTH else Lookalike(bundle, len(world.items), seed)
        shown = play(world, before, ranker, weighting, lam, playing)
        control, treatment = (measure(world, log, shown, arm) for arm in (~treated, treated))
        untreated = untreated or treatment
        rows += [
            {
                "world": seed, "weighting": kind, "lam": lam, "metric": metric, "control": control[metric],
                "treatment": treatment[metric], "untreated": untreated[metric],
            }
            for metric in TITLES
        ]  # fmt: skip
    return rows


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a run and metric, means over worlds.

    Returns: weighting, lam, metric, worlds, control, treatment; `arms`, `same_users` (relative differences, 0.01 = one
        per cent), each with `_low` and `_high`, NaN under three worlds.
    """
    out = []
    for (kind, lam, metric), part in rows.group_by("weighting", "lam", "metric", maintain_order=True):
        control, treatment, untreated = (part[c].to_numpy() for c in ("control", "treatment", "untreated"))
        arms, same = relative(treatment, control), relative(treatment, untreated)
        out.append(
            {
                "weighting": kind, "lam": lam, "metric": metric, "worlds": part.height,
                "control": _mean(control), "treatment": _mean(treatment),
                "arms": arms.mean, "arms_low": arms.low, "arms_high": arms.high,
                "same_users": same.mean, "same_users_low": same.low, "same_users_high": same.high,
            }
        )  # fmt: skip
    return pl.DataFrame(out)


def _mean(values: NDArray[np.float64]) -> float:
    """Of the worlds that have the figure; NaN where none has."""
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else math.nan


def relative(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Interval:
    """Mean over worlds of ours / theirs - 1, with Student's 95 % interval.

    Not the bootstrap of `evaluate.intervals`: drawn from ten values, its percentiles cover less than they say.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        x = ours / theirs - 1
    x = x[np.isfinite(x)]
    if not len(x):
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(x.mean())
    if len(x) < 3:
        return Interval(mean, math.nan, math.nan, len(x))
    half = float(student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half, len(x))
