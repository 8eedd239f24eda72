"""Bars for what takes longer than two seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class Bars:
    """Bars for training and for steps, on one display."""

    def __init__(self, bars: Progress, what: str) -> None:
        self._bars, self._what = bars, what
        self._tasks: dict[str, TaskID] = {}

    def training(self, stage: str, at: Mapping[str, float]) -> None:
        """One bar a stage; `at` holds epoch, step, steps, loss, samples_per_second."""
        task = self._task(stage)
        note = f"epoch {int(at['epoch']) + 1}  loss {at['loss']:.4f}  {at['samples_per_second']:,.0f} samples/s"
        self._bars.update(task, completed=at["step"], total=at["steps"], note=note)

    def step(self, done: int, total: int, note: str) -> None:
        """One bar for everything else."""
        self._bars.update(self._task(self._what), completed=done, total=total, note=note)

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=None, note="")
        return self._tasks[name]


@contextmanager
def step_progress(console: Console, what: str) -> Iterator[Bars]:
    """Bars as long as the block runs; `what` names the bar of steps."""
    with _bars(console) as bars:
        yield Bars(bars, what)
