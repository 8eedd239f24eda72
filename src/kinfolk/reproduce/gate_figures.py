"""The figures of the gates, flat, and which gates they pass: `flat`, `verdicts`.

The opponent that ours is paired with is chosen on the `main` candidates, at each n and over all n, before the `common`
ones are looked at. Every difference is the mean over training seeds, paired by candidate, with its 95 % bootstrap
interval over candidates and the least difference one could have seen (mde).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from kinfolk.evaluate.intervals import Difference, compare
from kinfolk.evaluate.summary import interval, strongest

KNN, LDA = "item_knn_fresh", "als_lda"
NOT_INFERIOR = 0.005
"""How far below an opponent the interval of AUC, or of sAUC, may reach."""
_REFERENCES = (LDA, "recency_popularity", "newest")

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """A gate, whether it is passed, and the figures that say so (of a failed one: where it fails)."""

    gate: str
    passed: bool
    said: str


def flat(items: pl.DataFrame, days: pl.DataFrame, ours: str) -> dict[str, Any]:
    """Flat figures of both protocols.

    Args:
        items: rows of `run_new_item` with a column "seed".
        days: `FeedResult.user_days` with a column "seed"; empty where no item is live at a moment.
        ours: the method that is compared with the others.
    """
    return _new_item(items, ours) | (_feed(days, ours) if len(days) else {})


def sizes(out: Figures) -> list[int]:
    """The values of n that flat figures speak of, ascending."""
    return sorted(int(key.rpartition("_")[2]) for key in out if key.startswith("ours_eauc_"))


def verdicts(out: Figures) -> list[Verdict]:
    """The gates of flat figures, in their order."""
    return list(_verdicts(out, sizes(out)))


def _new_item(rows: pl.DataFrame, ours: str) -> dict[str, Any]:
    common = rows.filter((pl.col("group") == "warm") & pl.col("common"))
    out: dict[str, Any] = {}
    for n in sorted(common["n"].unique()):
        part, main = common.filter(pl.col("n") == n), rows.filter(pl.col("n") == n)
        rival, rival_auc, rival_sauc = (strongest(main, m, exclude=own(ours)) for m in ("eauc", "auc", "sauc"))
        d = compare(part, ours, rival, "eauc")
        worst = min(((compare(part, ours, p, "eauc"), p) for p in peers(part, ours)), key=lambda found: found[0].high)
        out |= {
            f"ours_eauc_{n}": _mean(part, ours, "eauc"), f"best_peer_{n}": rival,
            f"best_peer_eauc_{n}": _mean(part, rival, "eauc"), **_paired("diff", n, d), f"mde_{n}": d.detectable,
            f"worst_high_{n}": worst[0].high, f"worst_diff_{n}": worst[0].mean, f"worst_peer_{n}": worst[1],
            f"candidates_{n}": d.count,
            f"ours_auc_{n}": _mean(part, ours, "auc"), f"best_auc_peer_{n}": rival_auc,
            **_paired("auc_diff", n, compare(part, ours, rival_auc, "auc")), f"best_sauc_peer_{n}": rival_sauc,
            **_paired("sauc_diff", n, compare(part, ours, rival_sauc, "sauc")),
            f"ours_recall1_{n}": _mean(part, ours, "recall_1"),
        }  # fmt: skip
        if f"{ours}_reach" in part["method"]:
            out |= _paired("reach_auc_diff", n, compare(part, f"{ours}_reach", rival_auc, "auc"))
        if KNN in part["method"]:
            out |= _paired("recall1_knn_diff", n, compare(part, ours, KNN, "recall_1"))
    rival = strongest(rows, exclude=own(ours))
    d = compare(common, ours, rival, "eauc")
    out |= {"pooled_peer": rival, "pooled_diff": d.mean, "pooled_diff_low": d.low, "pooled_diff_high": d.high}
    return out | {"pooled_mde": d.detectable}


def _feed(days: pl.DataFrame, ours: str) -> dict[str, Any]:
    """Means over the values of n that a live candidate must have."""
    means = days.group_by("method").agg(pl.col(m).fill_nan(None).mean() for m in ("prec_10", "prec_50", "pauc"))
    by_name = {r["method"]: r for r in means.sort("method").iter_rows(named=True)}
    rival = max(peers(days, ours), key=lambda m: float(by_name[m]["prec_10"]))
    d = compare(days, ours, rival, "prec_10", unit=("h0", "user", "n"), cluster="h0", even=False)
    alone = by_name.get(f"{ours}_interest", by_name[ours])  # without the trend
    out: dict[str, Any] = {
        "p2_prec10": by_name[ours]["prec_10"], "p2_best_peer": rival, "p2_best_peer_prec10": by_name[rival]["prec_10"],
        "p2_diff": d.mean, "p2_diff_low": d.low, "p2_diff_high": d.high, "p2_pauc": alone["pauc"],
        "p2_feed_pauc": by_name[ours]["pauc"], "p2_interest_prec10": alone["prec_10"],
    }  # fmt: skip
    for peer in _REFERENCES:
        if peer in by_name:
            out |= {f"p2_{peer}_prec10": by_name[peer]["prec_10"], f"p2_{peer}_pauc": by_name[peer]["pauc"]}
    return out


def _verdicts(out: Figures, n: list[int]) -> Iterator[Verdict]:
    pooled = interval(out["pooled_diff"], out["pooled_diff_low"], out["pooled_diff_high"], signed=True)
    yield Verdict(
        "pooled eAUC above the strongest",
        out["pooled_diff_low"] > 0,
        f"over all n {pooled} against {out['pooled_peer']}; {out['pooled_mde']:.3f} could have been seen",
    )

    def each(gate: str, passed: Mapping[int, bool], name: str, peers: Mapping[int, str]) -> Verdict:
        shown = [k for k in passed if not passed[k]] or list(passed)
        said = [f"n = {k}: {_from(out, name, k)} against {peers[k]}" for k in shown]
        return Verdict(gate, all(passed.values()), "; ".join(said))

    below = {k: out[f"worst_high_{k}"] >= 0 for k in n}
    said = [
        f"n = {k}: {out[f'worst_diff_{k}']:+.3f}, at most {out[f'worst_high_{k}']:+.3f}, against "
        f"{out[f'worst_peer_{k}']}"
        for k in [k for k in n if not below[k]] or n
    ]
    yield Verdict("at no n below any in eAUC", all(below.values()), "; ".join(said))
    even = {k: out[f"sauc_diff_{k}"] >= 0 or out[f"sauc_diff_low_{k}"] >= -NOT_INFERIOR for k in n}
    yield each("sAUC not below", even, "sauc_diff", {k: out[f"best_sauc_peer_{k}"] for k in n})
    close = {k: out[f"auc_diff_low_{k}"] > -NOT_INFERIOR for k in n}
    yield each("AUC not inferior", close, "auc_diff", {k: out[f"best_auc_peer_{k}"] for k in n})
    allowed = {k: out[f"reach_auc_diff_{k}"] > 0 for k in n if f"reach_auc_diff_{k}" in out}
    if allowed:
        rivals = {k: out[f"best_auc_peer_{k}"] for k in n}
        yield each("with activity let in, AUC above all", allowed, "reach_auc_diff", rivals)
    top = {k: out[f"recall1_knn_diff_{k}"] >= 0 for k in n if f"recall1_knn_diff_{k}" in out}
    if top:  # not where times are made up, which item-kNN over fresh histories wants
        yield each("recall@1% not below item-kNN", top, "recall1_knn_diff", dict.fromkeys(n, KNN))
    if "p2_prec10" in out:
        yield Verdict(
            "feed: prec@10 above all",
            out["p2_prec10"] > out["p2_best_peer_prec10"],
            f"{out['p2_prec10']:.3f}, {out['p2_best_peer']} {out['p2_best_peer_prec10']:.3f}; difference "
            + interval(out["p2_diff"], out["p2_diff_low"], out["p2_diff_high"], signed=True),
        )
        yield Verdict(
            "feed: pAUC above ALS-LDA",
            out["p2_pauc"] > out["p2_als_lda_pauc"],
            f"by the score alone, as ALS-LDA is, {out['p2_pauc']:.3f}, ALS-LDA {out['p2_als_lda_pauc']:.3f}",
        )
    if len(n) > 1:
        ours, best = out[f"ours_eauc_{n[0]}"], out[f"best_peer_eauc_{n[1]}"]
        said_goal = f"{ours:.3f} with {n[0]} seeds, {out[f'best_peer_{n[1]}']} {best:.3f} with {n[1]}"
        yield Verdict(f"goal: n = {n[0]} as good as the best at {n[1]}", ours >= best, said_goal)


def peers(rows: pl.DataFrame, ours: str) -> list[str]:
    """Names of the opponents in a table; no oracle."""
    return [m for m in sorted(rows["method"].unique()) if m not in own(ours) and not m.startswith("ORACLE")]


def own(ours: str) -> list[str]:
    """Our rows: as it is, by its score alone in a feed, with activity let in."""
    return [ours, f"{ours}_interest", f"{ours}_reach"]


def _mean(rows: pl.DataFrame, method: str, metric: str) -> float:
    """Of a metric over candidates and training seeds."""
    return float(rows.filter(pl.col("method") == method)[metric].fill_nan(None).mean())  # type: ignore[arg-type]


def _paired(name: str, n: int, d: Difference) -> dict[str, float]:
    """A difference and its limits, as flat keys."""
    return {f"{name}_{n}": d.mean, f"{name}_low_{n}": d.low, f"{name}_high_{n}": d.high}


def _from(out: Figures, name: str, n: int) -> str:
    return interval(out[f"{name}_{n}"], out[f"{name}_low_{n}"], out[f"{name}_high_{n}"], signed=True)
