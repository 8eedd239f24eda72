"""`kinfolk train --exclude`: users who are to leave no trace in a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kinfolk.errors import DataError

if TYPE_CHECKING:
    from kinfolk.data.log import Log


def leave_out(log: Log, users: Sequence[str]) -> Log:
    """The log as if some users had never been there.

    Ids that the log does not have are passed over: who asked to be forgotten need not be in every log.

    Raises:
        DataError: nobody would be left.
    """
    from kinfolk.data.clean import subset
    from kinfolk.data.vocabulary import rows_of

    rows = rows_of(log.user_ids, np.asarray(users, np.str_))
    keep = np.setdiff1d(np.arange(log.n_users), rows[rows >= 0])
    if len(keep) == 0:
        raise DataError(f"all {log.n_users} users of {log.name} are to be left out", "shorten the list of --exclude")
    return subset(log, keep)
