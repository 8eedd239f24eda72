"""Users as of a moment -> x_u, without gradients: `embed`."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray

from kinfolk.data.log import Log, View
from kinfolk.represent.represented import Represented

F32 = NDArray[np.float32]

_USERS = 4096  # at a time
_FLOATS = 1 << 21  # of the vectors of all fields of these users, where fields lie side by side: a cache holds them


@overload
def embed(
    model: Represented,
    source: View | Log,
    users: NDArray[np.integer],
    *,
    now: float | NDArray[np.float64] | None = None,
    without: NDArray[np.integer] | None = None,
    batch_size: int | None = None,
    return_weights: Literal[False] = False,
) -> F32: ...


@overload
def embed(
    model: Represented,
    source: View | Log,
    users: NDArray[np.integer],
    *,
    now: float | NDArray[np.float64] | None = None,
    without: NDArray[np.integer] | None = None,
    batch_size: int | None = None,
    return_weights: Literal[True],
) -> tuple[F32, F32]: ...


def embed(
    model: Represented,
    source: View | Log,
    users: NDArray[np.integer],
    *,
    now: float | NDArray[np.float64] | None = None,
    without: NDArray[np.integer] | None = None,
    batch_size: int | None = None,
    return_weights: bool = False,
) -> F32 | tuple[F32, F32]:
    """Embed users from what was known of them at a moment.

    Args:
        model: the encoder and its features.
        source: a view, beyond whose `now` and removed items nothing is seen; or a whole log, of any vocabulary.
        users: int[U] rows of the log, repeats allowed.
        now: seconds, one for all or float64[U]; only events strictly before it count. None: all that `source` shows.
        without: int[U] item rows (-1 for none) treated as if that user had never met them.
        batch_size: users at a time: the result does not depend on it beyond rounding. None: as many as are fastest.
        return_weights: also give the weight of every field, columns as `model.encoder.field_names`.

    Returns:
        x float32[U, m], never NaN; with `return_weights` also w float32[U, n].

    Raises:
        OptionError: weights of an encoder with merge="concat".
        SchemaError: the log lacks a field of the model.
    """
    encoder, device = model.encoder, next(model.encoder.parameters()).device
    x = np.empty((len(users), encoder.config.embedding_size), np.float32)
    w = np.empty((len(users), len(encoder.field_names)), np.float32)
    side_by_side = encoder.merge is None
    fitting = max(256, _FLOATS // (len(encoder.field_names) * encoder.deep_size)) if side_by_side else _USERS
    size = batch_size or fitting
    moments = None if now is None else np.broadcast_to(np.asarray(now, np.float64), len(users))
    was_training = encoder.training
    encoder.eval()
    try:
        with torch.inference_mode():
            for first in range(0, len(users), size):
                part = slice(first, first + size)
                batch = model.features.batch(
                    source,
                    users[part],
                    None if moments is None else moments[part],
                    None if without is None else without[part],
                ).to(device)
                if return_weights:
                    vectors, weights = encoder(batch, return_weights=True)
                    w[part] = weights.cpu().numpy()
                else:
                    vectors = encoder(batch)
                x[part] = vectors.cpu().numpy()
    finally:
        encoder.train(was_training)
    return (x, w) if return_weights else x
