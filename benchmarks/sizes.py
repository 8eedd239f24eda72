"""What the live half needs of memory and disk: bytes per user, per live candidate, per seed.

    python benchmarks/sizes.py [BUNDLE] [--seeds 300000] [--json]

Memory is what Python and numpy hold once the thing is made, divided by how many there are. Disk is the file, Redis is
what it says it uses. Matrices of the bundle are memory-mapped: they are told apart, as the size of its files.
"""

from __future__ import annotations

import argparse
import gc
import json
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from kinfolk.bundle import Bundle
from kinfolk.online.clicks import Clicks, Seeds
from kinfolk.online.crowd import Crowd
from kinfolk.online.index import LiveIndex
from kinfolk.online.ports import Backend, Changes, StoreOptions
from kinfolk.online.space import Space
from kinfolk.online.stores.open import open_backend
from kinfolk.online.stores.sqlite.seeds import SqliteSeeds
from kinfolk.testing.redis_server import binary, redis_server

T = TypeVar("T")
NOW = 1_700_000_000_000
HOUR = 3_600_000
_NOT_OF_USERS = ("weights.safetensors", "features.safetensors", "bundle.json")
_PASSING = (":seen:", ":trail:")


def allocated(make: Callable[[], T]) -> tuple[int, T]:
    """Bytes that are held after making something, and the thing."""
    gc.collect()
    tracemalloc.start()
    made = make()
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held, made


def of_users(path: Path) -> tuple[dict[str, float], Bundle, Space]:
    """Bytes a user of the bundle: private memory, ids included, and files that every process shares."""

    def opened() -> tuple[Bundle, Space]:
        bundle = Bundle.load(path)
        return bundle, Space.open(bundle, b"0" * 32)

    opened()  # what is imported is not the users'
    held, (bundle, space) = allocated(opened)
    n = len(bundle.user_ids)
    files = sum(f.stat().st_size for f in path.rglob("*") if f.is_file() and f.name not in _NOT_OF_USERS)
    length = float(np.char.str_len(bundle.user_ids).mean())
    return {"user_memory": held / n, "user_bundle_files": files / n, "users": n, "id_length": length}, bundle, space


def of_candidates(bundle: Bundle, space: Space, n: int) -> dict[str, float]:
    """Bytes a live candidate with a full set of clusters, memory of each process."""
    rng = np.random.default_rng(0)
    keys = space.keys
    seeds = [np.unique(rng.choice(keys, 200)) for _ in range(50)]
    crowds = [Crowd(f"c{i}", Seeds(s, np.full(len(s), NOW)), 1, None) for i, s in enumerate(seeds)]
    made = [s for s in space.snapshots(crowds, made_at=NOW, max_sample=1000, threads=1) if s is not None]

    def filled() -> LiveIndex:
        index = LiveIndex(bundle.weights, bundle.version, room=n)  # what is reserved beyond is no memory
        for first in range(0, n, 500):
            part = [replace(made[i % len(made)], candidate=f"c{i}") for i in range(first, min(first + 500, n))]
            index.apply(Changes(part, [], first + 1))
        return index

    held, _ = allocated(filled)
    k, h = made[0].centroids.shape
    return {"candidate_memory": held / n, "candidates": n, "k": k, "h": h}


def fill(backend: Backend, n: int) -> None:
    """One candidate, n users, in batches of 1,000, within an hour."""
    users = np.random.default_rng(1).permutation(np.arange(1, n + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    times = NOW + np.arange(n) * HOUR // n
    for first in range(0, n, 1000):
        part = slice(first, first + 1000)
        backend.seeds.append(Clicks.of(users[part], ["c"] * len(users[part]), times[part]), int(times[part][-1]))


def of_sqlite(n: int) -> dict[str, float]:
    """Bytes a seed: the file while clicks are remembered and later, and the memory of the process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "s.db"
        url = f"sqlite:///{file}"

        def filled() -> Backend:
            backend = open_backend(url, StoreOptions(remember_ms=HOUR))
            fill(backend, n)
            return backend

        held, backend = allocated(filled)
        backend.close()
        young = file.stat().st_size
        with closing(open_backend(url, StoreOptions(remember_ms=HOUR))) as again:
            late = Clicks.of(np.array([1], np.uint64), ["d"], np.array([NOW + 3 * HOUR]))
            again.seeds.append(late, NOW + 3 * HOUR)
            assert isinstance(again.seeds, SqliteSeeds)
            again.seeds.fold()  # at once, not when enough have come
        with closing(sqlite3.connect(file)) as there:
            there.execute("VACUUM")
        return {
            "sqlite_seed_memory_remembered": held / n,
            "sqlite_seed_file_remembered": young / n,
            "sqlite_seed_file_later": file.stat().st_size / n,
        }


def of_redis(n: int) -> dict[str, float]:
    """Bytes that the server uses: for a seed; and, while they are remembered, for the identity of a click and for the
    trail of a user of one click. Nothing where Redis is not installed."""
    if binary() is None:
        return {}
    import redis

    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        ask = redis.Redis.from_url(server.url)
        before = ask.info("memory")["used_memory"]
        with closing(open_backend(server.url, StoreOptions(remember_ms=HOUR))) as backend:
            fill(backend, n)
            backend.seeds.recent("c", n)
            used = [ask.info("memory")["used_memory"] - before]
            for part in _PASSING:
                keys = list(ask.scan_iter(f"*{part}*", count=10_000))
                for first in range(0, len(keys), 10_000):
                    ask.delete(*keys[first : first + 10_000])
                used.append(ask.info("memory")["used_memory"] - before)
        ask.close()
    return {
        "redis_click_remembered": (used[0] - used[1]) / n,
        "redis_user_trail": (used[1] - used[2]) / n,
        "redis_seed": used[2] / n,
    }


def shaped(path: Path) -> Path:
    """A bundle of the default preset, trained for a moment: sizes do not depend on what was learned."""
    from kinfolk.data.synthetic import Config, load
    from kinfolk.presets import preset
    from kinfolk.training import train

    full = preset("kinfolk")
    quick = replace(
        full,
        represent=replace(full.represent, epochs=1, min_steps=0),
        campaign=replace(full.campaign, max_samples=500),
        training=replace(full.training, epochs=1),
    )
    train(load(Config.small(seed=1)), preset=quick, out=path)
    return path


def measured(path: Path, seeds: int, candidates: int) -> dict[str, float]:
    """Everything, of one bundle."""
    users, bundle, space = of_users(path)
    of_model = {**users, **of_candidates(bundle, space, candidates)}
    return {**of_model, "seeds": seeds, **of_sqlite(seeds), **of_redis(seeds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", help="default: 2,000 users in the shapes of the preset kinfolk")
    parser.add_argument("--seeds", type=int, default=300_000)
    parser.add_argument("--candidates", type=int, default=2_000)
    parser.add_argument("--quick", action="store_true", help="100,000 seeds, 500 candidates")
    parser.add_argument("--json", action="store_true", help="one line of JSON only")
    args = parser.parse_args()
    seeds, candidates = (100_000, 500) if args.quick else (args.seeds, args.candidates)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(args.bundle or shaped(Path(folder) / "bundle"), seeds, candidates)
    if not args.json:
        for name, value in found.items():
            print(f"{name:<32}{value:>16,.1f}")
    print(json.dumps({name: round(float(value), 1) for name, value in found.items()}))


if __name__ == "__main__":
    main()
