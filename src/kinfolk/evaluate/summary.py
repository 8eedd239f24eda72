"""Tables of a run: mean, 95 % interval and paired difference to a method of reference, as polars and as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kinfolk.errors import OptionError
from kinfolk.evaluate.intervals import bootstrap, compare

NEW_ITEM_METRICS = ("eauc", "auc", "sauc", "prec_100", "recall_1", "lift_1")
FEED_METRICS = ("prec_10", "prec_50", "auc", "pauc")
TABLE1_METRICS = ("auc", "prec_10", "prec_50")
TITLES = {
    "eauc": "eAUC",
    "auc": "AUC",
    "sauc": "sAUC",
    "pauc": "pAUC",
    "prec_10": "prec@10",
    "prec_50": "prec@50",
    "prec_100": "prec@100",
    "recall_1": "recall@1%",
    "lift_1": "lift@1%",
}


def summarise(
    scores: pl.DataFrame,
    metrics: Sequence[str],
    *,
    by: Sequence[str] = ("n",),
    unit: Sequence[str] = ("item",),
    cluster: str | None = None,
    reference: str | None = None,
    compared: Sequence[str] = (),
    seed: int = 1,
    resamples: int = 1000,
) -> pl.DataFrame:
    """One row a (by, method), best first metric first; over training seeds every unit is averaged before.

    Args:
        scores: rows with `by`, `unit`, "method" and the metrics.
        metrics: names of columns; NaN is left out.
        by: what each table is for; empty for a single one.
        unit: what is averaged over.
        cluster: one of `unit`, what the bootstrap draws; None draws units.
        reference: method that the others are paired with; None for no differences.
        compared: metrics whose difference to `reference` is given.
        seed, resamples: of the bootstrap.

    Returns: by, method, count, and for each metric m: m, m_low, m_high; for compared ones m_difference,
        m_difference_low, m_difference_high, m_detectable.

    Raises:
        OptionError: no rows, or no such reference.
    """
    if scores.is_empty():
        raise OptionError("the table of scores has no rows", "choose another user group, sample of candidates, or n")
    by, unit = list(by), list(unit)
    drawn = unit[0] if cluster is None else cluster
    mean = scores.group_by(*by, *unit, "method").agg(pl.col(m).fill_nan(None).mean() for m in metrics)
    rows: list[dict[str, Any]] = []
    groups = mean.sort(*by, *unit).partition_by(by, as_dict=True) if by else {(): mean.sort(unit)}
    for key, group in groups.items():
        present = reference is not None and reference in group["method"]
        for (name,), part in group.partition_by(["method"], as_dict=True).items():
            clusters = None if cluster is None else part[cluster].rank("dense").to_numpy()
            row: dict[str, Any] = {**dict(zip(by, key, strict=True)), "method": name, "count": part.height}
            for m in metrics:
                values = part[m].cast(pl.Float64).to_numpy()
                i = bootstrap(values, clusters=clusters, seed=seed, resamples=resamples)
                row |= {m: i.mean, f"{m}_low": i.low, f"{m}_high": i.high}
            for m in compared if present and name != reference else ():
                d = compare(
                    group, str(name), str(reference), m, unit=unit, cluster=drawn, even=cluster is None, seed=seed,
                    resamples=resamples,
                )  # fmt: skip
                row |= {
                    f"{m}_difference": d.mean,
                    f"{m}_difference_low": d.low,
                    f"{m}_difference_high": d.high,
                    f"{m}_detectable": d.detectable,
                }
            rows.append(row)
    if reference is not None and reference not in scores["method"]:
        known = ", ".join(sorted(scores["method"].unique()))
        raise OptionError(f"no method {reference!r} among the scores", f"use one of {known}")
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.sort(*by, metrics[0], "method", descending=[*[False] * len(by), True, False], nulls_last=True)


def summarise_new_item(
    scores: pl.DataFrame,
    *,
    group: str = "warm",
    sample: str = "main",
    reference: str | None = None,
    metrics: Sequence[str] = NEW_ITEM_METRICS,
    compared: Sequence[str] = ("eauc", "sauc", "auc", "recall_1"),
) -> pl.DataFrame:
    """`summarise` of `run_new_item` for a user group and the sample "main" or "common"."""
    kept = scores.filter((pl.col("group") == group) & pl.col(sample))
    return summarise(kept, metrics, reference=reference, compared=compared)


def summarise_feed(
    user_days: pl.DataFrame, *, reference: str | None = None, compared: Sequence[str] = ("prec_10", "pauc")
) -> pl.DataFrame:
    """`summarise` of `FeedResult.user_days`; the bootstrap draws snapshots, whose user-days are not independent."""
    return summarise(user_days, FEED_METRICS, unit=("h0", "user"), cluster="h0", reference=reference, compared=compared)


def summarise_impressions(impressions: pl.DataFrame) -> pl.DataFrame:
    """`summarise` of `FeedResult.impressions`: gAUC, every user of a snapshot counts once."""
    return summarise(impressions, ("auc",), unit=("h0", "user"), cluster="h0")


def summarise_table1(scores: pl.DataFrame, *, reference: str | None = None) -> pl.DataFrame:
    """`summarise` of `run_table1`, over users."""
    compared = TABLE1_METRICS if reference is not None else ()
    return summarise(scores, TABLE1_METRICS, by=(), unit=("user",), reference=reference, compared=compared)


def pooled(
    scores: pl.DataFrame,
    reference: str,
    metric: str = "eauc",
    *,
    group: str = "warm",
    sample: str = "common",
    methods: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Paired differences of `run_new_item` rows to `reference`, for every n and (n null) pooled over n.

    Returns: method, n, difference, low, high, detectable, candidates.
    """
    kept = scores.filter((pl.col("group") == group) & pl.col(sample))
    names = [m for m in sorted(kept["method"].unique()) if m != reference] if methods is None else list(methods)
    rows = []
    for name in names:
        for n in [*sorted(kept["n"].unique()), None]:
            part = kept if n is None else kept.filter(pl.col("n") == n)
            d = compare(part, name, reference, metric)
            rows.append(
                {
                    "method": name,
                    "n": n,
                    "difference": d.mean,
                    "low": d.low,
                    "high": d.high,
                    "detectable": d.detectable,
                    "candidates": d.count,
                }
            )
    return pl.DataFrame(rows, schema_overrides={"n": pl.Int64})


def strongest(scores: pl.DataFrame, metric: str = "eauc", *, group: str = "warm", exclude: Sequence[str] = ()) -> str:
    """Name of the method with the best mean over n of its mean over `main` candidates; never an oracle.

    Raises:
        OptionError: nothing is left to choose from.
    """
    kept = scores.filter(
        (pl.col("group") == group)
        & pl.col("main")
        & ~pl.col("method").str.starts_with("ORACLE")
        & ~pl.col("method").is_in(list(exclude))
    )
    if kept.is_empty():
        raise OptionError("no method is left to choose the strongest from", "exclude fewer methods")
    means = kept.group_by("method", "n").agg(pl.col(metric).fill_nan(None).mean())
    best = means.group_by("method").agg(pl.col(metric).mean()).sort(metric, "method", descending=[True, False])
    return str(best["method"][0])


@dataclass(frozen=True)
class Cells:
    """A table of text, ready for a terminal or a page: `title`, `columns`, `rows` of as many strings."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """A Markdown table under its title."""
        lines = [f"### {self.title}", ""] if self.title else []
        lines += ["| " + " | ".join(self.columns) + " |", "|" + "---|" * len(self.columns)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"


def cells(table: pl.DataFrame, metrics: Sequence[str], title: str = "") -> Cells:
    """The rows of a `summarise` table (for one n) as text: "mean [low, high]", then differences where there are any."""
    compared = [m for m in metrics if f"{m}_difference" in table.columns]
    columns = ["method", *(TITLES.get(m, m) for m in metrics), *(f"Δ {TITLES.get(m, m)}" for m in compared)]
    rows = []
    for row in table.iter_rows(named=True):
        out = [str(row["method"])]
        out += [interval(row[m], row[f"{m}_low"], row[f"{m}_high"]) for m in metrics]
        for m in compared:
            d = f"{m}_difference"
            out.append(interval(row[d], row[f"{d}_low"], row[f"{d}_high"], signed=True))
        rows.append(tuple(out))
    return Cells(title, tuple(columns), tuple(rows))


def interval(mean: float | None, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """ "0.712 [0.690, 0.731]"; a dash where there is no mean, no brackets where there are no limits."""

    def text(x: float) -> str:
        digits = 3 if abs(x) < 10 else 1
        return f"{x:+.{digits}f}" if signed else f"{x:.{digits}f}"

    if mean is None or math.isnan(mean):
        return "–"
    if low is None or high is None or math.isnan(low):
        return text(mean)
    return f"{text(mean)} [{text(low)}, {text(high)}]"
