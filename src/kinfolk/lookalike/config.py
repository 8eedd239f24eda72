"""Choices of stage 2: the shape of the model and how it is trained. Frozen, and free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from kinfolk.errors import OptionError


@dataclass(frozen=True)
class LookalikeConfig:
    """Shape and choices of the stage 2 model; the defaults are the `kinfolk` preset.

    Args:
        m: width of universal user embeddings x_u.
        h: width of look-alike embeddings E_u.
        k: clusters a candidate.
        attention_size: inner width a of the global attention.
        alpha, beta: weights of the global and the local cosine.
        pooling: "attention", or "average": the mean of the seeds in place of both attentions.
        activation: "relu" or "prelu" of the shared transform.
        similarity: "cosine" (eq. 2) or "dot" (the wording of section 5.3).
        learned_temperature: learn the sharpness of the local attention.
        size_aware: add log(cluster size) to both attentions' logits.
        learned_scale: `logit = exp(tau) * score + bias` instead of `logit = score`.
        local_gain: scale of the initial W_l of the local attention; near 0 training starts at the average.
        dropout: on the input of the transform, while training.
    """

    m: int = 128
    h: int = 128
    k: int = 20
    attention_size: int = 64
    alpha: float = 0.3
    beta: float = 0.7
    pooling: str = "attention"
    activation: str = "relu"
    similarity: str = "cosine"
    learned_temperature: bool = True
    size_aware: bool = False
    learned_scale: bool = True
    local_gain: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        choices = {
            "pooling": ("attention", "average"),
            "activation": ("relu", "prelu"),
            "similarity": ("cosine", "dot"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is {getattr(self, name)!r}", f"use one of {', '.join(allowed)}")
        if min(self.m, self.h, self.k, self.attention_size) < 1:
            raise OptionError("m, h, k and attention_size must be at least 1", "give positive sizes")


@dataclass(frozen=True)
class TrainingConfig:
    """How stage 2 is trained; the defaults are the `kinfolk` preset.

    Args:
        epochs: at most; early stopping may end before.
        batch_size: samples a step.
        lr: learning rate of Adam.
        weight_decay: decoupled (AdamW); 0 is plain Adam.
        loss: "sigmoid": eq. 11 over the campaign's labelled samples; "softmax": each clicked sample against the other
            users of its batch, who are there in proportion to their activity, so that activity itself is not learned.
        members: at most this many seeds drawn from each cluster at every step.
        seeds_min: with a positive value each epoch sees every candidate with a random number of its first seeds,
            between this and all of them, log-uniform; 0: always all seeds.
        centroids: "members": clusters with gradient; "constant": centroids without; "input": T(mean of x).
        recluster_every: steps; 0 means once an epoch.
        recluster: False keeps the first assignments for good (ablation).
        validation: share of the candidates held out to choose the epoch.
        patience: epochs without improvement before stopping.
        kmeans_iterations: Lloyd iterations at each re-clustering.
    """

    epochs: int = 10
    batch_size: int = 256
    lr: float = 1e-3
    weight_decay: float = 0.0
    loss: str = "softmax"
    members: int = 4
    seeds_min: int = 5
    centroids: str = "members"
    recluster_every: int = 0
    recluster: bool = True
    validation: float = 0.1
    patience: int = 3
    kmeans_iterations: int = 10

    def __post_init__(self) -> None:
        for name, allowed in (("loss", ("sigmoid", "softmax")), ("centroids", ("members", "constant", "input"))):
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is {getattr(self, name)!r}", f"use one of {', '.join(allowed)}")
        if self.batch_size < 2 or self.epochs < 1 or self.members < 1:
            raise OptionError("batch_size must be at least 2, epochs and members at least 1", "give larger values")
