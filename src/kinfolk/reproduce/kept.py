"""Rows of finished trainings, kept in a parquet file so that a run that was stopped goes on: `Kept`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import polars as pl

from kinfolk.data.log import Log
from kinfolk.errors import DataError, OptionError
from kinfolk.evaluate.output import write_scores

_KEYS = ["variant", "seed", "terms"]


class Kept:
    """Rows by variant and training seed.

    Args:
        path: parquet file, written whole after every training; None keeps them in memory.
        resume: take up the rows that are in it; else it must not be there.
        overwrite: without `resume`, replace what is there.

    Raises:
        OptionError: the file is there, and neither was said.
        DataError: it cannot be read as such a file.
    """

    def __init__(self, path: Path | None = None, *, resume: bool = False, overwrite: bool = False) -> None:
        self.path, self.made = path, 0
        self._frames: list[pl.DataFrame] = []
        if path is None or not path.exists() or (overwrite and not resume):
            return
        if not resume:
            raise OptionError(
                f"{path} holds the rows of an earlier run",
                "go on from them with --resume, replace them with --overwrite, or name another --out",
            )
        try:
            found = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as e:
            raise DataError(f"{path} cannot be read: {e}", "remove it, or name another --out") from e
        if not set(_KEYS) <= set(found.columns):
            raise DataError(f"{path} is no file of rows of an experiment", "remove it, or name another --out")
        self._frames = found.partition_by(_KEYS, maintain_order=True)

    @property
    def finished(self) -> int:
        """Trainings whose rows are here."""
        return len(self._frames)

    def of(self, variant: str, seed: int, terms: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The rows of a training, with columns variant, seed and terms: those kept, or those of `make()`.

        Args:
            variant, seed: which training.
            terms: `fingerprint` of all that its rows depend on.
            make: runs it; at least one row.

        Raises:
            OptionError: rows of this training are here, but were made under other terms.
        """
        for frame in self._frames:
            if (frame["variant"][0], frame["seed"][0]) == (variant, seed):
                if frame["terms"][0] != terms:
                    raise OptionError(
                        f"{self.path}: the rows of {variant!r}, seed {seed}, come from other data, terms or presets",
                        "replace them all with --overwrite, or name another --out",
                    )
                return _without_nulls(frame)
        rows = make().with_columns(variant=pl.lit(variant), seed=pl.lit(seed, pl.Int64), terms=pl.lit(terms, pl.String))
        self._frames.append(rows)
        self.made += 1
        if self.path is not None:
            write_scores(self.path, pl.concat(self._frames, how="diagonal_relaxed"))
        return rows


def fingerprint(log: Log, *what: object) -> str:
    """16 hex digits of the log's identity and of anything with a faithful `repr` (frozen dataclasses, numbers)."""
    times = log.events.time
    ends = (float(times[0]), float(times[-1])) if len(times) else ()
    data = (log.name, log.n_users, log.n_items, len(log.events), ends)
    return hashlib.sha256(repr((data, *what)).encode()).hexdigest()[:16]


def _without_nulls(frame: pl.DataFrame) -> pl.DataFrame:
    """Without the columns that only other trainings have: a file has all columns of all."""
    return frame.select([c for c in frame.columns if frame[c].null_count() < frame.height])
