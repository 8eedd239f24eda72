from itertools import pairwise

import numpy as np
import torch

from kinfolk.represent.batch import UserBatch
from kinfolk.represent.thin import thin_history


def batch_of(rows, n):
    """rows: a list of value lists, n of them a user."""
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    users = len(rows) // n
    index = torch.tensor([v for r in rows for v in r], dtype=torch.int32)
    return UserBatch(index, torch.from_numpy(offsets), torch.zeros(users, 1), torch.ones(users, dtype=torch.bool), n)


def rows_of(batch):
    ends = batch.offsets.tolist()
    return [batch.index[a:b].tolist() for a, b in pairwise(ends)]


def test_only_histories_lose_values_and_keep_their_order():
    rows = [[1], list(range(100, 400)), [2], [], [3], list(range(500, 700))]
    got = rows_of(thin_history(batch_of(rows, 2), 0.4, 1, np.random.default_rng(0)))
    assert [got[0], got[2], got[3], got[4]] == [[1], [2], [], [3]]
    for before, after in ((rows[1], got[1]), (rows[5], got[5])):
        assert sorted(set(after) & set(before)) == after
        assert 0.45 < len(after) / len(before) < 0.75


def test_nothing_to_leave_out_is_the_batch_itself():
    batch = batch_of([[1], [2, 3]], 2)
    assert thin_history(batch, 0.0, 1, np.random.default_rng(0)) is batch
    assert thin_history(batch, 0.5, 0, np.random.default_rng(0)) is batch
