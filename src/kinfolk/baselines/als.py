"""Alternating least squares as the baselines share it: `shared_als`."""

from __future__ import annotations

from kinfolk.baselines.history_matrix import shared_history
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View
from kinfolk.represent.als import Als, AlsConfig, fit_als


def shared_als(shared: Shared, view: View, seed: int, config: AlsConfig | None = None) -> Als:
    """ALS of the view's history matrix, fitted once a view, seed and configuration; item rows as in that matrix."""
    config = config or AlsConfig()
    return shared.get(view, ("als", config, seed), lambda v: fit_als(shared_history(shared, v).matrix, config, seed))
