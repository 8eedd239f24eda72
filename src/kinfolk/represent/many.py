"""Many users of a bundle with the clicks that came since, as bags of the encoder: `bags_of`.

What `Live` does in Python for one user; the seeds of candidates, who are clustered as they are now, are too many.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kinfolk.data.inputs import Inputs
from kinfolk.data.jagged import Jagged, ranges
from kinfolk.data.vocabulary import UNKNOWN
from kinfolk.represent.features import UserFeatures

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


def bags_of(
    features: UserFeatures, inputs: Inputs, rows: I64, since: Jagged, without: I32, takes: list[bool]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """`index` and `offsets` of a `UserBatch`.

    Args:
        features: of the encoder.
        inputs: users as of training.
        rows: int64[B] of `inputs`.
        since: B rows of int32 item numbers as in `inputs`, clicked since, oldest first; 0 and repeats add nothing.
        without: int32[B], of each an item that counts as never clicked; 0 for none.
        takes: bool[histories], whether such clicks count in a history.
    """
    schema, starts, n = features.schema, features.starts, len(rows)
    n_static = len(inputs.static) // max(len(inputs), 1)
    fields = [inputs.static.take(rows * n_static + i) for i in range(n_static)]
    for j, c in enumerate(schema.context):
        codes = np.asarray(inputs.context[rows, j])
        fields.append(Jagged(codes + np.int32(starts[c.name]), np.arange(n + 1)).filter(codes != 0))
    nobody = Jagged(np.zeros(0, np.int32), np.zeros(n + 1, np.int64))
    for h, taken, every in zip(schema.history, takes, inputs.histories, strict=True):
        old, new = every.take(rows), since if taken else nobody
        entries, counts = np.empty((n, h.length), np.int32), np.empty(n, np.int64)
        skip = features.skip_unknown_items
        _newest(_plain(old), old.offsets, _plain(new), new.offsets, without, skip, entries, counts)
        codes = np.where(entries > 0, entries, UNKNOWN)[np.arange(h.length) < counts[:, None]]
        fields.append(Jagged((codes + starts[h.name]).astype(np.int32), np.concatenate([[0], np.cumsum(counts)])))
    return _interleaved(fields, n)


def _interleaved(fields: list[Jagged], n: int) -> tuple[I32, I64]:
    """Field after field of user after user, from n users of field after field."""
    lengths = np.stack([f.lengths for f in fields], axis=1) if fields else np.zeros((n, 0), np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = np.empty(offsets[-1], np.int32)
    starts = offsets[:-1].reshape(lengths.shape)
    for i, field in enumerate(fields):
        index[ranges(starts[:, i], starts[:, i] + lengths[:, i])] = field.values
    return index, offsets


@njit(nogil=True, cache=True)
def _newest(
    old: I32, old_at: I64, new: I32, new_at: I64, without: I32, skip_unknown: bool, out: I32, counts: I64
) -> None:
    """out[b, :counts[b]]: the last distinct entries of old[b] and then new[b], as many as out int32[B, length] is wide.

    Without 0 and without[b], nor those below 0 where `skip_unknown`. The entries of old[b] are distinct.
    """
    length = out.shape[1]
    for b in range(len(out)):
        before, after = old[old_at[b] : old_at[b + 1]], new[new_at[b] : new_at[b + 1]]
        fresh, n = np.empty(len(after), np.int32), 0
        for item in after:
            if _counts(item, without[b], skip_unknown) and not _among(before, item) and not _among(fresh[:n], item):
                fresh[n] = item
                n += 1
        place = length
        for i in range(n - 1, -1, -1):
            if place > 0:
                place -= 1
                out[b, place] = fresh[i]
        for i in range(len(before) - 1, -1, -1):
            if place > 0 and _counts(before[i], without[b], skip_unknown):
                place -= 1
                out[b, place] = before[i]
        counts[b] = length - place
        for i in range(counts[b]):
            out[b, i] = out[b, place + i]


@njit(nogil=True, cache=True)
def _counts(item: int, without: int, skip_unknown: bool) -> bool:
    return item != without and (item > 0 or (item < 0 and not skip_unknown))


@njit(nogil=True, cache=True)
def _among(items: I32, item: int) -> bool:
    for other in items:  # noqa: SIM110  # `any` of a generator does not compile
        if other == item:
            return True
    return False


def _plain(rows: Jagged) -> I32:
    return np.ascontiguousarray(rows.values, np.int32)
