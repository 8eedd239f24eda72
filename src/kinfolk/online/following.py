"""Which seeds a refresher embeds anew before it clusters their crowds: `follow_seeds`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinfolk.online.crowd import Crowd
from kinfolk.online.ports import SeedStore
from kinfolk.online.space import Space

NEW = 4096
"""At most so many of a crowd's seeds since its last snapshot; of a flood the newest."""
FIRST = 256
"""So many of a crowd that has no snapshot in this model."""
NEWEST = 64
"""So many in any case, if they are not followed yet: a refresher that has just got the lease follows nobody."""


def follow_seeds(space: Space, store: SeedStore, crowds: Sequence[Crowd], trail_length: int) -> None:
    """Embed the newest seeds of crowds with what they have clicked until now.

    A seed is so embedded once a click, in the round that takes the click in.

    Args:
        space: the users of the model.
        store: of the seeds, with their trails.
        crowds: to be clustered.
        trail_length: clicks of a seed.
    """
    if space.seeds.most < 1 or space.bundle.inputs is None:
        return
    each = [_newest(space, crowd) for crowd in crowds]
    distinct, which = np.unique(np.concatenate([np.zeros(0, np.uint64), *each]), return_inverse=True)
    if not len(distinct):
        return
    names, trails = store.trails(distinct, trail_length)
    candidates = [crowd.candidate for crowd, users in zip(crowds, each, strict=True) for _ in users]
    space.seeds.follow(distinct[which], candidates, names, trails.take(which))


def _newest(space: Space, crowd: Crowd) -> NDArray[np.uint64]:
    n, last = len(crowd.seeds), crowd.warm
    since = 0
    if last is not None:
        since = n - int(np.searchsorted(crowd.seeds.time, last.made_at - last.made_at % 1000))  # stores keep seconds
    new = min(since, NEW)
    users = crowd.seeds.user[n - min(n, max(new, FIRST if last is None else NEWEST)) :]
    wanted = ~space.seeds.follows(crowd.candidate, users)
    wanted[len(users) - new :] = True
    return users[wanted]
