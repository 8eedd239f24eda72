"""Which experiments there are: `EXPERIMENTS`, `load`. To add one: a module with a function `Experiment`, and a row."""

from __future__ import annotations

import importlib
from typing import cast

from kinfolk.errors import OptionError
from kinfolk.reproduce.outcome import Experiment

EXPERIMENTS: dict[str, tuple[str, str]] = {
    "table1": ("kinfolk.reproduce.table1:run", "Table 1: LR, Yahoo look-alike, YouTube DNN, RALM with average, RALM"),
    "fig5": ("kinfolk.reproduce.fig5:run", "Fig. 5: attention merge against concatenation, by batch and by field"),
    "fig6": ("kinfolk.reproduce.fig6:run", "Fig. 6: how many clusters, and what they cost"),
    "table2": (
        "kinfolk.reproduce.table2:run",
        "Table 2: the A/B test in simulation, and off-policy",
    ),
    "gates": (
        "kinfolk.reproduce.gates:run",
        "the default preset against the best alternatives",
    ),
    "ablations": ("kinfolk.reproduce.ablations:run", "what each choice is worth, one at a time"),
}
"""name -> ("module:function", what it shows)."""
SEEDS = {"table2": 10}
"""How many seeds an experiment takes where nobody says; the others five."""


def load(name: str) -> Experiment:
    """The experiment of that name; its module is imported now.

    Raises:
        OptionError: there is none.
    """
    if name not in EXPERIMENTS:
        raise OptionError(f"no experiment is called {name!r}", f"use one of {', '.join(EXPERIMENTS)}")
    module, _, function = EXPERIMENTS[name][0].partition(":")
    return cast(Experiment, getattr(importlib.import_module(module), function))
