"""What reading found: `CheckReport`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CheckReport:
    """What was read.

    Args:
        rows, clicks: rows of the events table, those with label 1 (all, if it has no labels).
        users, items: distinct ids in all tables.
        unknown_users, unknown_items: distinct ids of events that are not in the users resp. items table (if given).
        dropped: rows left out because of them (`on_unknown="drop"`).
        duplicates: exact duplicate rows removed; None until encoded.
        time_from, time_until: first and last time, seconds.
        kinds: behaviour kind -> rows.
        warnings: what is odd but no error, a clause each.
    """

    rows: int
    clicks: int
    users: int
    items: int
    time_from: float
    time_until: float
    kinds: Mapping[str, int]
    unknown_users: int = 0
    unknown_items: int = 0
    dropped: int = 0
    duplicates: int | None = None
    warnings: tuple[str, ...] = ()
