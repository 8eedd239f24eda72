"""Lists of names as places in one list of distinct names: `named`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kinfolk.data.jagged import Jagged


def named(rows: Iterable[Sequence[str]]) -> tuple[list[str], Jagged]:
    """Distinct names in the order in which they come up, and a row of int32 places in them for every list."""
    place: dict[str, int] = {}
    coded = [np.array([place.setdefault(name, len(place)) for name in row], np.int32) for row in rows]
    return list(place), Jagged.concatenate(coded, np.int32)
