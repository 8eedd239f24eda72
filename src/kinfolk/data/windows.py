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
        if len(times) < 3 or times[0] == times[-1]:
            raise DataError(
                f"{view.log.name}: {len(times)} distinct clicks before {view.now:.0f} are too few to split in time",
                "train on a longer log, or a later --until",
            )
        a, b = (float(np.quantile(times, 1 - seeds - samples)), float(np.quantile(times, 1 - samples)))
        until = min(view.now, float(np.nextafter(times[-1], np.inf)))
        if a == b or b >= until:
            distinct = np.unique(times)
            if len(distinct) < 3:
                raise DataError(
                    f"{view.log.name}: only {len(distinct)} distinct click times",
                    "three windows in time need at least three; are the times in the right column and unit?",
                )
            a, b = float(distinct[-2]), float(distinct[-1])
        return cls(a, b, until)
