"""Table 2 (RALM, KDD 2019, section 6.7): the A/B test, played in worlds with the rates of a log (`kinfolk.simulate`).

Control = a click-through ranker, treatment = the same times a look-alike weighting, users split by id. Every seed is a
world. A log with impressions is asked off-policy too (`logged_feed`), by models trained with the first seeds. A log in
which no item is born has no rates for a world: it is asked off-policy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from kinfolk.baselines.ralm import Ralm
from kinfolk.data.log import Log
from kinfolk.errors import ProtocolError
from kinfolk.evaluate.charts import Figure
from kinfolk.evaluate.intervals import Interval
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.summary import Cells
from kinfolk.presets import preset
from kinfolk.reproduce import figures, logged_feed, svg
from kinfolk.reproduce.described import of_data, of_seeds
from kinfolk.reproduce.kept import Kept, fingerprint
from kinfolk.reproduce.outcome import OnStep, Outcome
from kinfolk.reproduce.quick import small
from kinfolk.reproduce.spread import percent
from kinfolk.simulate.ab import LOOKALIKE, NONE, TRUTH, Plan, summary
from kinfolk.simulate.ab import run as play_worlds
from kinfolk.simulate.fit import fit
from kinfolk.simulate.measure import TITLES
from kinfolk.simulate.world import WorldConfig
from kinfolk.training import OnProgress

PAPER = {"exposure": 9.112, "ctr": 1.09, "category_diversity": 8.435, "tag_diversity": 15.938}
"""Per cent. Its Gini (+5.36 %) is of an undefined quantity and not compared."""
LAMS = (0.5, 1.0, 2.0)
TRUTH_AT = 2.0
USERS = 8000
TRAININGS = 5
"""Of models for the off-policy estimates."""
_WORLD, _LOGGED = "world", "off-policy"


def run(
    log: Log,
    terms: Protocol,
    seeds: Sequence[int],
    *,
    dataset: str,
    kept: Kept,
    quick: bool = False,
    on_step: OnStep | None = None,
    on_training: OnProgress | None = None,
) -> Outcome:
    """See `kinfolk.reproduce.outcome.Experiment`; every seed is a world."""
    if not terms.uses_time:
        raise ProtocolError(f"{log.name} has made-up times: no rates for a world", "use globo, kuairand or synthetic")
    played = list(seeds) if terms.simulate_new is None else []
    trained = [] if log.impressions is None else list(seeds)[:TRAININGS]
    if not played and not trained:
        raise ProtocolError(f"{log.name} has neither items born in it nor impressions", "use globo or kuairand")
    frames: list[pl.DataFrame] = []

    def step(what: str) -> None:
        if on_step is not None:
            on_step(len(frames), len(played) + len(trained), what)

    plan = _plan(log, quick) if played else None
    for seed in played:
        assert plan is not None
        one = replace(plan, world=replace(plan.world, seed=seed))

        def world(one: Plan = one) -> pl.DataFrame:
            return play_worlds(one, lambda _done, _total, note: step(note.partition(": ")[2]))

        frames.append(kept.of(_WORLD, seed, fingerprint(log, one), world))
        step(f"world {seed}")
    chosen = small(preset("kinfolk")) if quick else preset("kinfolk")
    for seed in trained:

        def logged(seed: int = seed) -> pl.DataFrame:
            method = Ralm(name="kinfolk", seed=seed, preset=chosen, on_progress=on_training)
            method.fit(log.view(terms.t1))
            return logged_feed.weighed(log, terms, method)

        mark = fingerprint(log, terms, chosen, logged_feed.CLIP, logged_feed.LAMS, logged_feed.SHARES)
        frames.append(kept.of(_LOGGED, seed, mark, logged))
        step(f"off-policy, seed {seed}")
    rows = pl.concat(frames, how="diagonal_relaxed")
    settings: dict[str, Any] = {**of_data(log, terms, dataset, quick=quick)}
    tables: list[Cells] = []
    numbers: dict[str, pl.DataFrame] = {}
    said: list[str] = []
    plots: dict[str, str] = {}
    if plan is not None:
        found = summary(rows.filter(pl.col("variant") == _WORLD))
        tables += [by_lambda(found, "same_users"), by_lambda(found, "arms")]
        numbers |= {"worlds": found, "click_model": pl.DataFrame([plan.world.model.to_dict()])}
        said += findings(found)
        plots[""] = svg.draw(picture(found), f"Table 2 on {dataset}")
        settings |= {
            "worlds": f"{of_seeds(played)}, {plan.world.users:,} users, {plan.world.hours} hours after "
            f"{plan.world.warm_up_hours} of warm-up, rates fitted to {log.name}, model {plan.preset!r}",
            "intervals of worlds": "95 %, Student's, each world one value",
        }
    else:
        settings["worlds"] = f"none: no item is born in {log.name}, so its clicks give no rates for one"
    if trained:
        weighed = rows.filter(pl.col("variant") == _LOGGED)
        estimates = logged_feed.estimates(weighed)
        tables.append(logged_feed.cells(estimates))
        numbers["off_policy"] = estimates
        said += logged_feed.findings(estimates, float(weighed["theta"].to_numpy().mean()))
        plots["" if not plots else "off-policy"] = svg.draw(_gains(estimates), f"Off-policy on {dataset}")
        settings |= {
            "off-policy": f"models of seeds {of_seeds(trained)}, weights above {logged_feed.CLIP:g} cut to it, "
            "intervals by bootstrap over users",
            "what it cannot show": " ".join(logged_feed.LIMITS),
        }
    return Outcome("table2", dataset, f"Table 2 on {dataset}", settings, said, tables, numbers, plots, rows)


def by_lambda(found: pl.DataFrame, which: str) -> Cells:
    """Relative differences in per cent, a column a weight.

    Args:
        found: from `ab.summary`.
        which: "same_users" or "arms".
    """
    title = {"same_users": "The same users, against themselves at λ = 0, %", "arms": "Treated against others, %"}[which]
    runs = found.select("weighting", "lam").unique(maintain_order=True)
    names = {NONE: "A/A", LOOKALIKE: "λ = {:g}", TRUTH: "truth, λ = {:g}"}
    kept = [r for r in runs.rows() if which == "arms" or r[0] != NONE]
    rows = []
    for metric, said in TITLES.items():
        row = [said]
        for kind, lam in kept:
            row.append(_percent(_one(found, kind, lam, metric), which))
        rows.append(tuple(row))
    return Cells(title, ("metric", *(names[kind].format(lam) for kind, lam in kept)), tuple(rows))


def findings(found: pl.DataFrame) -> list[str]:
    """The paper's differences beside those on the same users, and how they move with λ."""
    lams = _lams(found)
    out = []
    for metric, theirs in PAPER.items():
        each = {lam: _one(found, LOOKALIKE, lam, metric) for lam in lams}
        said = ", ".join(f"{_percent(row, 'same_users')} at λ = {lam:g}" for lam, row in each.items())
        sure = [row["same_users_low"] > 0 for row in each.values()]
        worse = [row["same_users_high"] < 0 for row in each.values()]
        verdict = (
            "above zero at every λ"
            if all(sure)
            else f"above zero at {sum(sure)} of {len(sure)} λ, below at {sum(worse)}"
        )
        out.append(f"{TITLES[metric]}: {said}; the paper has {theirs:+.2f}. Beyond its interval it is {verdict}.")
    truth = found.filter((pl.col("weighting") == TRUTH) & (pl.col("metric") == "ctr")).to_dicts()
    out += [f"By the true interest the click-through rate changes by {_percent(r, 'same_users')} %." for r in truth]
    return out


def picture(found: pl.DataFrame) -> Figure:
    """Differences against λ: a panel a metric, both ways of comparing."""
    lams = _lams(found)
    panels: dict[str, dict[str, figures.Line]] = {}
    for metric, title in TITLES.items():
        rows = [_one(found, LOOKALIKE, lam, metric) for lam in lams]
        panels[f"{title}, %"] = {
            name: (lams, [_interval(row, which) for row in rows])
            for name, which in (("same users", "same_users"), ("arms", "arms"))
        }
    return figures.curves(panels, "λ", rows=2, zero=True)


def _plan(log: Log, quick: bool) -> Plan:
    model = fit(log)
    if quick:
        return Plan(WorldConfig(users=1000, warm_up_hours=36, hours=2, model=model), 1, (1.0,), TRUTH_AT)
    return Plan(WorldConfig(users=USERS, model=model), 1, LAMS, TRUTH_AT)


def _gains(estimates: pl.DataFrame) -> Figure:
    panels = {
        f"clicks against the logged feed, %; propensities: {name}": {
            row["policy"]: _interval(row, "gain") for row in part.iter_rows(named=True)
        }
        for (name,), part in estimates.partition_by(["propensity"], as_dict=True, maintain_order=True).items()
    }
    return figures.points(panels, zero=True)


def _lams(found: pl.DataFrame) -> list[float]:
    return sorted(found.filter(pl.col("weighting") == LOOKALIKE)["lam"].unique())


def _one(found: pl.DataFrame, kind: str, lam: float, metric: str) -> dict[str, Any]:
    return found.row(by_predicate=(pl.col("weighting") == kind) & (pl.col("lam") == lam) & (pl.col("metric") == metric),
                     named=True)  # fmt: skip


def _interval(row: dict[str, Any], name: str) -> Interval:
    mean, low, high = (100 * row[f"{name}{end}"] for end in ("", "_low", "_high"))
    return Interval(mean, low, high, 0)


def _percent(row: dict[str, Any], name: str) -> str:
    return percent(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))
