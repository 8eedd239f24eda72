"""How scoring, clustering and memory grow: seconds and bytes against N, k, h and seeds, as exponents.

Each row doubles one size twice or more and keeps the others; the exponent is the slope of a straight line through the
logarithms (1: twice the size costs twice as much), and `off` the largest factor by which a point lies beside the line.
Sizes are the medians of turns in which all points of a row are taken one after the other, on one thread.

score: the best 100 of N candidates of one user, k clusters of width h. cluster: crowds of so many seeds from nothing,
ten steps at most. bytes: of the index, and of the vectors clustered (a user of the bundle costs the same). What a
round of the refresher costs against new clicks and stored seeds is measured by refresh.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import arguments, in_turn, report, rounded, table
from kinfolk.lookalike.clusters_many import kmeans_many
from kinfolk.lookalike.index import Index
from kinfolk.lookalike.score import top_candidates

N, K, WIDTH, CROWD, CROWDS, TOP, SEED = 10_000, 20, 128, 400, 100, 100, 0
POINTS: dict[str, Sequence[int]] = {
    "N": (5_000, 10_000, 20_000, 40_000),
    "k": (5, 10, 20, 40),
    "h": (32, 64, 128, 256),
    "seeds": (200, 400, 800, 1600),
}


def make_index(n: int, k: int, h: int) -> Index:
    """Centroids as after ReLU, every cluster of the same size."""
    rng = np.random.default_rng(SEED)
    centroids = np.maximum(rng.standard_normal((n, k, h), np.float32), 0)
    sizes = np.ones((n, k), np.float32)
    return Index.build(centroids, sizes, sizes > 0, centroids.mean(axis=1))


def scoring(N: int = N, k: int = K, h: int = WIDTH) -> tuple[Callable[[], Any], int]:
    """A call to time, and the bytes of what it reads."""
    index, rng = make_index(N, k, h), np.random.default_rng(SEED)
    user = np.maximum(rng.standard_normal((1, h), np.float32), 0)
    projected = user @ (rng.standard_normal((h, h)) / h).astype(np.float32)
    held = sum(a.nbytes for a in vars(index).values() if isinstance(a, np.ndarray))
    return lambda: top_candidates(index, user, projected, TOP), held


def clustering(seeds: int = CROWD, k: int = K, h: int = WIDTH) -> tuple[Callable[[], Any], int]:
    """As `scoring`."""
    x = np.random.default_rng(SEED).standard_normal((CROWDS * seeds, h), np.float32)
    offsets = np.arange(CROWDS + 1) * seeds
    return lambda: kmeans_many(x, offsets, k, seed=SEED, tolerance=0, threads=1), x.nbytes


def line(sizes: Sequence[int], values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """(exponent, largest factor between a point and the line)."""
    x, y = np.log(sizes), np.log(values)
    slope, constant = np.polyfit(x, y, 1)
    return float(slope), float(np.exp(np.abs(y - constant - slope * x).max()))


def main() -> None:
    args = arguments(__doc__ or "")
    tell = (lambda *_: None) if args.json else print
    works = {"score": (scoring, ("N", "k", "h")), "cluster": (clustering, ("seeds", "k", "h"))}
    rows: dict[str, dict[str, Any]] = {}
    for name, (work, sizes) in works.items():
        for size in sizes:
            points = POINTS[size]
            calls = {str(p): work(**{size: p}) for p in points}
            took = in_turn({p: call for p, (call, _) in calls.items()}, 5 if args.quick else 15, least=0.02)
            seconds = [took[str(p)].median for p in points]
            for kind, values in (("s", seconds), ("bytes", [float(held) for _, held in calls.values()])):
                exponent, off = line(points, values)
                rows[f"{name} {size} {kind}"] = {
                    "points": list(points),
                    "values": [rounded(v) for v in values],
                    "exponent": rounded(exponent, 3),
                    "off": rounded(off, 3),
                }
    cells = [
        (n, *(f"{v:.3g}" for v in r["values"]), f"{r['exponent']:.2f}", f"{r['off']:.2f}") for n, r in rows.items()
    ]
    tell(table(("work, size", "1", "2", "4", "8", "exponent", "off"), cells))
    report(
        "growth",
        sizes={"N": N, "k": K, "h": WIDTH, "seeds": CROWD, "crowds": CROWDS, "top": TOP, "threads": 1, "seed": SEED},
        rows=rows,
    )


if __name__ == "__main__":
    main()
