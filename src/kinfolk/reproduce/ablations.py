"""What each choice is worth: presets with one thing changed, paired with the unchanged one on P1 candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.baselines.ralm import Ralm
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import Log, View
from kinfolk.errors import ProtocolError
from kinfolk.evaluate.new_item import ORACLE, run_new_item
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.summary import Cells
from kinfolk.lookalike.weights import Snapshot, Weights
from kinfolk.reproduce import figures, svg
from kinfolk.reproduce.described import of_data, of_seeds
from kinfolk.reproduce.input_centroids import InputRalm
from kinfolk.reproduce.kept import Kept, fingerprint
from kinfolk.reproduce.leak import LeakyRalm
from kinfolk.reproduce.outcome import OnStep, Outcome
from kinfolk.reproduce.quick import small
from kinfolk.reproduce.spread import DRAWN, cells, compared, matrices, over_both, told
from kinfolk.reproduce.variants import LEAK, NOT_RUN, PRESETS, Variant, variants
from kinfolk.training import OnProgress

METRICS = ("eauc", "auc", "recall_1")


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
    only: Sequence[Variant] | None = None,
) -> Outcome:
    """See `kinfolk.reproduce.outcome.Experiment`; `only`: these variants instead of all."""
    terms = replace(terms, max_candidates=1)  # `main` candidates are not looked at
    every = list(only or variants(small if quick else lambda p: p))
    frames: list[pl.DataFrame] = []
    for seed in seeds:
        shared = Shared()
        for variant in every:
            mark = fingerprint(log, terms, variant.preset, variant.model)

            def make(variant: Variant = variant, seed: int = seed, shared: Shared = shared) -> pl.DataFrame:
                return _rows(log, terms, variant, seed, shared, on_training)

            frames.append(kept.of(variant.name, seed, mark, make))
            if on_step is not None:
                on_step(len(frames), len(seeds) * len(every), f"{variant.name}, seed {seed}")
    rows = pl.concat(frames, how="diagonal_relaxed")
    tables: list[Cells] = []
    numbers: dict[str, pl.DataFrame] = {}
    plots: dict[str, str] = {}
    for base in PRESETS:
        mine = {v.name: v.against for v in every if v.name.split(":")[0] == base}
        if not mine:
            continue
        table = compared(rows, METRICS, "item", mine)
        numbers[base] = table
        tables.append(cells(_short(table, base), METRICS, f"Preset {base}"))
        paired = {
            name.partition(": ")[2]: over_both(_difference(rows, name, str(other)))
            for name, other in mine.items()
            if other is not None
        }
        if paired:
            figure = figures.points({"paired difference in eAUC": paired}, zero=True)
            plots["" if not plots else base] = svg.draw(figure, f"{base} on {dataset}: one thing changed")
    settings = {
        **of_data(log, terms, dataset, quick=quick),
        "training seeds": of_seeds(seeds),
        "candidates": f"{rows['item'].n_unique()} common ones, n = {', '.join(map(str, sorted(rows['n'].unique())))}, "
        "warm users; each candidate's mean over n counts once",
        "intervals": DRAWN.format(unit="candidates"),
        "Δ": "paired difference to the preset, or to the variant named after “against”",
        "not run": "; ".join(f"{what} ({why})" for what, why in NOT_RUN.items()),
    }
    return Outcome(
        "ablations",
        dataset,
        f"Ablations on {dataset}",
        settings,
        [*findings(rows, every), *flattery(rows)],
        tables,
        numbers,
        plots,
        rows,
    )


def findings(rows: pl.DataFrame, every: Sequence[Variant]) -> list[str]:
    """Which changes are worth something beyond the interval, and how many are not told apart."""
    lost: list[tuple[float, str]] = []
    gained: list[tuple[float, str]] = []
    even = 0
    for v in every:
        if v.against is None:
            continue
        d = over_both(_difference(rows, v.name, v.against))
        if d.excludes_zero:
            (lost if d.mean < 0 else gained).append((d.mean, f"{v.name} {told(d)}"))
        else:
            even += 1
    out = []
    for title, found in (("eAUC falls with", lost), ("eAUC rises with", gained)):
        if found:
            listed = [said for _, said in sorted(found, key=lambda pair: -abs(pair[0]))]
            out.append(f"{title}: {'; '.join(listed)}.")
    changes = len(lost) + len(gained) + even
    chance = f"by chance alone about {max(round(0.05 * changes), 1)} would leave them"
    return [*out, f"{even} of {changes} changes are within their 95 % intervals; {chance}."]


class DotRalm(Ralm):
    """RALM trained with dot products, scored in plain numpy: the fused scorer does cosines."""

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[len(users), len(candidates)]: alpha E_u . E_global + beta E_u . E_local."""
        e, crowd, rows, offsets = self.vectors(users, candidates, view)
        return dots(self.weights, self.weights.snapshots(crowd, rows, offsets, seed=self.seed), e)


def flattery(rows: pl.DataFrame) -> list[str]:
    """What a leak makes of training's own validation, beside what it does to new items; nothing where none was run."""
    both = rows.filter(pl.col("variant").is_in(["paper", LEAK]))
    means = {r["variant"]: r for r in both.group_by("variant").agg(pl.col("validation_auc", "auc").mean()).to_dicts()}
    if len(means) < 2:
        return []
    clean, leaky = means["paper"], means[LEAK]
    return [
        f"With seeds among the samples the validation of training itself reports an AUC of "
        f"{leaky['validation_auc']:.3f}, without {clean['validation_auc']:.3f}; on new items they have "
        f"{leaky['auc']:.3f} and {clean['auc']:.3f}."
    ]


_MODELS: dict[str, type[Ralm]] = {"ralm": Ralm, "dot": DotRalm, "leaky": LeakyRalm, "input": InputRalm}


def dots(weights: Weights, snapshot: Snapshot, e: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[U, C] scores of look-alike embeddings e float32[U, h] by dot products."""
    c, v = weights.config, weights.queries(e)
    out = np.empty((len(e), len(snapshot.centroids)), np.float32)
    for i, (centroids, sizes) in enumerate(zip(snapshot.centroids, snapshot.sizes, strict=True)):
        valid = sizes > 0
        own, from_size = centroids[valid], np.log(sizes[valid]) if c.size_aware else 0.0
        if c.pooling == "average" or not valid.any():
            out[:, i] = e @ snapshot.global_embedding[i]
            continue
        logits = weights.temperature * np.tanh(v @ own.T) + from_size
        w = np.exp(logits - logits.max(1, keepdims=True))
        local = ((w / w.sum(1, keepdims=True)) * (e @ own.T)).sum(1)
        out[:, i] = c.alpha * (e @ snapshot.global_embedding[i]) + c.beta * local
    return out


def _rows(
    log: Log, terms: Protocol, variant: Variant, seed: int, shared: Shared, on_training: OnProgress | None
) -> pl.DataFrame:
    kind = _MODELS[variant.model]
    method = kind(
        name=variant.name, seed=seed, preset=variant.preset, fresh=terms.fresh, shared=shared, on_progress=on_training
    )
    rows = run_new_item(log, terms, [method])
    rows = rows.filter((pl.col("method") != ORACLE) & pl.col("common") & (pl.col("group") == "warm"))
    if rows.is_empty():
        raise ProtocolError(
            f"{log.name}: no candidate can be asked about at every n of {', '.join(map(str, terms.n))}",
            "run ablations on a longer log",
        )
    trained = [row["validation_auc"] for row in method.metrics["look-alike"] if "validation_auc" in row]
    return rows.drop("method", "main", "common", "group").with_columns(
        validation_auc=pl.lit(max(trained, default=None))
    )


def _difference(rows: pl.DataFrame, name: str, other: str) -> NDArray[np.float64]:
    found = matrices(rows.filter(pl.col("variant").is_in([name, other])), "eauc", "item")
    return found[name] - found[other]


def _short(table: pl.DataFrame, base: str) -> pl.DataFrame:
    """Names without the preset; with whom a variant is paired, where that is not the preset."""
    names = []
    for row in table.iter_rows(named=True):
        name = row["variant"].removeprefix(f"{base}: ")
        other = row["against"]
        names.append(name if other in (None, base) else f"{name} (against “{other.removeprefix(f'{base}: ')}”)")
    return table.with_columns(variant=pl.Series(names))
