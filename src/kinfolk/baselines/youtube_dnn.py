"""YouTube DNN: Covington, Adams, Sargin, "Deep Neural Networks for YouTube Recommendations", RecSys 2016.

Stage 1 with its fields side by side (`merge="concat"`), as Liu et al., KDD 2019, compare with it: score = x_u . e_i. It
knows items by name, and only those that training saw: an unknown item scores 0 for everybody, so it cannot rank the
users of a new candidate. `DnnVectors` are the same user vectors for methods that look at the seeds (mean cosine, LDA).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View
from kinfolk.represent.embed import embed
from kinfolk.represent.encoder import EncoderConfig
from kinfolk.represent.represented import Represented
from kinfolk.represent.train import RepresentConfig, train_represent

DNN = RepresentConfig(
    EncoderConfig(embedding_size=64, merge="concat"), batch_size=1024, lr=2e-3, shared_negatives=600, logq=True
)
"""How `YoutubeDnn` and `DnnVectors` train unless told otherwise; the seed is that of the method."""


class YoutubeDnn:
    """Args:
    name, seed: see the registry; the seed is that of training.
    config: of stage 1; its merge is "concat" whatever it says, its seed the method's.
    fresh: users as of the scoring view instead of as of `fit`.
    shared: where fits are kept; `DnnVectors` of the same config and seed are the same training.
    """

    def __init__(
        self,
        name: str = "youtube_dnn",
        seed: int = 0,
        config: RepresentConfig = DNN,
        fresh: bool = False,
        shared: Shared | None = None,
    ) -> None:
        self.name, self.seed, self.fresh, self.config = name, seed, fresh, config
        self.shared = shared or Shared()

    def fit(self, view: View) -> None:
        """Train stage 1.

        Raises:
            DataError: nothing to learn from.
        """
        self.model = trained(self.shared, view, self.config, self.seed)
        codes = self.model.features.item_codes(view.log)
        self._rank = np.where(codes > 1, codes - 2, -1)
        self._static: NDArray[np.float32] | None = None
        if not self.fresh:
            self._static = DnnVectors(self.config).everybody(self.shared, view, self.seed)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]: x_u . e_i; 0 for an item that training did not see. The seeds are not looked at."""
        x = embed(self.model, view, users) if self._static is None else self._static[users]
        rank = np.where(candidates.item >= 0, self._rank[candidates.item], -1)
        e = self.model.item_embeddings[np.maximum(rank, 0)] * (rank >= 0)[:, None]
        return np.asarray(x @ e.T, np.float32)


@dataclass(frozen=True)
class DnnVectors:
    """User vectors x_u of the YouTube DNN, for `Cosine` and `Discriminant`: a `kinfolk.baselines.vectors.UserVectors`.

    Args:
        config: of stage 1; merge is "concat" whatever it says.
    """

    config: RepresentConfig = field(default_factory=lambda: DNN)

    def __call__(self, shared: Shared, view: View, seed: int) -> NDArray[np.float32]:
        """float32[N, m]; a row of zeros for every user without history."""
        x = self.everybody(shared, view, seed)
        return x * (view.n_items(np.arange(view.log.n_users)) > 0)[:, None]

    def everybody(self, shared: Shared, view: View, seed: int) -> NDArray[np.float32]:
        """float32[N, m] as of the view, users without history included."""
        model = trained(shared, view, self.config, seed)
        users = np.arange(view.log.n_users)
        return shared.get(view, ("dnn vectors", self.config, seed), lambda v: embed(model, v, users))


def trained(shared: Shared, view: View, config: RepresentConfig, seed: int) -> Represented:
    """Stage 1 with concatenation, trained once a view, config and seed.

    Shared negatives are at most half of the items, or drawing distinct ones from a small log would not end.
    """
    if config.shared_negatives is not None:
        clicked = np.bincount(view.pairs.item, minlength=view.log.n_items) >= config.item_min_count
        config = replace(config, shared_negatives=max(min(config.shared_negatives, int(clicked.sum()) // 2), 1))
    chosen = replace(config, encoder=replace(config.encoder, merge="concat"), seed=seed)
    return shared.get(view, ("dnn", chosen), lambda v: train_represent(v, v.log.schema, chosen))
