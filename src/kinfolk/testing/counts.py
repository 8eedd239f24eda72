"""How often a heavy test repeats: little in `make test`, in full under `make test-full` (KINFOLK_FULL=1)."""

from __future__ import annotations

import os

FULL = os.environ.get("KINFOLK_FULL", "") == "1"


def examples(reduced: int, full: int | None = None) -> int:
    """`reduced`, or under `make test-full` `full` (ten times as many if not given)."""
    return (10 * reduced if full is None else full) if FULL else reduced
