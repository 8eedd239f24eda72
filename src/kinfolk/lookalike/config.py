"""Choices of stage 2: the shape of the model and how it is trained. Frozen, and free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from kinfolk.errors import OptionError


@dataclass(frozen=True)
class LookalikeConfig:
    """Shape and choices of the stage 2 model; what the presets choose is in `kinfolk.presets`.

    Args:
        m: width of universal user embeddings x_u.
        h: width of look-alike embeddings E_u.
        k: clusters a candidate.
        attention_size: inner width a of the global attention.
        global_attention: "lin" (Lin et al. 2017), or "ordered": W_c softmax(tanh(E_s W_g) E_s^T) E_s, which depends on
            the order of the clusters; to compare with.
        alpha, beta: weights of the global and the local cosine.
        pooling: "attention", or "average": the mean of the seeds in place of both attentions.
        activation: "relu" or "prelu" of the shared transform.
        similarity: "cosine" (eq. 2) or "dot" (the wording of section 5.3).
        learned_temperature: learn the sharpness of the local attention.
        size_aware: add log(cluster size) to both attentions' logits.
        learned_scale: `logit = exp(tau) * score + bias` instead of `logit = score`.
        local_gain: scale of the initial W_l of the local attention; near 0 training starts at the average.
        dropout: on the input of the transform, while training.
        unit_input: scale universal embeddings to length one first.
        start: "random", or "average": before training the score is the cosine to the seeds' mean around a centre; needs
            activation="prelu".
    """

    m: int = 128
    h: int = 128
    k: int = 20
    attention_size: int = 64
    global_attention: str = "lin"
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
    unit_input: bool = False
    start: str = "random"

    def __post_init__(self) -> None:
        choices = {
            "start": ("random", "average"),
            "pooling": ("attention", "average"),
            "global_attention": ("lin", "ordered"),
            "activation": ("relu", "prelu"),
            "similarity": ("cosine", "dot"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is {getattr(self, name)!r}", f"use one of {', '.join(allowed)}")
        if min(self.m, self.h, self.k, self.attention_size) < 1:
            raise OptionError("m, h, k and attention_size must be at least 1", "give positive sizes")
        if self.start == "average" and self.activation != "prelu":
            raise OptionError("start='average' needs a transform that can be linear", "use activation='prelu'")


@dataclass(frozen=True)
class TrainingConfig:
    """How stage 2 is trained on samples of three windows.

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


@dataclass(frozen=True)
class EpisodeConfig:
    """How both stages are taught by episodes (`lookalike.episodes`).

    Args:
        steps: in all.
        batch_size: episodes a step.
        lr, table_lr: learning rates of Adam, and of lazy Adam for the embedding tables.
        cooling: share of the steps, the last, over which both fall to zero.
        seeds_min, seeds_max: n is drawn log-uniform between these (or what the item has).
        seeds_kept: at most this many seeds, drawn from the n, are embedded.
        positives_min, positives: users who came next: an episode needs so many, and embeds at most so many.
        negatives: users on line then who did not come.
        window: seconds in which they come, or a share `window_share` of the log's time where that is shorter.
        window_share: see `window`.
        from_birth: share of the episodes of an item born within the log that start with its first click; the others,
            and those of items that were there before, start anywhere.
        kmeans_iterations: Lloyd iterations for each episode.
        round: steps between two checkpoints and judgements.
        validation: share of the items held out to be judged by.
        validated: episodes in a judgement.
    """

    steps: int = 1500
    batch_size: int = 8
    lr: float = 3e-3
    table_lr: float = 5e-3
    cooling: float = 0.3
    seeds_min: int = 5
    seeds_max: int = 200
    seeds_kept: int = 64
    positives_min: int = 5
    positives: int = 24
    negatives: int = 48
    window: float = 86_400.0
    window_share: float = 0.1
    from_birth: float = 0.5
    kmeans_iterations: int = 4
    round: int = 250
    validation: float = 0.05
    validated: int = 160

    def __post_init__(self) -> None:
        counts = ("batch_size", "seeds_min", "seeds_kept", "positives_min", "positives", "negatives", "validated")
        for name in ("steps", "round", *counts):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give it a value of at least 1")
        if self.seeds_max < self.seeds_min:
            raise OptionError(f"seeds_max {self.seeds_max} is below seeds_min {self.seeds_min}", "give a larger one")
        if not 0 < self.cooling <= 1 or not 0 <= self.validation < 1 or not 0 <= self.from_birth <= 1:
            raise OptionError("cooling, validation and from_birth are shares", "use values between 0 and 1")
        if not self.window > 0 or not 0 < self.window_share <= 1:
            raise OptionError(f"a window of {self.window} s, a share of {self.window_share}", "use positive values")
