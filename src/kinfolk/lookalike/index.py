"""Everything about C candidates that scoring reads: `Index`, made once from their clusters, immutable.

What does not depend on the user is computed here: Gram matrices, the unit global embedding, the size-aware part of the
logits (§3 and §5 of the design: the global attention is the refresher's work, not the request's).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike.attend import EPSILON, PADDING
from kinfolk.lookalike.background import Folded
from kinfolk.lookalike.codes import Codes

F32 = NDArray[np.float32]
Arrays = tuple[F32, F32, F32, F32, F32, F32, float]
"""centroids, bias, gram, linear, offset, local, temperature of an `Index`: what kernels read."""


@dataclass(frozen=True)
class Index:
    """C candidates with at most k clusters of width h; made by `Index.build`.

    Args:
        centroids: float32[C, k, h], valid clusters first, zeros after them.
        n_valid: int16[C], how many clusters are valid.
        sizes: float32[C, k], users in the cluster, 0 for padding.
        gram: float32[C, k, k], centroids times their transpose.
        bias: float32[C, k], what is added to the local logits: log(size) less the candidate's largest if size-aware,
            else 0; a very low number for padding.
        linear: float32[C, h], what the user's unit vector is multiplied with: alpha E_global / |E_global|, and the
            discriminant where there is one (`lookalike.background`).
        offset: float32[C], added to that.
        local: float32[C], weight of the local cosine, beta or less.
        temperature: τ in the local logits τ·tanh(...); 0 with `size_aware` makes E_local the mean of the seeds.
        size_aware: whether log(size) is in the local logits.
    """

    centroids: NDArray[np.float32]
    n_valid: NDArray[np.int16]
    sizes: NDArray[np.float32]
    gram: NDArray[np.float32]
    bias: NDArray[np.float32]
    linear: NDArray[np.float32]
    offset: NDArray[np.float32]
    local: NDArray[np.float32]
    temperature: float
    size_aware: bool

    def __len__(self) -> int:
        return len(self.centroids)

    @property
    def arrays(self) -> Arrays:
        """What kernels read: centroids, bias, gram, linear, offset, local, temperature."""
        return self.centroids, self.bias, self.gram, self.linear, self.offset, self.local, float(self.temperature)

    @cached_property
    def codes(self) -> Codes:
        """The candidates in bytes, made at the first question for few of many; 29 % of the centroids' size."""
        return Codes.build(self.centroids, self.linear, self.bias, self.offset, self.local)

    def take(self, rows: NDArray[np.integer]) -> Index:
        """The given candidates, in the given order; rows int[n] of this index."""
        return Index(
            self.centroids[rows], self.n_valid[rows], self.sizes[rows], self.gram[rows], self.bias[rows],
            self.linear[rows], self.offset[rows], self.local[rows], self.temperature, self.size_aware,
        )  # fmt: skip

    @classmethod
    def build(
        cls,
        centroids: NDArray[np.float32],
        sizes: NDArray[np.generic],
        valid: NDArray[np.bool_],
        global_embedding: NDArray[np.float32],
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        temperature: float = 1.0,
        size_aware: bool = False,
        folded: Folded | None = None,
    ) -> Index:
        """From clusters in any order and with anything in the padding.

        Args:
            centroids: float32[C, k, h].
            sizes: numbers [C, k], users in each cluster.
            valid: bool[C, k], False for padding.
            global_embedding: float32[C, h], E_global of each candidate.
            alpha, beta: weights of the global and the local cosine.
            temperature, size_aware: see the class.
            folded: what takes its share of the score, of C candidates.

        Raises:
            OptionError: shapes that do not fit, a weight that is not finite.
            DataError: NaN or infinity in a valid centroid, size or global embedding.
        """
        count, k, h = centroids.shape if centroids.ndim == 3 else (-1, -1, -1)
        if sizes.shape != (count, k) or valid.shape != (count, k) or global_embedding.shape != (count, h):
            raise OptionError(
                f"centroids {centroids.shape}, sizes {sizes.shape}, valid {valid.shape} and global embeddings "
                f"{global_embedding.shape} do not belong together",
                "give [C, k, h], [C, k], [C, k] and [C, h]",
            )
        if not np.isfinite([alpha, beta, temperature]).all():
            raise OptionError(f"alpha {alpha}, beta {beta}, temperature {temperature}", "give finite numbers")
        there, kept = valid, np.asarray(centroids, np.float32)
        if (valid[:, 1:] > valid[:, :-1]).any():  # else valid ones are first, as crowds of kinfolk have them
            order = np.argsort(~valid, axis=1, kind="stable")
            there, sizes = np.take_along_axis(valid, order, 1), np.take_along_axis(sizes, order, 1)
            kept = np.take_along_axis(kept, order[:, :, None], 1)
        kept = np.ascontiguousarray(np.where(there[:, :, None], kept, np.float32(0)))
        users = np.where(there, sizes, 0).astype(np.float32)
        if not (np.isfinite(kept).all() and np.isfinite(users).all() and np.isfinite(global_embedding).all()):
            raise DataError("a candidate's clusters hold NaN or infinity", "cluster its seeds anew")
        bias = np.where(there, np.float32(0), np.float32(PADDING))
        if size_aware and k:
            logs = np.where(there, np.log(np.maximum(users, 1)), np.float32(PADDING))
            bias = np.where(there, logs - logs.max(axis=1, keepdims=True), np.float32(PADDING))
        norms = np.linalg.norm(global_embedding.astype(np.float64), axis=1)
        linear = alpha * (global_embedding / np.maximum(norms, EPSILON)[:, None])
        offset, local = np.zeros(count), np.full(count, beta)
        if folded is not None:
            rest = 1 - folded.share
            linear, offset, local = rest[:, None] * linear + folded.vector, folded.offset, rest * local
        return cls(
            kept, there.sum(axis=1).astype(np.int16), users, np.matmul(kept, kept.transpose(0, 2, 1)),
            bias.astype(np.float32), linear.astype(np.float32), offset.astype(np.float32), local.astype(np.float32),
            temperature, size_aware,
        )  # fmt: skip
