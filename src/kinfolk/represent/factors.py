"""What x_u holds beside its fields: latent factors of the items in a history (decision 10), by alternating least
squares, and how active the user is (decision 14)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kinfolk.data.log import View
from kinfolk.represent.als import AlsConfig, fit_als
from kinfolk.represent.features import UserFeatures

ITERATIONS = 8
MIN_USERS = 2
"""An item that fewer users clicked has no factors: there is nothing it has in common with another."""
ACTIVITY = 1.5
"""How wide activity spreads users, against one of the other factors."""
MOST_ACTIVE = 0.8
"""Bound of that; the other factors have length one together."""
LEAST_SPREAD = 0.1
"""Of the logarithms of lengths: where all users are about as active, their differences are not blown up."""
_RIDGE = 1e-3
_BLOCK = 65_536


def item_factors(view: View, features: UserFeatures, size: int, seed: int) -> NDArray[np.float32]:
    """A vector for every known item, such that sums over histories are white over users.

    Factors of alternating least squares (Hu, Koren, Volinsky 2008) scaled to length one, so that popular items count
    like rare ones, and turned and stretched by the inverse square root of the second moment of users' unit sums.

    Args:
        view: what may be learned from.
        features: of the model.
        size: f, length of a vector.
        seed: of the first factors.

    Returns:
        float32[D + 2, f], rows as the codes of `features.item_codes`; 0 for missing and unknown items, those without
        enough users, and where nobody clicked two of them.
    """
    table = np.zeros((features.n_items + 2, size), np.float32)
    codes = features.item_codes(view.log)[view.pairs.item]
    enough = np.bincount(codes, minlength=len(table)) >= MIN_USERS
    kept = (codes > 1) & enough[codes]
    if not kept.any():
        return table
    users, columns = view.pairs.user[kept], codes[kept]
    ones = np.ones(len(users), np.float32)
    clicks = sp.csr_matrix((ones, (users, columns)), shape=(view.log.n_users, len(table)))
    clicks = clicks[np.diff(clicks.indptr) > 0]
    factors = _unit(fit_als(clicks, AlsConfig(factors=size, iterations=ITERATIONS), seed).items.astype(np.float64))
    sums = _unit(np.asarray(clicks @ factors))
    moment = sums.T @ sums / len(sums)
    values, vectors = np.linalg.eigh(moment + _RIDGE * np.trace(moment) / size * np.eye(size))
    table[:] = factors @ (vectors / np.sqrt(values)) @ vectors.T
    return table


def activity_scale(view: View, features: UserFeatures, size: int) -> NDArray[np.float32]:
    """Of log(1 + length of the history) over users who have one: mean, what deviations are multiplied by, and a bound.

    One standard deviation becomes 1.5 / sqrt(size): half as much again as each of `size` white numbers whose squares
    add up to 1.

    Args:
        view: what may be learned from.
        features: of the model; its first history is the one that counts, read as the encoder reads it.
        size: f, all factors.

    Returns:
        float32[3].
    """
    clicked = np.flatnonzero(np.bincount(view.pairs.user, minlength=view.log.n_users))
    first = len(features.sizes) - len(features.schema.history)
    counts = [np.zeros(0, np.int64)]
    for i in range(0, len(clicked), _BLOCK):
        batch = features.batch(view, clicked[i : i + _BLOCK])
        counts.append(np.diff(batch.offsets.numpy())[first :: batch.n_lookups])
    lengths = np.concatenate(counts)
    logs = np.log1p(lengths[lengths > 0])
    spread = max(float(logs.std()), LEAST_SPREAD) if len(logs) else 1.0
    mean = float(logs.mean()) if len(logs) else 0.0
    return np.array([mean, ACTIVITY / (spread * size**0.5), MOST_ACTIVE], np.float32)


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length one; zero rows stay."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(np.divide(x, norms, out=np.zeros_like(x), where=norms > 0), np.float64)
