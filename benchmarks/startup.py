"""From the command to the first answer: `kinfolk --help`; `kinfolk serve` with 3,000,000 users, 20,000 candidates.

The bundle is one of 2,000 users of the synthetic feed, each there 1,500 times under other ids with vectors drawn anew,
so that its files have the full size; the candidates' crowds are those of 50 random seed lists, published in an SQLite
store. `ours_s` is the time from starting the process until `/readyz` says 200: files hashed, users' keys made, crowds
read, loops compiled or read from their cache, and rehearsed. `limit_s`: hashing the bundle's files once with hashlib on
all cores, which the server does before it believes them. Files are in the page cache.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness import arguments, report, table
from kinfolk.bundle import Bundle
from kinfolk.data.inputs import Inputs
from kinfolk.data.jagged import Jagged
from kinfolk.online.clicks import Seeds
from kinfolk.online.crowd import Crowd
from kinfolk.online.ports import Candidate, StoreOptions
from kinfolk.online.space import Space
from kinfolk.online.stores.open import open_backend
from kinfolk.testing.served import ServedProcess
from load.world import make_bundle

USERS, TIMES, CANDIDATES, SEEDS, CROWDS, SEED = 3_000_000, 1_500, 20_000, 200, 50, 0
NOW = 1_700_000_000_000


def repeated(rows: Jagged, times: int) -> Jagged:
    """The rows, over and over."""
    values, size = np.asarray(rows.values), int(rows.offsets[-1])
    ends = (rows.offsets[1:] + size * np.arange(times)[:, None]).ravel()
    return Jagged(np.tile(values, times), np.concatenate([[0], ends]))


def enlarged(small: Bundle, folder: Path) -> Bundle:
    """The bundle with every user TIMES times, saved."""
    rng = np.random.default_rng(SEED)
    inputs = small.inputs
    assert inputs is not None
    n = len(small.user_ids) * TIMES
    made = Bundle(
        small.provenance,
        small.weights,
        np.array([f"u{i:08d}" for i in range(n)]),
        rng.standard_normal((n, small.universal.shape[1]), np.float32),
        rng.standard_normal((n, small.lookalike.shape[1]), np.float32),
        small.represented,
        inputs=Inputs(
            repeated(inputs.static, TIMES),
            np.tile(inputs.numbers, (TIMES, 1)),
            np.tile(inputs.context, (TIMES, 1)),
            tuple(repeated(h, TIMES) for h in inputs.histories),
        ),
    )
    return made.save(folder)


def fill(bundle: Bundle, url: str) -> None:
    """CANDIDATES candidates with their crowds."""
    backend = open_backend(url, StoreOptions())
    space = Space.open(bundle, backend.secret())
    rng = np.random.default_rng(SEED)
    seeds = [np.unique(rng.choice(space.keys, SEEDS)) for _ in range(CROWDS)]
    crowds = [Crowd(f"c{i}", Seeds(s, np.full(len(s), NOW)), 1, None) for i, s in enumerate(seeds)]
    made = [s for s in space.snapshots(crowds, made_at=NOW, max_sample=1000) if s is not None]
    for first in range(0, CANDIDATES, 500):
        names = [f"c{i}" for i in range(first, min(first + 500, CANDIDATES))]
        backend.candidates.put([Candidate(name, NOW) for name in names])
        parts = [replace(made[i % len(made)], candidate=name) for i, name in enumerate(names)]
        backend.snapshots.publish(parts, None)
    backend.close()


def hashed(folder: Path) -> float:
    """Seconds to hash all files, as many at a time as there are cores."""

    def digest(file: Path) -> None:
        with file.open("rb") as f:
            hashlib.file_digest(f, "sha256")

    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(digest, sorted(folder.iterdir())))
    return time.perf_counter() - began


def timed_help() -> float:
    """Seconds of `kinfolk --help`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kinfolk", "--help"], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    args = arguments(__doc__ or "")
    helps = sorted(timed_help() for _ in range(5 if args.quick else 15))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = Bundle.load(make_bundle(folder / "small", USERS // TIMES, SEED))
        bundle = enlarged(small, folder / "bundle")
        size = sum(f.stat().st_size for f in (folder / "bundle").iterdir())
        url = f"sqlite:///{folder}/k.db"
        fill(bundle, url)
        limit, starts, memory = hashed(folder / "bundle"), [], 0
        for _ in range(1 if args.quick else 3):
            server = ServedProcess(folder / "bundle", url, folder)
            began = time.perf_counter()
            server.start()
            starts.append(time.perf_counter() - began)
            status, answer = server.ask("GET", "/v1/users/u00000001/candidates?limit=100")
            assert status == 200, answer
            status_file = Path(f"/proc/{server.pid}/status")
            if status_file.exists():
                held = next(s for s in status_file.read_text().splitlines() if s.startswith("VmRSS"))
                memory = int(held.split()[1]) // 1024
            server.stop()
    ready, help_s = float(np.median(starts)), float(np.median(helps))
    if not args.json:
        rows = [
            ("kinfolk --help", f"{help_s:.2f} ({helps[0]:.2f} to {helps[-1]:.2f})", "0.3"),
            ("kinfolk serve, ready", f"{ready:.1f} ({min(starts):.1f} to {max(starts):.1f})", "10"),
            ("hashing its files", f"{limit:.1f}", ""),
        ]
        print(table(("what", "s", "goal"), rows))
        print(f"{size / 1e9:.1f} GB of files, {memory} MB held by the server; seed {SEED}")
    report(
        "startup",
        sizes={"users": USERS, "candidates": CANDIDATES, "bundle_mb": size // 1_000_000, "seed": SEED},
        ours_s=ready,
        limit_s=limit,
        help_s=round(help_s, 3),
        goals={"ready_s": 10, "help_s": 0.3},
        server_mb=memory,
        starts=[round(s, 2) for s in starts],
    )


if __name__ == "__main__":
    main()
