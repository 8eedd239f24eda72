"""Bars for what takes longer than two seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


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


@contextmanager
def training_progress(console: Console) -> Iterator[Callable[[str, dict[str, float]], None]]:
    """A callback (stage, {epoch, step, steps, loss, samples_per_second}) that draws one bar a stage and epoch."""
    with _bars(console) as bars:
        tasks: dict[tuple[str, int], int] = {}

        def show(stage: str, at: dict[str, float]) -> None:
            key = (stage, int(at.get("epoch", 0)))
            if key not in tasks:
                name = stage if "epoch" not in at else f"{stage}, epoch {key[1] + 1}"
                tasks[key] = bars.add_task(name, total=at.get("steps"), note="")
            notes = [f"loss {at['loss']:.4f}"] if "loss" in at else []
            notes += [f"{at['samples_per_second']:,.0f} samples/s"] if "samples_per_second" in at else []
            bars.update(tasks[key], completed=at["step"], total=at["steps"], note="  ".join(notes))  # type: ignore[arg-type]  # rich's TaskID is an int

        yield show


@contextmanager
def step_progress(console: Console, what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A callback (done, in all, note) that draws one bar."""
    with _bars(console) as bars:
        task = bars.add_task(what, total=None, note="")

        def show(done: int, total: int, note: str) -> None:
            bars.update(task, completed=done, total=total, note=note)

        yield show
