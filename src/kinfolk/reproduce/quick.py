"""`--quick`: models and samples so small that an experiment ends in a minute. To see that it runs, not how well."""

from __future__ import annotations

from dataclasses import replace

from kinfolk.evaluate.protocol import Protocol
from kinfolk.presets import Preset
from kinfolk.represent.config import RepresentConfig

_SIZE = 16


def small(chosen: Preset) -> Preset:
    """The same choices with 16 dimensions and a moment's training."""
    episodes = chosen.episodes and replace(
        chosen.episodes, steps=6, batch_size=2, round=6, validated=4, positives=8, negatives=12, seeds_kept=16
    )
    return replace(
        chosen,
        represent=small_represent(chosen.represent),
        campaign=replace(chosen.campaign, min_seeds=3, max_seeds=50, max_samples=1000),
        lookalike=replace(chosen.lookalike, m=_SIZE, h=_SIZE, attention_size=8),
        training=replace(chosen.training, epochs=min(chosen.training.epochs, 2)),
        episodes=episodes,
    )


def small_represent(config: RepresentConfig) -> RepresentConfig:
    """Stage 1 alone."""
    factors = min(config.encoder.factors, _SIZE // 4)
    encoder = replace(config.encoder, embedding_size=_SIZE, attention_size=8, hidden=(_SIZE,), factors=factors)
    return replace(config, encoder=encoder, epochs=1, min_steps=0, batch_size=512, patience=1)


def few(terms: Protocol) -> Protocol:
    """The same terms with few candidates and users."""
    n = tuple(k for k in terms.n if k <= 10) or terms.n[:1]
    simulated = None if terms.simulate_new is None else min(terms.simulate_new, 40)
    terms = replace(terms, n=n, simulate_new=simulated, max_candidates=8, common=8, max_users=3000)
    return replace(terms, min_positives=2, min_negatives=20)
