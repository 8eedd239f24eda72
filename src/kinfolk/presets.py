"""Named choices for everything that is learned: `paper` is RALM as published, `kinfolk` what measures better.

Every difference between the two is listed in docs/decisions with its measured gain.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kinfolk.errors import OptionError
from kinfolk.lookalike.campaign import CampaignConfig
from kinfolk.lookalike.config import EpisodeConfig, LookalikeConfig, TrainingConfig
from kinfolk.represent.encoder import EncoderConfig
from kinfolk.represent.train import RepresentConfig


@dataclass(frozen=True)
class Preset:
    """Args:
    represent: stage 1.
    campaign: candidates and samples of stage 2.
    lookalike: shape of stage 2.
    training: training of stage 2.
    seeds_share, samples_share: shares of the clicks in the second and the third window.
    judged: stage 1 keeps the epoch that best tells the crowds of the later windows apart (`lookalike.judge`), and holds
        out nothing for a validation loss.
    fresh: score users by their history as of now instead of vectors made at the end of training.
    episodes: teach stage 2 (and stage 1 further) by episodes from the whole log instead of the samples of `campaign`
        and `training`.
    co_click: add co-clicks to the score, with a weight learned on episodes (decision 7); needs `episodes`.
    trend: learn what to expect of an item from when it was clicked, for the order of a feed (decision 8).
    discriminant: from many seeds, tell their crowd apart from everybody as well (decision 9); not with "average".
    """

    represent: RepresentConfig = field(default_factory=RepresentConfig)
    campaign: CampaignConfig = field(default_factory=CampaignConfig)
    lookalike: LookalikeConfig = field(default_factory=LookalikeConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seeds_share: float = 0.15
    samples_share: float = 0.15
    judged: bool = False
    fresh: bool = False
    episodes: EpisodeConfig | None = None
    co_click: bool = False
    trend: bool = False
    discriminant: bool = False


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        represent=RepresentConfig(encoder=EncoderConfig()),
        campaign=CampaignConfig(negatives=1),
        lookalike=LookalikeConfig(learned_temperature=False, learned_scale=False),
        training=TrainingConfig(loss="sigmoid", seeds_min=0),
    ),
    "kinfolk": Preset(
        represent=RepresentConfig(
            encoder=EncoderConfig(dropout=0.2, factors=32, activity=True),
            epochs=24,
            patience=3,
            batch_size=512,
            min_steps=1000,
            lr=4e-3,
            concurrent=True,
            skip_unknown_items=True,
        ),
        lookalike=LookalikeConfig(
            activation="prelu", size_aware=True, local_gain=0.05, unit_input=True, start="average"
        ),
        episodes=EpisodeConfig(),
        seeds_share=0.08,
        samples_share=0.08,
        judged=True,
        fresh=True,
        co_click=True,
        trend=True,
        discriminant=True,
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        OptionError: there is none.
    """
    if name not in PRESETS:
        raise OptionError(f"no preset is called {name!r}", f"use one of {', '.join(PRESETS)}")
    return PRESETS[name]


def with_pooling(chosen: Preset, pooling: str) -> Preset:
    """The same preset with another pooling of the seeds: "average" gives RALM with average."""
    return replace(chosen, lookalike=replace(chosen.lookalike, pooling=pooling))
