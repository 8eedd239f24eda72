"""Fig. 5 (RALM, KDD 2019, section 6.5): attention merge against concatenation, test AUC and loss by batch.

Where the truth is known (synthetic), every field is left out in turn under both merges, which tests the reason that the
paper gives: with concatenation strong fields overfit and weak ones starve, with attention both contribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Literal

import numpy as np
import polars as pl

from kinfolk.data.log import Log
from kinfolk.evaluate.charts import field_weight_bars
from kinfolk.evaluate.intervals import Interval
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.summary import Cells
from kinfolk.presets import preset
from kinfolk.represent.config import RepresentConfig
from kinfolk.reproduce import figures, svg
from kinfolk.reproduce.described import of_data, of_seeds
from kinfolk.reproduce.fields import fields, groups, strong, without
from kinfolk.reproduce.kept import Kept, fingerprint
from kinfolk.reproduce.learning_curve import field_weights, learn, watch
from kinfolk.reproduce.outcome import OnStep, Outcome
from kinfolk.reproduce.quick import small_represent
from kinfolk.reproduce.spread import AMONG, over_seeds, shown, told
from kinfolk.schema import Schema
from kinfolk.training import OnProgress

Merge = Literal["attention", "concat"]
MERGES: tuple[Merge, ...] = ("attention", "concat")
EPOCHS = 5
LOOKS = 40
_WEAK = "all weak fields"


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
    """See `kinfolk.reproduce.outcome.Experiment`."""
    base = small_represent(preset("paper").represent) if quick else preset("paper").represent
    known = dataset.startswith("synthetic")
    left_out: dict[str, Schema] = {"": log.schema}
    if known:
        left_out |= {name: without(log.schema, [name]) for name in fields(log.schema)}
        left_out[_WEAK] = without(log.schema, groups(log.schema)[1])
    epochs, looks, most = (1, 4, 200) if quick else (EPOCHS, LOOKS, 4000)
    frames: list[pl.DataFrame] = []
    for seed in seeds:
        for missing, schema in left_out.items():
            for merge in MERGES:
                config = replace(base, encoder=replace(base.encoder, merge=merge), seed=seed)
                name = _variant(merge, missing)
                mark = fingerprint(log, terms, config, epochs, looks, most, schema)

                def make(
                    config: RepresentConfig = config, schema: Schema = schema, weigh: bool = not missing
                ) -> pl.DataFrame:
                    return _rows(log, terms, schema, config, epochs, looks, most, weigh, on_training)

                frames.append(kept.of(name, seed, mark, make))
                if on_step is not None:
                    on_step(len(frames), len(seeds) * len(left_out) * len(MERGES), f"{name}, seed {seed}")
    rows = pl.concat(frames, how="diagonal_relaxed")
    ends = _ends(rows)
    tables, numbers = [_merge_cells(ends)], {"ends": ends}
    said = _compared(ends)
    weights = rows.filter((pl.col("kind") == "weight") & (pl.col("variant") == "attention"))
    mean = {f: over_seeds(part["weight"]) for (f,), part in weights.partition_by(["field"], as_dict=True).items()}
    found = sorted(mean.items(), key=lambda pair: -pair[1].mean)
    listed = tuple((str(f), shown(i.mean, i.low, i.high)) for f, i in found)
    tables.append(
        Cells("Learned field weights (attention), mean over the users of the test", ("field", "weight"), listed)
    )
    if known:
        table, claim = _ablated(ends, list(left_out)[1:], log.schema)
        tables.append(table)
        said += claim
    curve = rows.filter((pl.col("kind") == "curve") & pl.col("variant").is_in(MERGES))
    panels = {
        title: {str(m): _line(curve.filter(pl.col("variant") == m), column) for m in MERGES}
        for title, column in (("test AUC", "auc"), ("test loss", "loss"))
    }
    bars = field_weight_bars({str(f): i.mean for f, i in found})
    settings = {
        **of_data(log, terms, dataset, quick=quick),
        "preset": "stage 1 of paper",
        "epochs": epochs,
        "training seeds": of_seeds(seeds),
        "test": f"at most {most:,} first clicks after T1 on items known before it, each against 50 items that others "
        "clicked then; users as of the click",
        "intervals": AMONG,
    }
    plots = {"": svg.draw(figures.curves(panels, "batches"), f"Fig. 5 on {dataset}"), "field weights": svg.draw(bars)}
    title = f"Fig. 5 on {dataset}: attention merge against concatenation"
    return Outcome("fig5", dataset, title, settings, said, tables, numbers, plots, rows)


def _variant(merge: str, missing: str) -> str:
    return f"{merge} without {missing}" if missing else merge


def _rows(
    log: Log,
    terms: Protocol,
    schema: Schema,
    config: RepresentConfig,
    epochs: int,
    looks: int,
    most: int,
    weigh: bool,
    on_training: OnProgress | None,
) -> pl.DataFrame:
    watched = watch(log, terms, schema, config, most=most)
    began = perf_counter()

    def told_of(step: int, steps: int, loss: float) -> None:
        if on_training is not None:
            at = {"epoch": (step - 1) * epochs // steps, "step": step, "steps": steps, "loss": loss}
            on_training("users", {**at, "samples_per_second": step * config.batch_size / (perf_counter() - began)})

    curve = learn(watched, epochs, looks, told_of).with_columns(kind=pl.lit("curve"))
    if not weigh or config.encoder.merge == "concat":
        return curve
    found = field_weights(watched)
    weights = pl.DataFrame({"field": list(found), "weight": list(found.values()), "kind": ["weight"] * len(found)})
    return pl.concat([curve, weights], how="diagonal_relaxed")


def _ends(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a variant and seed.

    best_auc, best_step; settled: first look within 1 % of the way from 0.5 to the best; last_auc;
    least_loss, last_loss; gap: AUC on training's own pairs less that of the test, at the last look.
    """
    curve = rows.filter(pl.col("kind") == "curve").sort("variant", "seed", "step")
    out = []
    for (variant, seed), part in curve.partition_by(["variant", "seed"], as_dict=True, maintain_order=True).items():
        auc, step = part["auc"].to_numpy(), part["step"].to_numpy()
        best = int(auc.argmax())
        enough = auc >= 0.5 + 0.99 * (auc[best] - 0.5)
        out.append(
            {
                "variant": variant,
                "seed": seed,
                "best_auc": float(auc[best]),
                "best_step": int(step[best]),
                "settled": int(step[enough.argmax()]),
                "last_auc": float(auc[-1]),
                "least_loss": float(part["loss"].to_numpy().min()),
                "last_loss": float(part["loss"][-1]),
                "gap": float(part["seen_auc"][-1] - auc[-1]),
            }
        )
    return pl.DataFrame(out)


def _of(ends: pl.DataFrame, variant: str, column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(ends.filter(pl.col("variant") == variant).sort("seed")[column].to_numpy(), np.float64)


_SHOWN = {
    "best_auc": "best AUC",
    "settled": "batches to 99 % of it",
    "last_auc": "last AUC",
    "least_loss": "least loss",
    "last_loss": "last loss",
    "gap": "AUC in training less test",
}


def _merge_cells(ends: pl.DataFrame) -> Cells:
    out = []
    for name in MERGES:
        found = [over_seeds(_of(ends, name, column)) for column in _SHOWN]
        out.append((str(name), *(shown(i.mean, i.low, i.high) for i in found)))
    ds = [over_seeds(_of(ends, "attention", c) - _of(ends, "concat", c)) for c in _SHOWN]
    out.append(("attention − concat", *(told(d) for d in ds)))
    return Cells("", ("merge", *_SHOWN.values()), tuple(out))


def _verdict(d: Interval, more: str, less: str) -> str:
    """Which of two words the sign says, and whether it is beyond the interval."""
    sure = "" if d.excludes_zero else ", within the interval"
    if d.mean == 0:
        return "the same"
    return f"{more if d.mean > 0 else less} ({told(d)}{sure})"


def _compared(ends: pl.DataFrame) -> list[str]:
    d = {c: over_seeds(_of(ends, "attention", c) - _of(ends, "concat", c)) for c in _SHOWN}
    return [
        f"Test AUC at its best is {_verdict(d['best_auc'], 'higher', 'lower')} with attention than with concatenation, "
        f"the least test loss {_verdict(d['least_loss'], 'higher', 'lower')}; in the paper AUC is higher, loss lower.",
        f"The batches it takes to come within 1 % of the best AUC are {_verdict(d['settled'], 'more', 'fewer')} with "
        "attention; in the paper fewer.",
    ]


def _ablated(ends: pl.DataFrame, missing: Sequence[str], schema: Schema) -> tuple[Cells, list[str]]:
    """What test AUC is lost without a field, under both merges; and whether that is what the paper says."""

    def lost(merge: str, name: str, column: str = "best_auc") -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return _of(ends, merge, column) - _of(ends, _variant(merge, name), column)

    rows = []
    for name in missing:
        a, c = lost("attention", name), lost("concat", name)
        gap = lost("concat", name, "gap") - lost("attention", name, "gap")
        rows.append((name, *(told(over_seeds(v)) for v in (a, c, a - c, gap))))
    columns = (
        "left out",
        "lost with attention",
        "lost with concat",
        "attention − concat",
        "gap closed, concat − attention",
    )
    table = Cells("Test AUC (best) lost without a field", columns, tuple(rows))
    named = strong(schema)
    overfit = over_seeds(_of(ends, "concat", "gap") - _of(ends, "attention", "gap"))
    weak = over_seeds(lost("attention", _WEAK) - lost("concat", _WEAK))
    said = [
        f"Overfitting (AUC in training less test, at the end) is {_verdict(overfit, 'larger', 'smaller')} with "
        "concatenation.",
    ]
    if named:
        closed = over_seeds(lost("concat", named, "gap") - lost("attention", named, "gap"))
        said.append(
            f"Without {named!r}, the strong field (none is in the regime balanced), that gap closes "
            f"{_verdict(closed, 'more', 'less')} with concatenation."
        )
    said.append(f"All weak fields together are worth {_verdict(weak, 'more', 'less')} with attention.")
    holds = [overfit.low > 0, weak.low > 0]
    against = [overfit.high < 0, weak.high < 0]
    verdict = (
        "is borne out" if all(holds) else "is contradicted" if any(against) else "is neither borne out nor refuted"
    )
    said.append(
        f"The claim that with concatenation strong fields overfit and weak ones starve {verdict} here (borne out: both "
        "differences above zero beyond their intervals; contradicted: one of them below)."
    )
    return table, said


def _line(curve: pl.DataFrame, column: str) -> figures.Line:
    steps, values = [], []
    for (step,), part in curve.partition_by(["step"], as_dict=True).items():
        steps.append(float(step))
        values.append(over_seeds(part[column]))
    order = np.argsort(steps)
    return [steps[i] for i in order], [values[i] for i in order]
