"""What an experiment hands on (`Outcome`), and what every experiment is (`Experiment`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from kinfolk.data.log import Log
from kinfolk.evaluate.protocol import Protocol as Terms
from kinfolk.evaluate.summary import Cells
from kinfolk.reproduce.kept import Kept
from kinfolk.training import OnProgress

OnStep = Callable[[int, int, str], None]
"""Called with: trainings done, trainings in all, what was done."""


@dataclass(frozen=True)
class Outcome:
    """An experiment's results.

    Args:
        name, dataset: which experiment, on what.
        title: headline.
        settings: what it depends on, by name: data, windows, presets, how intervals are made.
        findings: sentences computed from the figures.
        tables: for pages.
        figures: the tables' numbers, by name.
        plots: name -> SVG; the main one is called "".
        rows: one row a unit, variant and training seed.
    """

    name: str
    dataset: str
    title: str
    settings: Mapping[str, Any]
    findings: Sequence[str]
    tables: Sequence[Cells]
    figures: Mapping[str, pl.DataFrame]
    plots: Mapping[str, str]
    rows: pl.DataFrame = field(repr=False)


class Experiment(Protocol):
    """An experiment: a function of a log."""

    def __call__(
        self,
        log: Log,
        terms: Terms,
        seeds: Sequence[int],
        *,
        dataset: str,
        kept: Kept,
        quick: bool = False,
        on_step: OnStep | None = None,
        on_training: OnProgress | None = None,
    ) -> Outcome:
        """Run it.

        Args:
            log, terms: data and terms of the comparison.
            seeds: training seeds.
            dataset: name of the data set; "synthetic..." where the truth is known.
            kept: rows that are there already, and where finished ones go.
            quick: small models and samples: to see that it runs.
            on_step: called after every training.
            on_training: called while a training runs.

        Raises:
            KinfolkError: the log or the terms leave nothing to ask.
        """
        ...
