"""What `ablations` compares: presets that differ from one another in one choice (`variants`), and what is not run yet.

The paper's choices are changed one by one in `paper`, ours in `kinfolk`. Where a choice needs another one changed first
(ReLU cannot start at the average; co-clicks want cosines and episodes, the discriminant attention and cosines; with
factors all vectors have length one), the variant is paired with that one instead of the preset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from kinfolk.presets import Preset, preset

PRESETS = ("kinfolk", "paper")
NOT_RUN = {
    "dot products served by the fused scorer": "it does cosines; the ablation scores in plain numpy",
}
"""Choices without a switch: what -> why."""


@dataclass(frozen=True)
class Variant:
    """Args:
    name: "preset: what is changed", or the preset's own name.
    preset: how it is trained.
    against: name of the variant it is paired with; None for the preset itself.
    model: who trains and scores it: "ralm", "dot" (in numpy), "leaky" (`reproduce.leak`), "input"
        (`reproduce.input_centroids`).
    """

    name: str
    preset: Preset
    against: str | None
    model: str = "ralm"


Change = Callable[[Preset], Preset]


def _lookalike(**values: object) -> Change:
    return lambda p: replace(p, lookalike=replace(p.lookalike, **values))  # type: ignore[arg-type]  # names below


def _training(**values: object) -> Change:
    return lambda p: replace(p, training=replace(p.training, **values))  # type: ignore[arg-type]  # names below


def _campaign(**values: object) -> Change:
    return lambda p: replace(p, campaign=replace(p.campaign, **values))  # type: ignore[arg-type]  # names below


def _represent(**values: object) -> Change:
    return lambda p: replace(p, represent=replace(p.represent, **values))  # type: ignore[arg-type]  # names below


def _encoder(**values: object) -> Change:
    return lambda p: _represent(encoder=replace(p.represent.encoder, **values))(p)  # type: ignore[arg-type]  # as above


_no_factors = _encoder(factors=0, activity=False)


_BOTH: dict[str, Change] = {
    "local attention only": _lookalike(alpha=0.0, beta=1.0),
    "global attention only": _lookalike(alpha=1.0, beta=0.0),
    "alpha = beta = 0.5": _lookalike(alpha=0.5, beta=0.5),
    "alpha 0.7, beta 0.3": _lookalike(alpha=0.7, beta=0.3),
    "global attention over ordered clusters": _lookalike(global_attention="ordered"),
}
LEAK = "paper: leak, seeds among the samples"
_AVERAGE = "average instead of attention"
_NO_CO_CLICKS = "no co-clicks"
_NO_DISCRIMINANT = "no discriminant"
_NEITHER = "no co-clicks, no discriminant"
_NO_ACTIVITY = "no activity in the vector"
_NO_FACTORS = "no activity, no factors of items"
_KINFOLK: dict[str, tuple[Change, str | None]] = {
    **{name: (change, None) for name, change in _BOTH.items()},
    "no learned temperature": (_lookalike(learned_temperature=False), None),
    "no learned scale": (_lookalike(learned_scale=False), None),
    "not size-aware": (_lookalike(size_aware=False), None),
    "local attention from a random start": (_lookalike(local_gain=1.0), None),
    "random start": (_lookalike(start="random"), None),
    "random start, ReLU": (_lookalike(start="random", activation="relu"), "random start"),
    "histories as of training": (lambda p: replace(p, fresh=False), None),
    _NO_CO_CLICKS: (lambda p: replace(p, co_click=False), None),
    _NEITHER: (lambda p: replace(p, co_click=False, discriminant=False), _NO_CO_CLICKS),
    f"{_NEITHER}, dot": (
        lambda p: replace(_lookalike(similarity="dot")(p), co_click=False, discriminant=False),
        _NEITHER,
    ),
    "no co-clicks, no episodes": (lambda p: replace(p, co_click=False, episodes=None), _NO_CO_CLICKS),
    "negatives of its own instead of the moment's": (_represent(concurrent=False), None),
    "fields side by side": (_encoder(merge="concat"), None),
    _NO_ACTIVITY: (_encoder(activity=False), None),
    _NO_FACTORS: (_no_factors, _NO_ACTIVITY),
    f"{_NO_FACTORS}, vectors of free length": (lambda p: _no_factors(_lookalike(unit_input=False)(p)), _NO_FACTORS),
    _NO_DISCRIMINANT: (lambda p: replace(p, discriminant=False), None),
    f"{_NO_DISCRIMINANT}, {_AVERAGE}": (
        lambda p: replace(_lookalike(pooling="average")(p), discriminant=False),
        _NO_DISCRIMINANT,
    ),
}
_PAPER: dict[str, tuple[Change, str | None]] = {
    _AVERAGE: (_lookalike(pooling="average"), None),
    **{name: (change, None) for name, change in _BOTH.items()},
    "dot instead of cosine": (_lookalike(similarity="dot"), None),
    "learned temperature": (_lookalike(learned_temperature=True), None),
    "learned scale": (_lookalike(learned_scale=True), None),
    "size-aware": (_lookalike(size_aware=True), None),
    "PReLU": (_lookalike(activation="prelu"), None),
    "four negatives for each click": (_campaign(negatives=4), None),
    "four negatives, learned scale": (
        lambda p: _campaign(negatives=4)(_lookalike(learned_scale=True)(p)),
        "four negatives for each click",
    ),
    "constant centroids": (_training(centroids="constant"), None),
    "centroids T(mean of x)": (_training(centroids="input"), None),
    "no re-clustering": (_training(recluster=False), None),
    "histories as of now": (lambda p: replace(p, fresh=True), None),
    "negatives shared by a batch": (_represent(shared_negatives=600), None),
    "logQ": (_represent(logq=True), None),
    "shared negatives, logQ": (_represent(shared_negatives=600, logq=True), "negatives shared by a batch"),
    "fields side by side": (_encoder(merge="concat"), None),
}


def variants(shrink: Change = lambda p: p) -> list[Variant]:
    """All of them, the presets first among their own; `shrink` is applied to each, for quick runs."""
    out = []
    for base, changes in zip(PRESETS, (_KINFOLK, _PAPER), strict=True):
        start = shrink(preset(base))
        out.append(Variant(base, start, None))
        for name, (change, against) in changes.items():
            changed = change(start)
            other = base if against is None else f"{base}: {against}"
            model = "dot" if changed.lookalike.similarity == "dot" else "ralm"
            out.append(Variant(f"{base}: {name}", changed, other, model))
    paper = shrink(preset("paper"))
    served = _training(centroids="input")(paper)
    out.append(Variant("paper: centroids T(mean of x), scored so too", served, "paper", "input"))
    return [*out, Variant(LEAK, paper, "paper", "leaky")]
