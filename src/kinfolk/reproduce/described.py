"""What every outcome says of its data, in words: `of_data`, `of_seeds`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kinfolk.data.log import Log
from kinfolk.evaluate.protocol import Protocol


def of_data(log: Log, terms: Protocol, dataset: str, *, quick: bool) -> dict[str, Any]:
    """Size of the log and start of the test."""
    size = f"{dataset} ({log.n_users:,} users, {log.n_items:,} items, {len(log.events):,} clicks)"
    start = datetime.fromtimestamp(terms.t1, UTC).strftime("%Y-%m-%d %H:%M UTC") if terms.uses_time else "made-up times"
    found: dict[str, Any] = {"Data": size, "test from": start}
    return found | ({"quick": "small models and samples, no result"} if quick else {})


def of_seeds(seeds: Sequence[int]) -> str:
    """ "0 to 4"."""
    listed = list(seeds)
    together = listed == list(range(listed[0], listed[0] + len(listed))) and len(listed) > 2
    return f"{listed[0]} to {listed[-1]}" if together else ", ".join(map(str, listed))
