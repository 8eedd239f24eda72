"""The demo's `report.html`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinfolk.bundle import Bundle
    from kinfolk.cli.demo.live import Live
    from kinfolk.data.log import Log
    from kinfolk.evaluate.charts import ClusterMap
    from kinfolk.evaluate.comparison import Comparison
    from kinfolk.evaluate.protocol import Protocol
    from kinfolk.expansion import Expansion


def map_of(bundle: Bundle, item: str, found: Expansion, seeds: list[str]) -> ClusterMap:
    """The crowd of `item`: its seeds and the centroids that `found` rests on."""
    import numpy as np

    from kinfolk.evaluate.charts import ClusterMap

    rows = bundle.rows(np.asarray(seeds, np.str_))
    valid = found.snapshot.sizes[0] > 0
    return ClusterMap(
        title=f"item {item}",
        seeds=np.asarray(bundle.lookalike[rows[rows >= 0]]),
        centroids=found.snapshot.centroids[0][valid],
        sizes=found.snapshot.sizes[0][valid].astype(np.int64),
    )


def write_page(
    path: Path,
    log: Log,
    terms: Protocol,
    bundle: Bundle,
    comparison: Comparison,
    found: Expansion,
    clusters: ClusterMap,
    command: str,
    lived: Live | None,
) -> None:
    """Everything the demo found, on one page; without the live part where there was none."""
    import numpy as np

    from kinfolk.cli.demo.shown import EXPLAINED, GROWS, facts, growth_figure, growth_frame
    from kinfolk.evaluate.report import write_report
    from kinfolk.represent.embed import embed

    users = np.random.default_rng(0).permutation(log.n_users)[:5000].astype(np.int32)
    view = log.view(bundle.provenance.trained_until)
    weights = embed(bundle.represented, view, users, return_weights=True)[1].mean(0)
    sizes, scores = zip(*found.audience.reach, strict=True)
    p = bundle.provenance
    write_report(
        path,
        title=f"kinfolk on {log.name}",
        command=command,
        results=comparison.tables,
        charts={} if lived is None else {f"Live: new item {lived.item} grows": (GROWS, growth_figure(lived))},
        tables={} if lived is None else {f"Live: new item {lived.item}": (EXPLAINED, growth_frame(lived))},
        highlight=comparison.ours[:1],
        training=p.metrics,
        reach={"audience": (sizes, scores)},
        field_weights=dict(zip(bundle.represented.encoder.field_names, weights.tolist(), strict=True)),
        cluster_map=clusters,
        notes={
            **({} if lived is None else {"Live": facts(lived)}),
            "Data": {"users": f"{log.n_users:,}", "items": f"{log.n_items:,}", "clicks": f"{len(log.events):,}"},
            "Windows": {
                "stage 1 learns before": _when(p.windows[0]),
                "seeds until": _when(p.windows[1]),
                "samples until": _when(p.windows[2]),
                "test starts at": _when(terms.t1),
            },
            "Model": {
                "preset": p.preset,
                "seed": p.seed,
                "version": bundle.version,
                "items held out": len(p.removed_items),
            },
        },
    )


def _when(seconds: float) -> str:
    from datetime import UTC, datetime

    if abs(seconds) < 1e8:  # made-up time
        return f"{seconds:.2f}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
