"""The three windows in time that keep stage 2 honest (docs: leakage): learn, then seeds, then samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinfolk.data.log import View
from kinfolk.errors import DataError


@dataclass(frozen=True)
class Windows:
    """Half-open, in order, in seconds: stage 1 learns from times < `seeds_from`, seeds come from
    [seeds_from, samples_from), samples from [samples_from, until). Evaluation is at or after `until`.

    Raises:
        DataError: the moments are not in order.
    """

    seeds_from: float
    samples_from: float
    until: float

    def __post_init__(self) -> None:
        if not self.seeds_from < self.samples_from < self.until:
            raise DataError(
                f"the windows {self.seeds_from}, {self.samples_from}, {self.until} are not in order",
                "give seeds_from < samples_from < until",
            )

    @classmethod
    def split(cls, view: View, seeds: float = 0.15, samples: float = 0.15) -> Windows:
        """Windows holding the given shares of the distinct pairs that `view` shows.

        Raises:
            DataError: fewer than three distinct moments.
        """
        times = view.pairs.time
        moments = np.unique(times)
        if len(moments) < 3:
            raise DataError(
                f"{view.log.name}: {len(times)} clicks at {len(moments)} distinct times before {view.now:.0f}",
                "three windows need clicks at three times at least: is the time column right? "
                "train on a longer log, or a later --until",
            )
        wanted = np.quantile(times, [1 - seeds - samples, 1 - samples])
        first, second = np.searchsorted(moments, wanted)
        first = min(max(int(first), 1), len(moments) - 2)  # so that no window is empty
        second = min(max(int(second), first + 1), len(moments) - 1)
        until = min(view.now, float(np.nextafter(moments[-1], np.inf)))
        return cls(float(moments[first]), float(moments[second]), until)
