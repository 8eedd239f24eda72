"""The loop: a world's warm-up, and its test under a ranker and a weighting; all users of a step at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.data import synthetic
from kinfolk.data.encode import encode
from kinfolk.data.log import Log
from kinfolk.data.tables import read_tables
from kinfolk.lookalike.rerank import reranked
from kinfolk.schema import Categorical, History, Schema
from kinfolk.simulate.ranker import Ranker
from kinfolk.simulate.shown import Shown
from kinfolk.simulate.weighting import Weighting
from kinfolk.simulate.world import STEP, World, best

Rows = NDArray[np.int64]
OnStep = Callable[[int, int], None]
"""Called with steps done and steps in all."""


def warm_up(world: World) -> Shown:
    """The editor's feed: what everybody learns from."""
    clicked = Clicked(world)
    parts = []
    for step in range(world.warm_steps):
        users, live = world.arrivals(step), world.live(step)
        if len(users) and len(live):
            parts.append(_show(world, clicked, users, world.editors_list(users, live, step), step))
    return Shown.join(parts)


def play(
    world: World,
    before: Shown,
    ranker: Ranker,
    weighting: Weighting | None = None,
    lam: float = 0.0,
    on_step: OnStep | None = None,
) -> Shown:
    """The test: the treatment's users see pctr · (1 + lam · score) in order (`reranked`), the others pctr.

    Everybody's impressions teach the ranker, and everybody's clicks are seeds, as they would be on one site.

    Args:
        world: where.
        before: the warm-up.
        ranker: warmed; it is copied, not changed.
        weighting: told of `before` here; None: nobody is treated.
        lam: weight of its score.
        on_step: see `OnStep`.
    """
    ranker, clicked, treated = ranker.copy(), Clicked(world, before), world.arm()
    if weighting is not None:
        weighting.observe(before)
    parts = []
    for step in range(world.warm_steps, world.steps):
        users, live = world.arrivals(step), world.live(step)
        if weighting is not None:
            weighting.refresh(live)
        if len(users) and len(live):
            again = np.where(clicked.of(users, live[None].repeat(len(users), 0)), world.config.model.repeat, 1.0)
            final = ranker.pctr(users, live) * again
            mine = np.flatnonzero(treated[users])
            if weighting is not None and lam and len(mine):
                score = weighting.scores(users[mine], live)
                final[mine] = reranked(final[mine], score, lam)
            top = best(final, world.config.list_length - world.config.explored)
            shown = np.concatenate([live[top], world.explored(users, live, top, step)], axis=1)
            part = _show(world, clicked, users, shown, step)
            ranker.learn(part)
            if weighting is not None:
                weighting.observe(part)
            parts.append(part)
        if on_step is not None:
            on_step(step + 1 - world.warm_steps, world.steps - world.warm_steps)
    return Shown.join(parts)


def as_log(world: World, shown: Shown) -> Log:
    """Impressions and clicks as any log of a feed: users' and items' visible fields, nothing of the truth.

    Rows of users and items are those of the world.
    """
    time = 1000 * (int(world.now(0)) + shown.step * STEP + shown.position)
    events = pl.DataFrame(
        {"user_id": shown.user, "item_id": shown.item, "time": time, "label": shown.clicked.astype(np.int8)}
    )
    users, items = pl.concat(synthetic.users(world.true)), synthetic.items(world.true)
    schema = Schema(
        user=synthetic.schema().user,
        item=(Categorical("publisher"), Categorical("category"), Categorical("form")),
        history=(History(length=50),),
        time_unit="ms",
    )
    tables = read_tables(schema, events, users, items, now=world.now(world.steps))
    return encode(tables, schema, name=f"simulated-{world.config.seed}", seed=world.config.seed)


class Clicked:
    """Which pairs were clicked on an earlier visit."""

    def __init__(self, world: World, before: Shown | None = None) -> None:
        self._pairs = np.zeros((world.config.users, len(world.items)), bool)
        if before is not None:
            self.add(before)

    def add(self, shown: Shown) -> None:
        """Clicks of a step, or of many."""
        self._pairs[shown.user[shown.clicked], shown.item[shown.clicked]] = True

    def of(self, users: Rows, items: Rows) -> NDArray[np.bool_]:
        """bool[users, n] for items int64[users, n]."""
        return self._pairs[users[:, None], items]


def _show(world: World, clicked: Clicked, users: Rows, shown: Rows, step: int) -> Shown:
    part = Shown.of(users, shown, step, world.clicks(users, shown, step, clicked.of(users, shown)))
    clicked.add(part)
    return part
