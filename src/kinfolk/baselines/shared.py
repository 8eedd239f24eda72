"""Fits that several methods have in common (ALS, TF-IDF, stage 1), made once a view: `Shared`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import numpy as np

from kinfolk.data.log import View

T = TypeVar("T")


class Shared:
    """Results of `make(view)`, kept for as long as views show the same: one log, moment and removed items.

    Only the newest view's results are kept: a run that refits every day holds one day's fits in memory.
    """

    def __init__(self) -> None:
        self._view: View | None = None
        self._results: dict[Hashable, object] = {}

    def get(self, view: View, key: Hashable, make: Callable[[View], T]) -> T:
        """`make(view)`, called at most once a view and key; the key names everything else the result depends on."""
        if self._view is None or not same(view, self._view):
            self._view, self._results = view, {}
        if key not in self._results:
            self._results[key] = make(view)
        return cast(T, self._results[key])


def same(a: View, b: View) -> bool:
    """Whether two views show the same."""
    return a is b or (a.log is b.log and a.now == b.now and np.array_equal(a.removed, b.removed))
