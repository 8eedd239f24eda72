"""Stage 2 as plain arrays: what serving needs of a trained `LookalikeModel`, without torch.

`Weights.transform` gives E_u, `Weights.queries` the v = W_l E_u of the fused scorer, `Weights.snapshot` turns seeds
into clusters ready to score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import BundleError, OptionError, TooFewSeedsError
from kinfolk.lookalike.activity import Active
from kinfolk.lookalike.background import Background, Folded
from kinfolk.lookalike.clusters import kmeans
from kinfolk.lookalike.clusters_many import kmeans_many
from kinfolk.lookalike.config import LookalikeConfig
from kinfolk.lookalike.index import Index
from kinfolk.lookalike.trend import DECAYS

if TYPE_CHECKING:
    from kinfolk.lookalike.model import LookalikeModel

EPSILON = 1e-6
"""Keeps a zero vector zero where vectors are scaled to length one."""

_NAMES = {
    "layer.weight": "layer_weight",
    "layer.bias": "layer_bias",
    "activation.weight": "slope",
    "local.weight": "local",
    "local.log_temperature": "log_temperature",
    "global_.inner.weight": "global_inner",
    "global_.outer.weight": "global_outer",
    "log_scale": "log_scale",
    "bias": "bias",
}


@dataclass(frozen=True)
class Snapshot:
    """The crowds of C candidates, ready to score.

    Args:
        centroids: float32[C, k, h], valid clusters first, zeros after them.
        sizes: float32[C, k], seeds in each cluster; 0 is padding.
        global_embedding: float32[C, h], E_global, independent of the target user.
        n_seeds: int64[C].
    """

    centroids: NDArray[np.float32]
    sizes: NDArray[np.float32]
    global_embedding: NDArray[np.float32]
    n_seeds: NDArray[np.int64]


@dataclass(frozen=True)
class Weights:
    """Arrays of a trained model; names as in `LookalikeModel.state_dict`, dots replaced."""

    config: LookalikeConfig
    arrays: Mapping[str, NDArray[np.float32]]

    @classmethod
    def of(cls, model: LookalikeModel) -> Weights:
        """From a torch model, copied to the CPU."""
        arrays = {_NAMES[k]: v.detach().cpu().numpy().astype(np.float32) for k, v in model.state_dict().items()}
        return cls(model.config, arrays)

    def to_dict(self) -> dict[str, object]:
        """The configuration as plain data."""
        return asdict(self.config)

    def check(self) -> None:
        """Raises BundleError unless every array is there, finite and of the configured shape."""
        c = self.config
        shapes = {
            "layer_weight": (c.h, c.m),
            "layer_bias": (c.h,),
            "local": (c.h, c.h),
            "log_temperature": (),
            "global_inner": (c.attention_size if c.global_attention == "lin" else c.h, c.h),
            "global_outer": (1, c.attention_size if c.global_attention == "lin" else c.k),
            "log_scale": (),
            "bias": (),
        }
        learned = {
            "co_click": (),
            "activity": (2,),
            "trend": (len(DECAYS),),
        }  # older bundles, and other presets, have none
        shapes |= {name: shape for name, shape in learned.items() if name in self.arrays}
        if any(name.startswith("background_") for name in self.arrays):
            shapes |= {"background_mean": (c.h,), "background_covariance": (c.h, c.h), "background_norm": ()}
        for name, shape in shapes.items():
            array = self.arrays.get(name)
            if array is None or array.shape != shape or not np.isfinite(array).all():
                got = (
                    "missing" if array is None else f"of shape {array.shape}" if array.shape != shape else "not finite"
                )
                raise BundleError(f"weight {name!r} is {got}, expected {shape}", "restore the bundle from a good copy")

    def transform(self, x: NDArray[np.float32], block: int = 65_536) -> NDArray[np.float32]:
        """E float32[n, h] of universal embeddings x float32[n, m]."""
        out = np.empty((len(x), self.config.h), np.float32)
        for i in range(0, len(x), block):
            part = x[i : i + block]
            if self.config.unit_input:
                part = part / np.sqrt((part * part).sum(1, keepdims=True) + np.float32(EPSILON**2))
            e = part @ self.arrays["layer_weight"].T + self.arrays["layer_bias"]
            negative = self.arrays["slope"] * e if "slope" in self.arrays else np.float32(0)
            out[i : i + block] = np.where(e > 0, e, negative)
        return out

    def queries(self, e: NDArray[np.float32]) -> NDArray[np.float32]:
        """v = W_l E_u, float32[n, h]."""
        return np.asarray(e @ self.arrays["local"].T, np.float32)

    @property
    def co_click(self) -> float:
        """What co-clicks count for beside this model's score (`lookalike.coclick`); 0 where nothing is known of it."""
        return float(self.arrays.get("co_click", 0.0))

    def with_co_click(self, weight: float) -> Weights:
        """The same model with that weight."""
        return Weights(self.config, {**self.arrays, "co_click": np.array(weight, np.float32)})

    def with_bias(self, bias: float) -> Weights:
        """The same model with that bias of the logit."""
        return Weights(self.config, {**self.arrays, "bias": np.array(bias, np.float32)})

    @property
    def activity(self) -> Active | None:
        """What a user's activity counts for in an audience; None where nothing is known of it."""
        found = self.arrays.get("activity")
        return None if found is None else Active(float(found[0]), float(found[1]))

    def with_activity(self, active: Active) -> Weights:
        """The same model with that."""
        return Weights(self.config, {**self.arrays, "activity": np.array([active.unit, active.mean], np.float32)})

    @property
    def trend(self) -> NDArray[np.float32] | None:
        """float32[4], what `lookalike.trend.features` count for in the order of a feed; None: nothing."""
        return self.arrays.get("trend")

    def with_trend(self, weights: NDArray[np.float32]) -> Weights:
        """The same model with those."""
        return Weights(self.config, {**self.arrays, "trend": weights})

    @cached_property
    def background(self) -> Background | None:
        """Everybody, where the score knows a discriminant (`lookalike.background`)."""
        if "background_mean" not in self.arrays:
            return None
        norm = float(self.arrays["background_norm"])
        return Background(self.arrays["background_mean"], self.arrays["background_covariance"], norm)

    def with_background(self, background: Background) -> Weights:
        """The same model with that."""
        values = {"mean": background.mean, "covariance": background.covariance, "norm": background.norm}
        more = {f"background_{name}": np.asarray(value, np.float32) for name, value in values.items()}
        return Weights(self.config, {**self.arrays, **more})

    @property
    def scale(self) -> float:
        """What a score counts for as a logit, next to the bias or to a trend."""
        return float(np.exp(self.arrays["log_scale"]))

    @property
    def temperature(self) -> float:
        """Sharpness of the local attention."""
        return float(np.exp(self.arrays["log_temperature"]))

    def probability(self, score: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sigmoid of the (learned) scale and bias: float32, same shape."""
        logit = self.scale * score + self.arrays["bias"]
        return np.asarray(1 / (1 + np.exp(-logit)), np.float32)

    def snapshot(self, e: NDArray[np.float32], *, seed: int, iterations: int = 25) -> Snapshot:
        """One crowd from the look-alike embeddings e float32[n, h] of its seeds.

        Raises:
            TooFewSeedsError: no seed.
        """
        if len(e) == 0:
            raise TooFewSeedsError("no seed has an embedding", "give seeds that the bundle knows")
        if self.config.pooling == "average":
            return self._averages(e, np.array([0, len(e)]))
        found = kmeans(np.ascontiguousarray(e, np.float32), self.config.k, seed=seed, iterations=iterations)
        return self.crowds(found.centroids[None], found.sizes[None], np.array([len(e)]))

    def snapshots(
        self,
        e: NDArray[np.float32],
        rows: NDArray[np.int64],
        offsets: NDArray[np.int64],
        *,
        seed: int,
        iterations: int = 15,
    ) -> Snapshot:
        """C crowds at once: candidate c's seeds are `e[rows[offsets[c]:offsets[c + 1]]]`."""
        if self.config.pooling == "average":
            return self._averages(e[rows], offsets)
        found = kmeans_many(e, offsets, self.config.k, rows=rows, seed=seed, iterations=iterations)
        return self.crowds(found.centroids, found.sizes, np.diff(offsets))

    def index(self, snapshot: Snapshot) -> Index:
        """The scorer's index of a snapshot. With pooling "average" both cosines are the cosine to the mean.

        Raises:
            OptionError: the model was trained with dot products, which the scorer does not do.
        """
        c = self.config
        if c.similarity != "cosine":
            raise OptionError(f"similarity {c.similarity!r} cannot be served", "train with similarity='cosine'")
        return Index.build(
            snapshot.centroids,
            snapshot.sizes,
            snapshot.sizes > 0,
            snapshot.global_embedding,
            alpha=c.alpha,
            beta=c.beta,
            temperature=self.temperature,
            size_aware=c.size_aware,
            folded=self._folded(snapshot),
        )

    def _folded(self, snapshot: Snapshot) -> Folded | None:
        background = self.background
        if background is None:
            return None
        shares = snapshot.sizes / np.maximum(snapshot.sizes.sum(axis=1), 1)[:, None]
        means = (shares[:, None] @ snapshot.centroids)[:, 0]
        return background.fold(means, snapshot.n_seeds)

    def _averages(self, e: NDArray[np.float32], offsets: NDArray[np.int64]) -> Snapshot:
        count = np.diff(offsets)
        sums = np.zeros((len(count), self.config.h), np.float64)
        np.add.at(sums, np.repeat(np.arange(len(count)), count), e)
        mean = (sums / np.maximum(count, 1)[:, None]).astype(np.float32)
        return Snapshot(mean[:, None], np.minimum(count, 1)[:, None].astype(np.float32), mean, count)

    def crowds(self, centroids: NDArray[np.float32], sizes: NDArray[Any], n_seeds: NDArray[np.int64]) -> Snapshot:
        """Crowds from clusters that are there already: adds E_global; shapes as in `Snapshot`, any kind of sizes."""
        outer, valid = self.arrays["global_outer"][0], sizes > 0
        from_size = np.log(np.maximum(sizes, 1)) if self.config.size_aware else np.zeros(sizes.shape)
        inner = np.tanh(centroids @ self.arrays["global_inner"].T)
        if self.config.global_attention == "lin":
            weights = _softmax(inner @ outer + from_size, valid)
        else:
            each = _softmax(inner @ centroids.transpose(0, 2, 1) + from_size[:, None], valid[:, None])
            weights = ((outer[: sizes.shape[1]] * valid)[:, None] @ each)[:, 0]
        overall = np.einsum("ck,ckh->ch", weights, centroids).astype(np.float32)
        return Snapshot(centroids, sizes.astype(np.float32), overall, n_seeds)


def _softmax(logits: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Over the valid entries of the last axis; zeros where there is none."""
    logits = np.where(valid, logits, -np.inf)
    weights = np.exp(logits - np.maximum(logits.max(-1, keepdims=True), -1e30))
    return np.asarray(weights / np.maximum(weights.sum(-1, keepdims=True), 1e-30))
