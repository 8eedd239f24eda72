"""`--exclude`: users who are to leave no trace in a model, or never to be returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kinfolk.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from kinfolk.data.log import Log


def leave_out(log: Log, users: Sequence[str]) -> tuple[Log, int]:
    """The log as if some users had never been there, and how many it had of them.

    Ids that the log does not have are passed over: who asked to be forgotten need not be in every log.

    Raises:
        DataError: nobody would be left.
    """
    from kinfolk.data.clean import subset
    from kinfolk.data.vocabulary import rows_of

    rows = rows_of(log.user_ids, np.asarray(users, np.str_))
    gone = np.unique(rows[rows >= 0])
    keep = np.setdiff1d(np.arange(log.n_users), gone)
    if len(keep) == 0:
        raise DataError(f"all {log.n_users} users of {log.name} are to be left out", "shorten the list of --exclude")
    return subset(log, keep), len(gone)


def say_matched(console: Console, matched: int, of: int) -> None:
    """How many of the excluded ids are users; a warning where none is, since a list of other ids looks the same."""
    console.print(f"{matched:,} of {of:,} excluded ids matched", highlight=False)
    if not matched:
        console.print(
            "[yellow]warning[/] --exclude leaves nobody out: are its ids written as in the users table?", soft_wrap=True
        )
