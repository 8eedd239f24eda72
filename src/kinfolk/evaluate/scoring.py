"""Asking methods for scores, and refusing answers that cannot be ranked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates, Method
from kinfolk.data.log import View
from kinfolk.errors import OptionError, ProtocolError
from kinfolk.evaluate.protocol import Protocol


def checked_scores(
    method: Method, users: NDArray[np.int32], candidates: Candidates, view: View
) -> NDArray[np.floating]:
    """float[len(users), len(candidates)]: what `method.score` answers.

    Raises:
        ProtocolError: a wrong shape, or NaN.
    """
    scores = np.asarray(method.score(users, candidates, view))
    if scores.shape != (len(users), len(candidates)):
        raise ProtocolError(
            f"method {method.name!r} gave scores of shape {scores.shape} for {len(users)} users and "
            f"{len(candidates)} candidates",
            "return one row a user and one column a candidate",
        )
    if np.isnan(scores).any():
        raise ProtocolError(
            f"method {method.name!r} gave {int(np.isnan(scores).sum())} NaN scores", "mend its score function"
        )
    return scores


def usable(methods: Sequence[Method], protocol: Protocol) -> tuple[Method, ...]:
    """The methods that mean something under the terms: without those that need real times where times are made up.

    A method says so by an attribute `needs_time = True`.

    Raises:
        OptionError: two methods share a name.
        ProtocolError: none is left.
    """
    names = [m.name for m in methods]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise OptionError(f"two methods are called {twice[0]!r}", "give every method a name of its own")
    kept = tuple(m for m in methods if protocol.uses_time or not getattr(m, "needs_time", False))
    if names and not kept:
        raise ProtocolError(
            f"{', '.join(names)}: every method needs real times, and those of this data set are made up",
            "compare static methods",
        )
    return kept


def over_seeds(
    run: Callable[[Sequence[Method]], pl.DataFrame],
    make_methods: Callable[[int], Sequence[Method]],
    seeds: Sequence[int],
) -> pl.DataFrame:
    """One experiment for every training seed: the rows of `run(make_methods(seed))`, with a column "seed".

    The protocol's own seed (candidates, universes) stays as it is, so that every training seed answers the same
    questions.

    Raises:
        OptionError: no seed, or one twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise OptionError(f"training seeds are {list(seeds)}", "give at least one, each once")
    frames = [run(make_methods(seed)).with_columns(pl.lit(seed, pl.Int64).alias("seed")) for seed in seeds]
    return pl.concat(frames)
