"""A bundle of the sizes asked for, a server of it, and its candidates with seeds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from kinfolk.testing.served import ServedProcess, wait_until

GENERATOR = Path(__file__).with_name("generator.py")


def make_bundle(folder: Path, users: int, seed: int = 0) -> Path:
    """A bundle of `users` users of the synthetic feed, of the preset's widths, trained for a moment: time is asked of
    it, not taste."""
    from dataclasses import replace

    from kinfolk.data.synthetic import Config, load
    from kinfolk.presets import preset
    from kinfolk.training import train

    log = load(Config(seed=seed, n_users=users, days=2))
    full = preset("kinfolk")
    brief = replace(
        full,
        represent=replace(full.represent, epochs=1, min_steps=0, max_positives_per_user=2),
        campaign=replace(full.campaign, max_samples=2_000),
        training=replace(full.training, epochs=1),
        judged=False,
    )
    train(log, preset=brief, seed=seed, out=folder)
    return folder


def drive(url: str, seconds: float, streams: list[dict[str, Any]], seed: int = 0) -> subprocess.Popen[bytes]:
    """The generator at work; `result` waits for it."""
    process = subprocess.Popen([sys.executable, str(GENERATOR)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps({"url": url, "seconds": seconds, "streams": streams, "seed": seed}).encode())
    process.stdin.close()
    process.stdin = None
    return process


def result(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the generator measured."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the load generator ended with code {process.returncode}")
    found: dict[str, Any] = json.loads(out)
    return found


def metrics(server: ServedProcess) -> dict[str, float]:
    """The gauges and counters without labels."""
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(kinfolk_\w+) (\S+)$", text, re.M)}


def fill(server: ServedProcess, users: list[str], candidates: list[str], seeds: int, seed: int = 0) -> None:
    """About `seeds` seeds for each candidate, all of them clustered when this returns."""
    rng = np.random.default_rng(seed)
    rows = [
        {"user": users[u], "candidate": c, "event_id": f"fill.{c}.{i}"}
        for c in candidates
        for i, u in enumerate(rng.integers(0, len(users), seeds).tolist())
    ]
    for first in range(0, len(rows), 5_000):
        status, answer = server.ask("POST", "/v1/clicks", rows[first : first + 5_000])
        if status != 200:
            raise SystemExit(f"the server refused clicks: {answer}")

    def clustered() -> bool:
        found = metrics(server)
        return found["kinfolk_scorable"] >= len(candidates) and found["kinfolk_refresher_rounds"] >= 1

    wait_until(clustered, "all candidates are clustered", 600)
