"""What many tests share: a small synthetic feed and a bundle trained on it for a moment."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("KINFOLK_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}; set KINFOLK_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def small_log():
    from kinfolk.data.synthetic import Config, load

    return load(Config.small(seed=1))


@pytest.fixture(scope="session")
def tiny_preset():
    """Both stages in a few seconds: enough to have every part, not to be good."""
    from kinfolk.lookalike.campaign import CampaignConfig
    from kinfolk.lookalike.config import LookalikeConfig, TrainingConfig
    from kinfolk.presets import Preset
    from kinfolk.represent.encoder import EncoderConfig
    from kinfolk.represent.train import RepresentConfig

    return Preset(
        represent=RepresentConfig(
            encoder=EncoderConfig(embedding_size=16, factors=4, attention_size=8, hidden=(16,)),
            epochs=2,
            shared_negatives=50,
        ),
        campaign=CampaignConfig(min_seeds=3, max_seeds=50, max_samples=2000),
        lookalike=LookalikeConfig(m=16, h=16, k=4, attention_size=8),
        training=TrainingConfig(epochs=2),
    )


@pytest.fixture(scope="session")
def rich_bundle(small_log, tiny_preset, tmp_path_factory):
    """As `small_bundle`, of a model that knows co-clicks, a trend and a discriminant, as the default preset does."""
    from dataclasses import replace

    from kinfolk.lookalike.config import EpisodeConfig
    from kinfolk.training import train

    knowing = replace(
        tiny_preset,
        lookalike=replace(tiny_preset.lookalike, activation="prelu", start="average"),
        episodes=EpisodeConfig(steps=20, round=10, batch_size=4, validated=8),
        co_click=True,
        trend=True,
        discriminant=True,
    )
    return train(small_log, preset=knowing, seed=1, out=tmp_path_factory.mktemp("rich") / "b")


@pytest.fixture(scope="session")
def small_bundle(small_log, tiny_preset, tmp_path_factory):
    """A saved bundle, opened from disk. Tests copy it before they harm it."""
    from kinfolk.training import train

    return train(small_log, preset=tiny_preset, seed=1, out=tmp_path_factory.mktemp("bundle") / "b")
