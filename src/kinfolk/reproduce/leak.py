"""What leakage would do: stage 2 taught on users that are among the seeds, as in most public code (`LeakyRalm`).

With the seeds among the clicked samples a model learns to recognise a user in its crowd, and its validation, which
leaks the same way, praises it for that. New items, asked as everywhere, do not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.ralm import Ralm
from kinfolk.data.log import View
from kinfolk.errors import OptionError
from kinfolk.lookalike.campaign import Campaign, build_campaign
from kinfolk.lookalike.training import train_lookalike
from kinfolk.lookalike.weights import Weights
from kinfolk.represent.embed import embed
from kinfolk.training import learn_users, split


class LeakyRalm(Ralm):
    """RALM whose samples of stage 2 hold every seed as a click on its own candidate; for presets without episodes."""

    def fit(self, view: View) -> None:
        """Train both stages.

        Raises:
            OptionError: the preset teaches by episodes.
        """
        p = self.preset
        if p.episodes is not None:
            raise OptionError("episodes draw seeds and positives apart, they cannot leak", "use the preset paper")
        windows = split(view, p)
        key = ("users", p.represent, p.seeds_share, p.samples_share, p.judged, p.campaign.min_seeds, self.seed)
        learned = self.shared.get(view, key, lambda v: learn_users(v, p, seed=self.seed, on_progress=self.on_progress))
        until = view.log.view(windows.until, view.removed)

        def embedder(users: NDArray[np.int32], now: float, without: NDArray[np.int32]) -> NDArray[np.float32]:
            return embed(learned, until, users, now=now, without=without)

        campaign = leaky(build_campaign(until, windows, embedder, p.campaign, seed=self.seed), seed=self.seed)
        model, rows = train_lookalike(campaign, p.lookalike, p.training, seed=self.seed)
        self.metrics = {"users": learned.metrics, "look-alike": rows}
        self._ready(learned, Weights.of(model), view)


def leaky(campaign: Campaign, *, seed: int) -> Campaign:
    """The campaign with every seed as a clicked sample of its own candidate.

    For each, samples without a click are drawn again from those that are there, so that both kinds keep their shares.
    """
    candidate = np.repeat(np.arange(len(campaign.item), dtype=np.int32), np.diff(campaign.offsets))
    others = np.flatnonzero(campaign.label == 0)
    clicked = max(len(campaign.label) - len(others), 1)
    drawn = np.random.default_rng([seed, 11]).choice(others, round(len(candidate) * len(others) / clicked))
    return replace(
        campaign,
        candidate=np.concatenate([campaign.candidate, candidate, campaign.candidate[drawn]]),
        user=np.concatenate([campaign.user, campaign.seed_user, campaign.user[drawn]]),
        label=np.concatenate([campaign.label, np.ones(len(candidate), np.int8), np.zeros(len(drawn), np.int8)]),
        targets=np.concatenate([campaign.targets, campaign.seeds, campaign.targets[drawn]]),
    )
