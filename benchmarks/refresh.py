"""A round of the refresher: 10,000 live candidates, 50 million stored seeds, 1 million new clicks.

Candidate r holds seeds in proportion to rank^-0.8, drawn from 3,000,000 users of width 128; new clicks come in the same
proportions, so nearly every candidate is dirty. A first round, outside the time, has published every crowd; then the
clicks arrive and one round of `kinfolk.online.Refresher` is timed, over the store `memory:`. `peer_s`: the same dirty
crowds clustered anew, from k-means++ and over all their seeds. The inertia of both over all seeds of every fiftieth
candidate says what a round that starts from the last centroids gives away.

Growth is measured at a quarter, half and all of the stored seeds, and of the new clicks; the exponents are slopes in
log-log. The seeds are put into the store's blocks as they lie there after a fold: 50 million clicks one by one would
take longer than everything else. With --quick all counts are a tenth.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness import arguments, cores, peak_mb, read_bandwidth, report, rounded, table
from kinfolk.bundle import Bundle, Provenance
from kinfolk.lookalike import lloyd
from kinfolk.lookalike.config import LookalikeConfig
from kinfolk.lookalike.weights import Weights
from kinfolk.online.clicks import Clicks
from kinfolk.online.crowd import Crowd
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import Backend, Candidate, StoreOptions
from kinfolk.online.refresher import Refresher
from kinfolk.online.space import Space
from kinfolk.online.stores import blocks
from kinfolk.online.stores.memory_seeds import MemorySeeds
from kinfolk.online.stores.open import open_backend

CANDIDATES, SEEDS, CLICKS, USERS, WIDTH, K, TOPICS = 10_000, 50_000_000, 1_000_000, 3_000_000, 128, 20, 200
NOW, MINUTE, SEED, EVERY = 1_700_000_000_000, 60_000, 0, 50
SHARES = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Sizes:
    """How many of each there are."""

    candidates: int
    seeds: int
    clicks: int
    users: int


def make_space(users: int, rng: np.random.Generator) -> Space:
    """Users around topics, as embeddings after ReLU; weights at random, for no score is asked."""
    config = LookalikeConfig(m=WIDTH, h=WIDTH, k=K)
    a = config.attention_size
    shapes = {"local": (WIDTH, WIDTH), "global_inner": (a, WIDTH), "global_outer": (1, a), "log_temperature": ()}
    arrays = {name: (rng.standard_normal(shape) / 10).astype(np.float32) for name, shape in shapes.items()}
    vectors = rng.standard_normal((users, WIDTH), np.float32)
    vectors += rng.standard_normal((TOPICS, WIDTH), np.float32)[rng.integers(0, TOPICS, users)]
    np.maximum(vectors, 0, out=vectors)
    bundle = Bundle(
        Provenance("bench", "custom", SEED, 0.0), Weights(config, arrays), np.zeros(0, np.str_), vectors, vectors
    )
    return Space(bundle, np.arange(1, users + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def popularity(candidates: int) -> NDArray[np.float64]:
    """float64[candidates], sums to 1."""
    share = np.arange(1, candidates + 1) ** -0.8
    return np.asarray(share / share.sum())


def filled(space: Space, sizes: Sizes, rng: np.random.Generator) -> Backend:
    """A store with candidates and seeds, all of them dirty."""
    backend = open_backend("memory:", StoreOptions())
    names = [f"c{i}" for i in range(sizes.candidates)]
    backend.candidates.put([Candidate(name, NOW) for name in names])
    seeds = backend.seeds
    assert isinstance(seeds, MemorySeeds)  # whose blocks are put in place: appending clicks takes an hour
    for name, share in zip(names, popularity(sizes.candidates), strict=True):
        n = max(1, round(share * sizes.seeds))
        seeds._blocks[name] = blocks.pack(rng.choice(space.keys, n), NOW - rng.integers(0, 30 * 24 * 60 * MINUTE, n))
    seeds._changed.update(dict.fromkeys(names, 0))
    return backend


def arrive(backend: Backend, space: Space, candidates: int, clicks: int, now: int, rng: np.random.Generator) -> None:
    """New clicks, in batches of 10,000."""
    for first in range(0, clicks, 10_000):
        n = min(10_000, clicks - first)
        of = rng.choice(candidates, n, p=popularity(candidates))
        users = rng.choice(space.keys, n)
        backend.seeds.append(Clicks.of(users, [f"c{c}" for c in of], np.full(n, now - MINUTE)), now)


def a_round(backend: Backend, space: Space, now: int) -> tuple[float, int]:
    """Seconds, and snapshots published, of one round of a refresher on all cores."""
    settings = EngineSettings(threads=cores(), refresh_every_ms=1, lease_ms=10**9)
    refresher = Refresher(backend, lambda: space, settings, lambda: now, owner="bench")
    began = time.perf_counter()
    published = refresher.run_once()
    seconds = time.perf_counter() - began
    refresher.release()
    return seconds, published


def anew(backend: Backend, space: Space, dirty: list[str]) -> float:
    """Seconds of clustering these candidates from nothing, over all their seeds."""
    began = time.perf_counter()
    for first in range(0, len(dirty), 64):
        crowds = [Crowd(name, backend.seeds.recent(name, 3_000_000), 1) for name in dirty[first : first + 64]]
        space.snapshots(crowds, made_at=NOW, max_sample=3_000_000, threads=cores())
    return time.perf_counter() - began


def inertia_ratio(backend: Backend, space: Space, names: list[str]) -> float:
    """Inertia over all seeds of these candidates: of what is published over clustered anew."""
    shown, fresh = 0.0, 0.0
    for name, snapshot in zip(names, backend.snapshots.latest(names, space.model), strict=True):
        assert snapshot is not None
        seeds = backend.seeds.recent(name, 3_000_000)
        (other,) = space.snapshots([Crowd(name, seeds, 1)], made_at=NOW, max_sample=3_000_000)
        assert other is not None
        points = space.embeddings(seeds.user)[0]
        shown += inertia(points, snapshot.centroids[snapshot.sizes > 0])
        fresh += inertia(points, other.centroids[other.sizes > 0])
    return shown / fresh


def inertia(points: NDArray[np.float32], centroids: NDArray[np.float32]) -> float:
    n, used = len(points), len(centroids)
    scratch = np.empty(n, np.int32), np.empty(n, np.float32), np.zeros((used, WIDTH)), np.zeros(used, np.int64)
    return float(lloyd.assign(points, np.arange(n), centroids, *scratch))


def slope(sizes: list[float], seconds: list[float]) -> float:
    """The exponent of growth."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main() -> None:
    args = arguments(__doc__ or "")
    tell = (lambda *_: None) if args.json else print
    part = 10 if args.quick else 1
    whole = Sizes(CANDIDATES // part, SEEDS // part, CLICKS // part, USERS // part)
    rng = np.random.default_rng(SEED)
    space = make_space(whole.users, rng)
    few = filled(space, replace(whole, seeds=1000, candidates=1), rng).seeds.recent("c0", 1000)
    space.snapshots([Crowd("c", few, 1)], made_at=NOW)  # compiles
    rows: list[tuple[float, float, float]] = []
    now = NOW
    for share in SHARES:
        backend = filled(space, replace(whole, seeds=int(whole.seeds * share)), rng)
        a_round(backend, space, now)
        for clicks in SHARES if share == 1.0 else (1.0,):
            now += 10 * MINUTE
            arrive(backend, space, whole.candidates, int(whole.clicks * clicks), now, rng)
            dirty = sorted(backend.seeds.dirty())
            seconds, published = a_round(backend, space, now)
            assert published == len(dirty)
            rows.append((share, clicks, seconds))
    ours = rows[-1][2]
    peer = anew(backend, space, dirty)
    ratio = inertia_ratio(backend, space, [f"c{i}" for i in range(0, whole.candidates, EVERY)])
    seeds = backend.seeds.stats()["seeds"]
    limit = seeds * WIDTH * 4 / read_bandwidth(cores())
    by_seeds = slope([a for a, b, _ in rows if b == 1], [s for _, b, s in rows if b == 1])
    by_clicks = slope([b for a, b, _ in rows if a == 1], [s for a, _, s in rows if a == 1])
    tell(table(("stored seeds", "new clicks", "s"), [
        (f"{a * whole.seeds:,.0f}", f"{b * whole.clicks:,.0f}", f"{s:.2f}") for a, b, s in rows
    ]))  # fmt: skip
    tell(f"anew {peer:.2f} s; ours {ours:.2f} s; reading every seed's vector once {limit:.2f} s")
    tell(f"exponents: {by_seeds:.2f} of stored seeds, {by_clicks:.2f} of new clicks; inertia / anew {ratio:.4f}")
    report(
        "refresh",
        sizes={
            "candidates": whole.candidates,
            "dirty": len(dirty),
            "stored_seeds": seeds,
            "new_clicks": whole.clicks,
            "users": whole.users,
            "width": WIDTH,
            "k": K,
            "threads": cores(),
            "seed": SEED,
        },
        ours_s=ours,
        peer_s=peer,
        limit_s=limit,
        inertia_over_anew=rounded(ratio, 5),
        exponent_of_stored_seeds=rounded(by_seeds, 3),
        exponent_of_new_clicks=rounded(by_clicks, 3),
        rows=[[a * whole.seeds, b * whole.clicks, rounded(s)] for a, b, s in rows],
        peak_with_users_mb=peak_mb(),
    )


if __name__ == "__main__":
    main()
