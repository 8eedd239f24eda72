"""How stage 1 is trained, and how far it is: `RepresentConfig`, `Progress`."""

from __future__ import annotations

from dataclasses import dataclass, field

from kinfolk.errors import OptionError
from kinfolk.represent.encoder import EncoderConfig


@dataclass(frozen=True)
class RepresentConfig:
    """How stage 1 is trained.

    Args:
        encoder: shape of the encoder.
        epochs: passes over the positives, at most; more where they are fewer than `min_steps`.
        min_steps: training never stops before so many steps: on a small log an epoch is a handful of them, and a loss
            that stands still then says that learning has not begun.
        batch_size: positives a step.
        lr: learning rate of Adam; tables take lazy Adam (`RowAdam`).
        negatives: negatives for each positive, log-uniform by popularity rank.
        shared_negatives: distinct negatives shared by a whole batch, instead; more contrasts for each item read.
        concurrent: instead of either, negatives are what others consumed at the same time (`concurrent`).
        logq: correct the logits for how often an item is drawn.
        tie_item_embeddings: the embeddings of the (first) history are those of the softmax.
        item_min_count: items that fewer users consumed are unknown.
        skip_unknown_items: leave unknown items out of histories instead of giving them the unknown code.
        max_positives_per_user: so that the most active users do not dominate; None means all.
        validation: share of the positives, the last in time, that training holds out to stop early; 0 holds out none.
        patience: epochs without a better validation loss before training stops.
        seed: of everything random.
        device: any torch device.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    epochs: int = 10
    min_steps: int = 0
    batch_size: int = 256
    lr: float = 1e-3
    negatives: int = 10
    shared_negatives: int | None = None
    concurrent: bool = False
    logq: bool = False
    tie_item_embeddings: bool = False
    item_min_count: int = 1
    skip_unknown_items: bool = False
    max_positives_per_user: int | None = 50
    validation: float = 0.05
    patience: int = 2
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "negatives", "patience", "item_min_count"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give it a value of at least 1")
        if self.min_steps < 0:
            raise OptionError(f"min_steps is {self.min_steps}", "give 0 or more")
        for name in ("shared_negatives", "max_positives_per_user"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"{name} is {value}", "give it a value of at least 1, or leave it out")
        if not 0 <= self.validation < 1:
            raise OptionError(f"validation is {self.validation}", "use a share from 0 up to, not including, 1")
        if not self.lr > 0:
            raise OptionError(f"lr is {self.lr}", "use a positive learning rate")


@dataclass(frozen=True)
class Progress:
    """Where training is: `done` of `total` samples of an epoch (from 1), mean loss so far, and speed."""

    epoch: int
    epochs: int
    done: int
    total: int
    loss: float
    samples_per_s: float
