"""How much it counts in an audience that a user clicks a lot (`bonus`): a campaign's choice (decision 12).

    score(u, S) + dose · unit · (log(1 + |H_u|) - mean)

Who clicks much is more likely to click this, too, whatever it is. A campaign that wants *reach* lets that count, one
that wants *interest* does not: it asks who likes this more than they like other things. `unit` makes a dose of 1 spread
users as wide as the score does; both numbers are learned with co-clicks (`lookalike.blend`). For one user the bonus is
the same for every candidate, so feeds and re-ranking are without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import OptionError

Activity = Literal["interest", "reach"]
DOSES: dict[str, float] = {"interest": 0.0, "reach": 0.2}
"""Choice -> spread of the bonus beside that of the score, on all data (decision 12)."""
DEFAULT: Activity = "interest"


@dataclass(frozen=True)
class Active:
    """Args:
    unit: score for one more in log(1 + items of the history) at a dose of 1.
    mean: of log(1 + items) over the users of questions; they get no bonus on average.
    """

    unit: float
    mean: float


def check_activity(activity: str) -> None:
    """Raises OptionError for a choice that is none."""
    if activity not in DOSES:
        raise OptionError(f"activity is {activity!r}", f"choose one of {', '.join(DOSES)}")


def bonus(lengths: NDArray[np.integer], active: Active | None, activity: str) -> NDArray[np.float32]:
    """What is added to the scores of users for one candidate.

    Args:
        lengths: int[U], distinct items in each user's history, as long as a bundle keeps it.
        active: of the model; None where it knows nothing of activity.
        activity: a choice of `DOSES`.

    Returns:
        float32[U].

    Raises:
        OptionError: no such choice.
    """
    check_activity(activity)
    if active is None or not DOSES[activity]:
        return np.zeros(len(lengths), np.float32)
    scaled = DOSES[activity] * active.unit * (np.log1p(np.asarray(lengths, np.float64)) - active.mean)
    return np.asarray(scaled, np.float32)
