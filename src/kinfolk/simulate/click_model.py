"""How people click, in a dozen figures: `ClickModel`, and `GLOBO`, what `fit` found in a real log."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import DataError

_LISTS = ("age_edges", "age_rate", "rhythm")


@dataclass(frozen=True)
class ClickModel:
    """Rates of a feed; `kinfolk.simulate.fit.fit` takes them from a log.

    Args:
        source: where the figures come from.
        visits_a_day: mean over users, those who did not come while the log was kept included.
        visits_spread: standard deviation of the logarithm of a user's own rate of visits.
        clicks_a_visit: mean, visits without a click included.
        clicks_spread: standard deviation of the logarithm of a visit's own appetite.
        births_a_visit: items worth simulating (`fit.MIN_CLICKERS`) that are born while one visit happens.
        popularity_spread: standard deviation of the logarithm of such an item's number of clickers.
        age_edges: hours, ascending from 0; an item older than the last is shown no more.
        age_rate: clicks an item gets at an age, per click on the whole site; relative to the best age (1).
        repeat: how much likelier one clicks on what one has clicked on in an earlier visit, < 1: less likely.
        rhythm: share of the clicks in each of the 24 local hours.

    Raises:
        DataError: figures that cannot be.
    """

    source: str
    visits_a_day: float
    visits_spread: float
    clicks_a_visit: float
    clicks_spread: float
    births_a_visit: float
    popularity_spread: float
    age_edges: tuple[float, ...]
    age_rate: tuple[float, ...]
    repeat: float
    rhythm: tuple[float, ...]

    def __post_init__(self) -> None:
        remedy = "fit the model anew on a log of some days with many users"
        for name in ("visits_a_day", "clicks_a_visit", "births_a_visit"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise DataError(f"{name} is {value}, expected more than 0", remedy)
        for name in ("visits_spread", "clicks_spread", "popularity_spread", "repeat"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise DataError(f"{name} is {value}, expected 0 or more", remedy)
        edges, rate, rhythm = np.array(self.age_edges), np.array(self.age_rate), np.array(self.rhythm)
        if len(edges) != len(rate) + 1 or len(rate) < 1 or edges[0] != 0 or not (np.diff(edges) > 0).all():
            raise DataError(
                f"{len(edges)} edges of ages for {len(rate)} rates, or edges that do not rise from 0", remedy
            )
        if not np.isfinite(rate).all() or rate.min() < 0 or rate.max() <= 0:
            raise DataError("rates by age hold NaN, a negative number or only zeros", remedy)
        if len(rhythm) != 24 or not np.isfinite(rhythm).all() or rhythm.min() < 0 or rhythm.sum() <= 0:
            raise DataError(f"the rhythm has {len(rhythm)} hours or a share that is no share", remedy)

    @property
    def life_hours(self) -> float:
        """Age at which an item is shown no more."""
        return self.age_edges[-1]

    def pull_of_age(self, hours: NDArray[np.float64]) -> NDArray[np.float64]:
        """`age_rate` at the given ages, 0 outside the life of an item; any shape."""
        bin_ = np.searchsorted(self.age_edges, hours, side="right") - 1
        inside = (bin_ >= 0) & (bin_ < len(self.age_rate))
        return np.where(inside, np.array(self.age_rate)[np.clip(bin_, 0, len(self.age_rate) - 1)], 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as in the JSON file."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "click model") -> ClickModel:
        """The inverse of `to_dict`.

        Raises:
            DataError: a figure is missing, unknown, not a number, or cannot be.
        """
        names = {f.name for f in fields(cls)}
        wrong = sorted(names ^ set(data))
        if wrong:
            raise DataError(
                f"{where}: {wrong[0]!r} is {'missing' if wrong[0] in names else 'unknown'}",
                "write the file with `python -m kinfolk.simulate.fit`",
            )
        try:
            known: dict[str, Any] = {
                k: str(v) if k == "source" else tuple(map(float, v)) if k in _LISTS else float(v)
                for k, v in data.items()
            }
        except (TypeError, ValueError) as e:
            raise DataError(f"{where}: {e}", "give numbers") from e
        return cls(**known)

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> ClickModel:
        """Read what `save` wrote.

        Raises:
            DataError: no such file, no JSON, or as `from_dict`.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as e:
            raise DataError(f"{path}: {e}", "write the file with `python -m kinfolk.simulate.fit`") from e
        if not isinstance(data, Mapping):
            raise DataError(f"{path} holds no table of figures", "write it with `python -m kinfolk.simulate.fit`")
        return cls.from_dict(data, where=str(path))


GLOBO = ClickModel(
    source="globo",
    visits_a_day=0.1446,
    visits_spread=1.1058,
    clicks_a_visit=2.4149,
    clicks_spread=0.2107,
    births_a_visit=0.00864,
    popularity_spread=1.4736,
    age_edges=(0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 18.0, 24.0, 36.0, 48.0),
    age_rate=(0.5303, 0.5639, 0.6912, 0.8035, 0.9149, 1.0, 0.9561, 0.7624, 0.7607, 0.5245, 0.2981),
    repeat=0.6332,
    rhythm=(
        0.0203,
        0.0111,
        0.0063,
        0.0049,
        0.0056,
        0.0108,
        0.0246,
        0.0437,
        0.0623,
        0.0547,
        0.057,
        0.0617,
        0.0635,
        0.0681,
        0.0647,
        0.0643,
        0.065,
        0.0608,
        0.0515,
        0.0468,
        0.0426,
        0.0403,
        0.0388,
        0.0307,
    ),
)
"""Of 3 million clicks of 16 days on a news site (`kinfolk.data.catalog.globo`), by `python -m kinfolk.simulate.fit`."""
